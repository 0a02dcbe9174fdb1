"""Networks at the command line: trained, raced and refused by their names."""

from pathlib import Path

import pytest

import gatedrnn as gr

NAME = "stack(gru, rnn, dropout=0.1)"


def test_trained_and_gone_on_with(tmp_path, monkeypatch, succeeds, tiny, read_json):
    """The run says the network's name, by which it is found again."""
    monkeypatch.chdir(tmp_path)
    succeeds("train", "parity", *tiny, "--cell", NAME, "--out", "run")
    assert read_json(Path("run/run.json"))["cell"] == gr.load("run").model.cell.name == NAME
    succeeds("train", "parity", *tiny, "--from", "run", "--out", "again")
    assert read_json(Path("again/run.json"))["cell"] == NAME


@pytest.mark.slow
def test_raced_beside_a_cell(tmp_path, monkeypatch, succeeds, tiny):
    """Commas inside parentheses belong to the network; the table says its name."""
    monkeypatch.chdir(tmp_path)
    printed = succeeds("race", "parity", *tiny, "--cells", f"gru,{NAME}", "--out", "q").output
    assert NAME in printed and Path("q/race.json").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stack(gru", "such as 'stack(gru, gru)'"),
        ("stack(gru, nix)", "there is no cell nix"),
        ("stack(gru, dropout=2)", "`dropout` must be below 1"),
        ("print(gru)", "neither a cell nor a network"),
        ("stack()", "`cells` must be at least one"),
    ],
)
def test_refused_in_one_sentence(invoke, tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    result = invoke("train", "parity", "--cell", name, "--horizon", "8")
    assert result.exit_code == 2 and words in result.stderr and len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
