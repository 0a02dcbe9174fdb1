"""A cell of the user's own, MODULE:CELL, wherever a command takes a cell; and that no file's content is imported."""

import json
import re
import sys
from pathlib import Path

import pytest

import gatedrnn as gr

OWN = """
from dataclasses import replace
import gatedrnn as gr
leaky = replace(gr.gru, name="leaky")
number = 3
class within:
    plain = replace(gr.rnn, name="plain")
"""
TEXT = ("text", "--text", "own_cells.py", "--embedding", "3")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, succeeds, tiny):
    """A folder with a module of cells and a trap, the current one from here on; a model of one of them, trained."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_cells.py").write_text(OWN)
    (folder / "trap.py").write_text("open('sprung', 'w')")
    (folder / "broken.py").write_text("import no_such_module")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [*sys.path])
        yield succeeds("train", *TEXT, *tiny, "--cell", "own_cells:leaky", "--out", "run"), folder / "run"


def test_train_and_load(trained, read_json):
    """The record keeps what was typed; the model keeps the cell's name, and is loaded with the cell."""
    result, folder = trained
    assert read_json(folder / "run.json")["cell"] == "own_cells:leaky"
    assert re.search(r"^own_cells:leaky text 4/4: ", result.stderr, re.MULTILINE)
    leaky = sys.modules["own_cells"].leaky
    assert gr.load(folder, cells=[gr.lstm, leaky]).model.cell is leaky
    with pytest.raises(ValueError, match="the unknown cell 'leaky'"):
        gr.load(folder)


def test_resume(trained, check_refused, succeeds, read_json):
    """With the cell typed again as it was; without it, or with another, it is refused."""
    line = ("train", "--resume", "run", "--steps", "6")
    check_refused(
        line, "`cell` must be given beside `resume` as it was when this training was begun, 'own_cells:leaky'"
    )
    check_refused((*line, "--cell", "own_cells:within.plain"), "was begun, 'own_cells:leaky'; got 'own_cells:within.pl")
    check_refused((*line, "--cell", "own_cells:leaky", "--rate", "1"), "`rate` must be left out beside `resume`")
    succeeds(*line, "--cell", "own_cells:leaky")
    assert read_json(trained[1] / "result.json")["last"][-1]["step"] == 6


def test_generate(trained, succeeds, check_refused):
    """From the model, where its cell is given."""
    line = ("generate", "run", "--prompt", "a", "--length", "3")
    assert len(succeeds(*line, "--cell", "own_cells:leaky").stdout_bytes) == 5
    check_refused(line, "the unknown cell 'leaky'")


CELLS = ("--cells", "own_cells:leaky,own_cells:within.plain,rnn")


@pytest.mark.slow
def test_race(trained, succeeds, tiny, read_json):
    """Beside the package's; with chrono where it can be."""
    succeeds("race", "adding", *tiny, *CELLS, "--out", "raced")
    entries = [(run["cell"], run["init"]) for run in read_json(Path("raced/race.json"))["runs"]]
    own = [("own_cells:leaky", "default"), ("own_cells:leaky", "chrono"), ("own_cells:within.plain", "default")]
    assert entries == [*own, ("rnn", "default")]


@pytest.mark.slow
def test_compare(trained, succeeds, read_json):
    """By their names."""
    succeeds("compare", *CELLS, "--silent", "--horizon", "20", "--hidden", "2", "--seeds", "1", "--out", "compared")
    assert {run["cell"] for run in read_json(Path("compared/comparison.json"))["runs"]} == {"leaky", "plain", "rnn"}


BAD = {
    "absent:cell": "No module named 'absent'",
    "own_cells:absent": "module 'own_cells' has no attribute 'absent'",
    "own_cells:number": "`gatedrnn.Cell`; got 'own_cells:number', of the type int",
    "broken:cell": "No module named 'no_such_module'",
    "own_cells:": "MODULE:CELL, where it is your own; got 'own_cells:'",
    ":leaky": "MODULE:CELL, where it is your own; got ':leaky'",
    ".own_cells:leaky": "MODULE:CELL, where it is your own; got '.own_cells:leaky'",
    "own_cells": ", ".join(gr.cells.CELLS),
}


@pytest.mark.parametrize("cell", BAD)
@pytest.mark.parametrize(
    "command", ["train adding --cell", "race adding --cells", "compare --cells", "generate run --cell"]
)
def test_what_is_no_cell(trained, check_refused, command, cell):
    """One sentence that names the option and what is wrong with the word."""
    check_refused([*command.split(), cell], BAD[cell])


@pytest.mark.parametrize("file", ["run.json", "model.json"])
def test_what_a_file_names_is_not_imported(trained, monkeypatch, check_refused, names, file):
    """A folder from somebody else runs nothing."""
    _, folder = trained
    monkeypatch.chdir(folder.parent)
    kept = (folder / file).read_text()
    (folder / file).write_text(json.dumps(json.loads(kept) | {"cell": "trap:cell"}))
    message = "`cell` must be given beside `resume`" if file == "run.json" else "the unknown cell 'trap:cell'"
    try:
        check_refused(("train", "--resume", "run") if file == "run.json" else ("generate", "run"), message)
    finally:
        (folder / file).write_text(kept)
    assert "trap" not in sys.modules and "sprung" not in names(folder.parent)
