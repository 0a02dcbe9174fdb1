"""The program of the records: an entry is trained once, with its tests; what is there is left alone."""

import functools
import json

import jax
import pytest


@pytest.fixture
def records(run):
    """`(*arguments) -> CompletedProcess` of the program."""
    return functools.partial(run, "-m", "benchmarks.learning")


@pytest.mark.slow
def test_an_entry_is_trained_once_and_its_tests_are_added(records, tmp_path):
    """A hundredth of the horizon; without its tests an entry gets them, and keeps everything else."""
    arguments = ("--quick", "--results", tmp_path, "--runs", tmp_path / "runs", "adding-100000")
    done = records(*arguments)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "adding-100000.json"
    first = path.read_bytes()
    entry, *others = json.loads(first)["entries"]
    names = ["lstm chrono, seed 1", "lstm chrono, seed 2", "lstm chrono, wide input"]
    assert [other["label"] for other in others] == names
    assert entry["setup"]["horizon"] == 1_000
    assert entry["made"]["versions"]["jax"] == jax.__version__
    assert (entry["updates"], [row["step"] for row in entry["rows"]]) == (4, [2, 4])
    assert len(entry["tests"]["20 batches"]["loss"]) == 1
    assert not entry["resumed"]
    record = json.loads(first)
    record["entries"][0]["tests"] = {}
    record["entries"][0]["seconds"] = 123.0  # of the training, which is not repeated
    path.write_text(json.dumps(record))
    for _ in range(2):  # the second time nothing is missing
        done = records(*arguments)
        assert done.returncode == 0, done.stderr
        record["entries"][0]["tests"] = entry["tests"]
        assert json.loads(path.read_bytes()) == record


@pytest.mark.slow
def test_lists_and_refuses(records):
    """Without a name every record with its line; a wrong one is named, with status 2."""
    listed = records()
    assert listed.returncode == 0
    assert "adding-100000 " in listed.stdout
    for arguments, message in ((["adding-5"], "adding-5"), (["--at-once", "0"], "--at-once must be between 1 and")):
        wrong = records(*arguments)
        assert (wrong.returncode, message in wrong.stderr) == (2, True)
