"""Singular or plural: committed with its outputs; a short run fails nowhere and finds what the lesson says."""

import re
from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02_singular_or_plural.ipynb"
SMALL = {"UPDATES": 400, "LONGEST": 100, "ATTRACTORS": "0 2", "SEEDS": 1}


def by_name(rows):
    """The rows of a table by their first cell."""
    return {name: cells for name, *cells in rows}


def test_every_cell_ran(either):
    either.assert_whole(pictures=3)


def test_gated_cells_beat_every_shortcut(either):
    rows = by_name(either.table("right answers, median of seeds"))
    shortcuts = list(map(float, rows["best shortcut"]))
    assert shortcuts[0] == 1.0 and shortcuts[1:] == [0.75] * (len(shortcuts) - 1)
    assert len(shortcuts) >= 2
    for name in ("LSTM", "GRU"):
        scores = list(map(float, rows[name]))
        assert scores[0] > 0.95 and min(scores[1:]) > 0.9


def test_units_are_found(either):
    """The most selective unit tells the number, and half of the units held still leave the answers at chance."""
    rows = by_name(either.table("upper half held"))
    assert list(rows) == ["LSTM", "GRU", "RNN"]
    for name in ("LSTM", "GRU"):
        unit, selectivity, _, free, _, upper, _ = rows[name]
        assert re.fullmatch(r"[ch]\d", unit) and abs(float(selectivity)) > 0.9
        assert float(free) > 0.9 and float(upper) < 0.8


def test_strips_in_words(committed):
    """Gated cells answer both sentences, with a noun of the other number last and first; each gate closes somewhere."""
    said = [text for text in committed.outputs("text/markdown") if text.startswith("Right is *")]
    for text, verb in zip(said, ("are", "is"), strict=True):
        assert text.startswith(f"Right is *{verb}*: LSTM {verb}, GRU {verb}, RNN ")
        gates = dict(re.findall(r"(LSTM|GRU) (?:forget|update) gate (\d\.\d\d) at", text))
        assert set(gates) == {"LSTM", "GRU"} and max(map(float, gates.values())) < 0.95


def test_committed_notebook_is_clean(committed):
    assert NOTEBOOK.stat().st_size < 2_000_000
    committed.assert_clean()
