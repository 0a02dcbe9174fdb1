"""Two commits in turns: each in its own tree, equal before they are timed."""

import json
import shutil
import subprocess

import pytest

import gatedrnn as gr
from benchmarks.speed import against
from benchmarks.speed.problem import Size

SIZE = Size(2, 3, 4, 20)
LOUDER = """
import dataclasses

scaled = lambda params, xs, project=cell.project: tuple(1.001 * gate for gate in project(params, xs))
cell = dataclasses.replace(cell, project=scaled)
"""


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_a_commit_beside_the_tree(run, project, tmp_path, devices):
    """A row per program of every size that the devices can share; the record says what was measured."""
    out = tmp_path / "against.json"
    sizes = ("--size", *SIZE, "--size", *SIZE._replace(batch=1))
    options = (*sizes, "--cells", "lstm", "--repeats", 3, "--devices", devices, "--out", out)
    done = run("-m", "benchmarks.speed.against", "HEAD", *options)
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True, check=True)
    assert record["against"] == {"revision": "HEAD", "commit": head.stdout.strip(), "gatedrnn": gr.__version__}
    assert {"versions", "commit", "device"} < record.keys()
    programs = ["forward", "forward + backward"]
    want = [(batch, program) for batch in ((2, 1) if devices == 1 else (2,)) for program in programs]
    assert [(row["B"], row["program"]) for row in record["rows"]] == want
    assert len(done.stdout.splitlines()) == len(want)
    for row in record["rows"]:
        assert 0 <= row["error"] < 1e-4
        assert row["ratio_of_medians"] == row["new"]["ms"] / row["old"]["ms"]
        assert row["ratio_of_minima"] == row["new"]["spread"][0] / row["old"]["spread"][0]


@pytest.mark.slow
def test_other_numbers_are_not_timed(project, tmp_path):
    """A tree whose LSTM hears its inputs a little louder."""
    shutil.copytree(project / "gatedrnn", tmp_path / "tree" / "gatedrnn", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "tree" / "gatedrnn" / "cells" / "lstm.py").open("a") as file:
        file.write(LOUDER)
    with against.started(tmp_path / "tree", 1) as old, against.started(project, 1) as new:
        assert set(gr.cells.CLASSICS) <= set(old.told["cells"])
        assert len(list(against.measure(old, new, gr.gru, SIZE, 1, tmp_path))) == 2
        with pytest.raises(SystemExit, match="lstm 2 3 4 20: other numbers than before"):
            next(against.measure(old, new, gr.lstm, SIZE, 1, tmp_path))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["no-such-commit"], "fatal: "), (["HEAD", "--repeats", "0"], "must be at least 1")],
)
def test_refusals(run, arguments, told):
    """In a sentence, without a traceback."""
    done = run("-m", "benchmarks.speed.against", *arguments)
    assert done.returncode in (1, 2)
    assert told in done.stderr and "Traceback" not in done.stderr
