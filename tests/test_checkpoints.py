"""Checkpoints: killed at any moment, on a full disk, damaged, or of another run; nothing good is ever lost."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from dataclasses import replace

import chex
import numpy as np
import pytest

import gatedrnn as gr

SETUP = gr.train.Setup(gr.tasks.adding, gr.lstm, horizon=8, hidden_size=4, batch=2)
COMMAND = os.path.join(sysconfig.get_path("scripts"), "gatedrnn")
SIZES = ("--horizon", "8", "--hidden", "4", "--batch", "2", "--seeds", "2", "--test-batches", "1")


def fit(folder, steps, **options):
    """A short run that writes a checkpoint after every call."""
    return gr.train.fit(SETUP, steps=steps, test_every=4, test_batches=1, folder=folder, save_every=0.0, **options)


def checkpoints(folder):
    """The whole checkpoints, by step."""
    return sorted(int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit())


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A run of 8 updates with its checkpoints."""
    folder = tmp_path_factory.mktemp("run")
    fit(folder, 8)
    return folder


@pytest.fixture
def run(good, tmp_path):
    """A copy of it."""
    shutil.copytree(good, tmp_path / "run")
    return tmp_path / "run"


def test_killed_again_and_again(tmp_path):
    """SIGKILL at random moments, in the middle of saves too; then to the end: every byte as without."""
    arguments = ["--steps", "4000", "--test-every", "200", "--save-every", "0", *SIZES]
    whole = tmp_path / "whole"
    subprocess.run([COMMAND, "train", "adding", *arguments, "--out", whole], check=True, capture_output=True)
    parts, rng, kills = tmp_path / "parts", random.Random(0), 0
    begin = [COMMAND, "train", "adding", *arguments, "--out", parts]
    resume = [COMMAND, "train", "--resume", parts, "--save-every", "0"]
    for attempt in range(8):
        process = subprocess.Popen(resume if attempt else begin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        before = set(checkpoints(parts)) if attempt else set()
        while process.poll() is None and time.monotonic() < deadline:
            if (parts / "checkpoints").exists() and set(checkpoints(parts)) - before:
                break  # it is under way
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        assert checkpoints(parts), "a killed run leaves a whole checkpoint"
    assert kills >= 3
    subprocess.run(resume, check=True, capture_output=True)
    for name in ("model-0.safetensors", "model-1.safetensors", "metrics.csv"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes(), name


FULL = """
import resource, signal, sys
import gatedrnn as gr
setup = gr.train.Setup(gr.tasks.adding, gr.lstm, horizon=8, hidden_size=4, batch=2)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    gr.train.fit(setup, steps=12, test_every=4, test_batches=1, folder=sys.argv[1], save_every=0.0, resume=True)
except ValueError as error:
    print(error)
"""


def test_full_disk(run):
    """Where files cannot grow the run ends with one sentence, and the last good checkpoint goes on."""
    want = fit(run.parent / "other", 12)
    before = {path: path.read_bytes() for path in (run / "checkpoints" / "8").rglob("*") if path.is_file()}
    found = subprocess.run([sys.executable, "-c", FULL, str(run), "2000"], capture_output=True, text=True)
    assert found.stdout.startswith("`folder` must be one whose checkpoints can be written to; got '"), found
    assert "Traceback" not in found.stderr
    assert {path: path.read_bytes() for path in before} == before
    got = fit(run, 12, resume=True)
    chex.assert_trees_all_equal(got.state._replace(key=None), want.state._replace(key=None))


def damage(folder):
    """Flips the bits of one byte in the largest file of the state."""
    path = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "gone"])
def test_damaged(run, how):
    """A damaged checkpoint is named, and stays; without it the run goes on from the one before."""
    last = run / "checkpoints" / "8"
    if how == "flipped":
        damage(last / "state")
    elif how == "gone":
        shutil.rmtree(last / "state")
    else:
        for path in list((last / "state").rglob("*")):
            if path.is_file():
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if how == "cut" else b"")
    with pytest.raises(ValueError, match="`folder` must be one w(hose checkpoints can be read|ith whole checkpoints)"):
        fit(run, 12, resume=True)
    assert last.exists() and len(checkpoints(run)) == 2
    shutil.rmtree(last)
    want = fit(run.parent / "other", 12)
    got = fit(run, 12, resume=True)
    chex.assert_trees_all_equal(got.state._replace(key=None), want.state._replace(key=None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 9}, "a run with horizon 9; got one with 8"),
        ({"cell": gr.gru}, "a run with cell 'gru'; got one with 'lstm'"),
        ({"hidden_size": 5}, "a run with hidden_size 5; got one with 4"),
        ({"optimiser": gr.train.Optimiser(learning_rate=0.5)}, "a run with optimiser"),
        ({"task": gr.tasks.adding_1997}, "a run with task 'adding-1997'; got one with 'adding'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_of_another_run(run, change, message):
    """What the numbers depend on must be what it was."""
    with pytest.raises(ValueError, match=message):
        gr.train.fit(replace(SETUP, **change), steps=12, folder=run, resume=True)
    with pytest.raises(ValueError, match=r"a run with seeds \[1\]; got one with \[0\]"):
        gr.train.fit(SETUP, steps=12, folder=run, seeds=(1,), resume=True)
    assert checkpoints(run)[-1] == 8


def test_of_another_program(run):
    """A checkpoint that orbax reads, but that is not of this library."""
    about = run / "checkpoints" / "8" / "about" / "metadata"
    about.write_text(json.dumps([1, 2, 3]))
    with pytest.raises(ValueError, match="`folder` must be one with checkpoints of this library"):
        fit(run, 12, resume=True)


def test_folders(run, tmp_path):
    """A new run does not overwrite an old one; a resumption needs one."""
    with pytest.raises(ValueError, match="`folder` must be empty, or resumed; got .*, which holds a run at step 8"):
        fit(run, 12)
    with pytest.raises(ValueError, match="`folder` must be one that holds a checkpoint; got none"):
        fit(tmp_path / "none", 12, resume=True)
    with pytest.raises(ValueError, match="`folder` must be one whose checkpoints can be written to"):
        fit("/proc/none", 12)


def test_finished_run_is_left_alone(run):
    """Resumed with nothing to do: the same state, the same rows, no new checkpoint."""
    before = checkpoints(run)
    got = fit(run, 8, resume=True)
    assert int(got.state.step[0]) == 8 and [row.step for row in got.rows] == [4, 8]
    assert checkpoints(run) == before
    np.testing.assert_array_equal(got.state.loss, 0)
