"""Singular or plural: committed with its outputs; a short run fails nowhere and finds what the lesson says."""

import re
from pathlib import Path

import pytest
from notebook_runs import code_cells, execute, outputs, read

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_singular_or_plural.ipynb"
SMALL = {"UPDATES": 400, "LONGEST": 200}


def table(notebook, header):
    """The rows of the table whose first line contains `header`, by their first cell."""
    (source,) = [text for text in outputs(notebook, "text/markdown") if header in text.split("\n")[0]]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in source.split("\n")[2:]]
    return {row[0]: row[1:] for row in rows}


@pytest.fixture(scope="module")
def committed():
    return read(NOTEBOOK)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    return execute(NOTEBOOK, SMALL, tmp_path_factory.mktemp("notebook"))


@pytest.mark.parametrize("run", ["executed", "committed"])
def test_every_cell_ran_in_order(run, request):
    notebook = request.getfixturevalue(run)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert len(outputs(notebook, "image/png")) == 3


@pytest.mark.parametrize("run", ["executed", "committed"])
def test_gated_cells_beat_every_shortcut(run, request):
    rows = table(request.getfixturevalue(run), "right answers, median of seeds")
    shortcuts = list(map(float, rows["best shortcut"]))
    assert shortcuts == [1.0, 0.75, 0.75, 0.75, 0.75, 0.75]
    for name in ("LSTM", "GRU"):
        scores = list(map(float, rows[name]))
        assert scores[0] > 0.95 and min(scores[1:]) > 0.9


@pytest.mark.parametrize("run", ["executed", "committed"])
def test_units_are_found(run, request):
    """The most selective unit tells the number, and half of the units held still leave the answers at chance."""
    rows = table(request.getfixturevalue(run), "upper half held")
    assert list(rows) == ["LSTM", "GRU", "RNN"]
    for name in ("LSTM", "GRU"):
        unit, selectivity, _, free, _, upper, _ = rows[name]
        assert re.fullmatch(r"[ch]\d", unit) and abs(float(selectivity)) > 0.9
        assert float(free) > 0.9 and float(upper) < 0.8


def test_strips_in_words(committed):
    """Gated cells answer both sentences, with a noun of the other number last and first; each gate closes somewhere."""
    said = [text for text in outputs(committed, "text/markdown") if text.startswith("Right is *")]
    for text, verb in zip(said, ("are", "is"), strict=True):
        assert text.startswith(f"Right is *{verb}*: LSTM {verb}, GRU {verb}, RNN ")
        gates = dict(re.findall(r"(LSTM|GRU) (?:forget|update) gate (\d\.\d\d) at", text))
        assert set(gates) == {"LSTM", "GRU"} and max(map(float, gates.values())) < 0.95


def test_committed_notebook_is_clean(committed):
    assert NOTEBOOK.stat().st_size < 2_000_000
    assert committed.metadata.kernelspec.name == "python3"
    assert all(not cell.metadata for cell in committed.cells)
    streams = [output for cell in code_cells(committed) for output in cell.outputs if output.output_type == "stream"]
    assert {output.name for output in streams} == {"stdout"}
    shown = "\n".join([*(output.text for output in streams), *outputs(committed, "text/markdown")])
    assert not re.search(r"[Ww]arning|/(home|root|tmp|usr|work|Users)/", shown)
