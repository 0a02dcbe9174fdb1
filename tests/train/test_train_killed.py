"""Training that is killed, or has no room on its disk: the last whole checkpoint goes on as if nothing had been."""

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import chex
import jax
import pytest

from gatedrnn.cli import main

pytestmark = pytest.mark.slow

SIZES = ("--horizon", "8", "--hidden", "4", "--batch", "2", "--seeds", "2", "--test-batches", "1")
KILLS = 20


def command(arguments, cache):
    """The installed command, in a process that has imported what it needs."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.environ["COLUMNS"] = "80"
    jax.config.update("jax_compilation_cache_dir", cache)  # each program is compiled once for all processes
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    sys.argv = ["gatedrnn", *arguments]
    main()


@pytest.fixture
def start(tmp_path):
    """(arguments) -> the command, begun."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gatedrnn.cli.train", "gatedrnn.train", "gatedrnn.models", "optax", "filelock"])

    def begin(*arguments):
        process = context.Process(target=command, args=([*map(str, arguments)], str(tmp_path / "cache")))
        process.start()
        return process

    return begin


@pytest.fixture
def kill(checkpoints):
    """(process, folder, moment, delay) -> SIGKILL, and whether it came in time and left an unfinished checkpoint.

    After a delay from a moment: its start, its first new checkpoint, or the middle of a save after that.
    """

    def strike(process, folder, moment, delay):
        before, deadline = set(checkpoints(folder)), time.monotonic() + 120
        new = lambda: not before.issuperset(checkpoints(folder))
        # Those of the last kill are gone when the first new one is whole.
        come = {"start": lambda: True, "new": new, "save": lambda: new() and checkpoints(folder, whole=False)}[moment]
        while process.is_alive() and not come() and time.monotonic() < deadline:
            time.sleep(0.0005)
        time.sleep(delay)
        process.kill()
        process.join()
        killed = process.exitcode == -signal.SIGKILL
        return killed, killed and moment != "start" and bool(checkpoints(folder, whole=False))

    return strike


def test_killed_again_and_again(tmp_path, checkpoints, start, kill):
    """SIGKILL at 20 moments, some in the middle of saves; then to the end: every byte as without."""
    begin = ["train", "adding", "--steps", "1600", "--test-every", "2", *SIZES]
    whole, parts, rng = tmp_path / "whole", tmp_path / "parts", random.Random(0)
    process = start(*begin, "--out", whole)
    process.join()
    assert process.exitcode == 0
    kills = unfinished = 0
    resume = ["train", "--resume", parts, "--save-every", "0"]
    for attempt in range(2 * KILLS):
        known = (parts / "run.json").exists()
        process = start(*(resume if known else [*begin, "--save-every", "0", "--out", parts]))
        moment = ("save", "start", "new", "save")[attempt % 4]
        delay = {"save": 0.0, "new": rng.uniform(0, 0.1), "start": rng.uniform(0, 3)}[moment]
        killed, cut = kill(process, parts, moment, delay)
        kills, unfinished = kills + killed, unfinished + cut
        if kills >= KILLS and unfinished:
            break
    assert kills >= KILLS and unfinished, "a kill fell into a save"
    process = start(*resume)
    process.join()
    assert process.exitcode == 0
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
head -c 8M /dev/zero > "$1/rest" 2> /dev/null || truncate -s -4K "$1/rest"
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
        assert "Traceback" not in result.stderr and "Error" not in result.stderr
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
    assert "File too large" in result.stdout


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
