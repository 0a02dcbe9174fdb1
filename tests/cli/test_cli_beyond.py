"""The cells that are not compared or raced by default, at the command: named, trained, continued, saved, measured."""

import re
from pathlib import Path

import pytest

import gatedrnn as gr

BEYOND = [name for name in gr.cells.CELLS if name not in gr.cells.CLASSICS]


@pytest.mark.slow
@pytest.mark.thinned(4)
@pytest.mark.parametrize("cell", BEYOND)
def test_trained_and_continued(cell, tmp_path, monkeypatch, succeeds, tiny, read_json):
    """By the method that it can have, with the initialisation that it has; what is saved is loaded and goes on."""
    monkeypatch.chdir(tmp_path)
    Path("wave.csv").write_text("v\n" + "\n".join(str(k % 5) for k in range(60)))
    init = "chrono" if gr.cells.CELLS[cell].horizon_option else "default"
    succeeds("train", "series", "--series", "wave.csv", *tiny, "--cell", cell, "--init", init, "--out", "run")
    assert gr.load("run").model.cell is gr.cells.CELLS[cell]
    assert read_json(Path("run/result.json"))["last"][-1]["step"] == 4
    succeeds("forecast", "run", "--series", "wave.csv", "--length", "3", "--out", "next.csv")
    assert len(Path("next.csv").read_text().splitlines()) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("method", ["checkpointed", "segmented --window 3", "autodiff"])
def test_other_methods_take_a_step_alone(method, tmp_path, monkeypatch, succeeds, tiny):
    """Windows and checkpoints evaluate it step by step."""
    monkeypatch.chdir(tmp_path)
    succeeds("train", "adding", *tiny, "--cell", "lem", "--method", *method.split(), "--out", "run")


@pytest.mark.slow
def test_raced_beside_a_classic(tmp_path, monkeypatch, succeeds, tiny, read_json):
    """Each from every initialisation that it has."""
    monkeypatch.chdir(tmp_path)
    succeeds("race", "adding", *tiny, "--cells", "gru,gru_before,relu_rnn", "--out", "raced")
    entries = [(run["cell"], run["init"]) for run in read_json(Path("raced/race.json"))["runs"]]
    gated = [(cell, init) for cell in ("gru", "gru_before") for init in ("default", "chrono")]
    assert entries == [*gated, ("relu_rnn", "default")]


@pytest.mark.slow
def test_compared(tmp_path, monkeypatch, succeeds, read_json):
    """All, at rest and driven, in one table of 80 columns; a relu at rest passes nothing, and is called so."""
    monkeypatch.chdir(tmp_path)
    line = ("--cells", ",".join(BEYOND), "--noise", "1", "--horizon", "30", "--hidden", "3", "--seeds", "1")
    out = succeeds("compare", *line, "--out", "compared").stdout
    assert max(map(len, out.splitlines())) <= 80
    for cell in BEYOND:
        assert re.search(rf"^{cell} +default +silent .*(isometric|vanishing|exploding) *$", out, re.MULTILINE)
    runs = read_json(Path("compared/comparison.json"))["runs"]
    assert {run["cell"] for run in runs} == {*BEYOND}
    silent = [run for run in runs if run["cell"] == "relu_rnn" and run["input"] == "silent"]
    assert [run["verdict"] for run in silent] == ["vanishing"]
