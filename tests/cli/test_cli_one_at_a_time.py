"""Two trainings in one folder, small disks, and files in the way: one sentence, at once, and nothing lost."""

import csv
import os
import re
import resource
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

COMMAND = os.path.join(sysconfig.get_path("scripts"), "gatedrnn")
SIZES = ("--horizon", "8", "--batch", "2", "--cell", "rnn", "--test-every", "2", "--test-batches", "1")
ON_DISK = 'mount -t tmpfs -o size=40k tmpfs "$0" && cd "$0" && "$@"; status=$?; find . -type f; exit $status'


def begin(*arguments, **how):
    """A command in a process of its own."""
    return subprocess.Popen([*map(str, arguments)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)


def refused(process):
    """What a process says that refuses: one sentence, after which it ends within two seconds."""
    lines, said = [], None
    for line in process.stderr:
        lines.append(line)
        said = time.monotonic() if line.startswith("gatedrnn: ") else said
    out, _ = process.communicate()
    ended = time.monotonic()
    assert process.returncode == 2, (lines, out)
    assert lines[-1].startswith("gatedrnn: `") and said is not None and ended - said < 2
    assert not re.search("Traceback|Error", "".join(lines))
    return lines[-1], out


def steps_and_seeds(path):
    """Of the rows in a file."""
    with path.open() as file:
        return [(int(row["step"]), int(row["seed"])) for row in csv.DictReader(file)]


@pytest.mark.parametrize("resumed", [False, True])
def test_of_two_at_once_one_trains(tmp_path, resumed):
    """Both new, each with a seed of its own, or both resumed: the other is told the folder; no step comes twice."""
    line = [COMMAND, "train", "adding", *SIZES, "--steps", "200", "--save-every", "0", "--out", tmp_path / "run"]
    lines = [[*line, "--seed", seed] for seed in (0, 1)]
    if resumed:
        process = begin(*line, "--steps", "2")
        assert process.communicate() and process.returncode == 0
        lines = [[COMMAND, "train", "--resume", tmp_path / "run", "--steps", "200", "--save-every", "0"]] * 2
    both = [begin(*line) for line in lines]
    while all(process.poll() is None for process in both):
        time.sleep(0.01)
    loser = min(both, key=lambda process: process.poll() is None)
    winner = both[1 - both.index(loser)]
    assert winner.poll() is None
    sentence, _ = refused(loser)
    assert f"must be a folder that no other run is using; got {str(tmp_path / 'run')!r}." in sentence
    assert winner.communicate() and winner.returncode == 0
    found = steps_and_seeds(tmp_path / "run" / "metrics.csv")
    assert len({seed for _, seed in found}) == 1
    assert [step for step, _ in found] == sorted({*range(2, 201, 2), 200})


def small_disk(folder, command):
    """(process, what counts as full) on a disk of 40 kB, or where none can be mounted, with files of 8 kB at most."""
    private = ["unshare", "--map-root-user", "--mount", "sh", "-c", ON_DISK, folder]
    if subprocess.run([*map(str, private), "true"], capture_output=True).returncode == 0:
        return begin(*private, *command), "No space left on device"
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
    return begin(*command, cwd=folder, preexec_fn=limit), "File too large"


@pytest.mark.parametrize(("hidden", "begun"), [(16, True), (64, False)])
def test_a_disk_of_40_kilobytes(tmp_path, hidden, begun):
    """Too small for the first checkpoint, and nothing is left; or for the third, and the first two are."""
    line = [COMMAND, "train", "adding", *SIZES, "--cell", "lstm", "--hidden", hidden, "--steps", "400", "--out", "run"]
    process, full = small_disk(tmp_path, [*line, "--save-every", "0"])
    sentence, left = refused(process)
    assert sentence.endswith(f": {full}.\n")
    assert re.search(r"got '\S*run/(checkpoints|metrics.csv|run.json)", sentence)
    if full.startswith("No space"):
        assert ("run.json" in left) == begun and ("about.json" in left) == begun
        assert "unfinished" not in left


@pytest.mark.parametrize("taken", ["checkpoints", "checkpoints/0"])
def test_a_file_where_checkpoints_go(tmp_path, taken):
    """Which binds root, too."""
    (tmp_path / taken).parent.mkdir(exist_ok=True)
    (tmp_path / taken).write_text("mine")
    sentence, _ = refused(begin(COMMAND, "train", "adding", *SIZES, "--hidden", "3", "--steps", "4", "--out", tmp_path))
    assert f"got '{tmp_path / taken}': File exists." in sentence
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [Path(taken).name]
