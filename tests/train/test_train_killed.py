"""Training that is killed, or has no room on its disk: the last whole checkpoint goes on as if nothing had been."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time

import chex
import pytest

pytestmark = pytest.mark.slow

COMMAND = os.path.join(sysconfig.get_path("scripts"), "gatedrnn")
SIZES = ("--horizon", "8", "--hidden", "4", "--batch", "2", "--seeds", "2", "--test-batches", "1")
ATTEMPTS = 12


@pytest.fixture
def kill(checkpoints):
    """(process, folder, delay) -> SIGKILL once it has written a checkpoint: after a delay, or in the middle of a save.

    The save is the next one, where the delay is None. What is returned is whether the process was killed, and whether
    that left an unfinished checkpoint.
    """

    def strike(process, folder, delay):
        before, deadline = set(checkpoints(folder)), time.monotonic() + 120
        new = lambda: not before.issuperset(checkpoints(folder))
        # Those of the last kill are gone when the first new one is whole.
        unfinished = lambda: new() and checkpoints(folder, whole=False)
        while process.poll() is None and time.monotonic() < deadline:
            if unfinished() if delay is None else new():
                break
            time.sleep(0.001)
        time.sleep(delay or 0)
        killed = process.poll() is None
        if killed:
            process.send_signal(signal.SIGKILL)
        process.wait()
        return killed, killed and bool(unfinished())

    return strike


def test_killed_again_and_again(tmp_path, checkpoints, kill):
    """SIGKILL at random moments and in the middle of saves; then to the end: every byte as without."""
    begin = [COMMAND, "train", "adding", "--steps", "1200", "--test-every", "100", *SIZES]
    whole, parts, rng = tmp_path / "whole", tmp_path / "parts", random.Random(0)
    subprocess.run([*begin, "--out", whole], check=True, capture_output=True)
    resume = [COMMAND, "train", "--resume", parts, "--save-every", "0"]
    command, kills, unfinished = [*begin, "--save-every", "0", "--out", parts], 0, 0
    for attempt in range(ATTEMPTS):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        killed, cut = kill(process, parts, delay=rng.uniform(0, 0.2) if attempt % 2 else None)
        kills, unfinished, command = kills + killed, unfinished + cut, resume
        assert checkpoints(parts), "a killed run leaves a whole checkpoint"
        if kills >= 3 and unfinished:
            break
    assert kills >= 3 and unfinished, "a kill fell into a save"
    subprocess.run(resume, check=True, capture_output=True)
    assert not checkpoints(parts, whole=False), "what was unfinished is removed"
    for name in ("model-0.safetensors", "model-1.safetensors", "metrics.csv"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.fixture(scope="module")
def good(tmp_path_factory, fit):
    """A run of 8 updates with its checkpoints, and the state after 12."""
    folder = tmp_path_factory.mktemp("runs")
    fit(folder / "run", 8)
    return folder / "run", fit(folder / "longer", 12).state


RESUMED = """
import resource, signal, sys
import gatedrnn as gr
setup = gr.train.Setup(gr.tasks.adding, gr.lstm, horizon=8, hidden_size=4, batch=2)
if len(sys.argv) > 2:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    gr.train.fit(setup, steps=12, test_every=4, test_batches=1, folder=sys.argv[1], save_every=0.0, resume=True)
except ValueError as error:
    print(error)
"""

# A disk of its own, gone with the last process on it: the run, and room for its metrics, but for no checkpoint.
FULL = """
set -e
mount -t tmpfs -o size=4m tmpfs "$1"
cp -r "$2" "$1/run"
head -c 8M /dev/zero > "$1/rest" 2> /dev/null || truncate -s -8K "$1/rest"
"$3" -c "$4" "$1/run"
cp -r "$1/run" "$5"
"""


@pytest.fixture
def check_goes_on(good, fit, checkpoints, plain):
    """(result, run) -> one sentence was said, the last good checkpoint is as it was, and a resumption ends as it would.

    `result` is of the process that could not write.
    """
    before, longer = good

    def check(result, run):
        assert result.stdout.startswith("`folder` must be one whose checkpoints can be written to; got '"), result
        assert result.stdout.count("\n") == 1
        for path in (before / "checkpoints" / "8").rglob("*"):
            if path.is_file():
                assert (run / path.relative_to(before)).read_bytes() == path.read_bytes()
        assert max(checkpoints(run)) == 8
        chex.assert_trees_all_equal(plain(fit(run, 12, resume=True).state), plain(longer))

    return check


def test_files_that_cannot_grow(good, tmp_path, check_goes_on):
    """A limit on the size of a file: EFBIG."""
    run = shutil.copytree(good[0], tmp_path / "run")
    result = subprocess.run([sys.executable, "-c", RESUMED, run, "2000"], capture_output=True, text=True)
    check_goes_on(result, run)
    assert "File too large" in result.stdout and "Traceback" not in result.stderr


def test_full_disk(good, tmp_path, check_goes_on):
    """ENOSPC on a small disk, where a user may mount one."""
    disk, run = tmp_path / "disk", tmp_path / "run"
    disk.mkdir()
    private = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*private, "mount", "-t", "tmpfs", "tmpfs", disk], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk of one's own can be mounted here")
    command = [*private, "sh", "-c", FULL, "sh", disk, good[0], sys.executable, RESUMED, run]
    result = subprocess.run(command, capture_output=True, text=True)
    check_goes_on(result, run)
    assert result.stdout.endswith(": No space left on device.\n")
    # What else is under way below orbax says so too, with nobody left to hear it.
    assert set(re.findall(r"^\w+Error.*", result.stderr, re.MULTILINE)) <= {"RuntimeError: Event loop is closed"}
