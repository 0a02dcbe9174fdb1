"""Which path: committed with its outputs; a run at a smaller horizon fails nowhere, and what it measures is right."""

import math
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02_which_path_carries_the_gradient.ipynb"
SMALL = {"HORIZON": 300, "HIDDEN": 8, "DELAY": 40, "UPDATES": 120, "TRUNCATED": 5}


def numbers(cells):
    return [float(cell.replace(",", "")) for cell in cells]


def test_every_cell_ran(either):
    either.assert_whole(pictures=10)


def test_jacobians_by_hand_agree(either):
    """Whole, direct and rest, of both cells, at lags up to a hundred; and the direct path is a product of gates."""
    rows = either.table("`paths`: whole")
    assert [row[:2] for row in rows] == [[name, lag] for name in ("LSTM", "GRU") for lag in ("1", "10", "100")]
    for row in rows:
        assert numbers(row[2:5]) == pytest.approx(numbers(row[5:]), rel=1e-3)
    (gap,) = either.sentence(r"At no lag up to 100 does any of them differ by more than (\S+) of itself")
    assert float(gap) < 1e-4
    (product,) = either.sentence(r"the product of 99 gates: by hand, to within (\S+)\. ")
    assert float(product) < 1e-12


def test_chrono_goes_along_the_gates(either):
    """Of the default initialisation nearly all crosses U; units keep as long as their gates say."""
    rows = {row[0]: row[1:] for row in either.table("direct / whole")}
    assert set(rows) == {f"{cell}, {init}" for cell in ("LSTM", "GRU") for init in ("default", "chrono")}
    for cell in ("LSTM", "GRU"):
        assert 0.5 < float(rows[f"{cell}, chrono"][-2]) < 2
        assert "⁻" in rows[f"{cell}, default"][-1]
        share = rows[f"{cell}, default"][-2]
        assert "10⁻" in share or float(share) < 0.01
    fell, predicted = either.sentence(r"own road has fallen to (\S+), and \$.*\$ says (\S+)\.")
    assert float(fell) == pytest.approx(float(predicted), rel=0.02)
    needed = either.sentence(r"nine tenths of the squared gradient in c lie in (\d+) of (\d+) units")
    assert 1 <= int(needed[0]) < int(needed[1])


def test_a_stack_needs_one_long_memory(either):
    rows = {row[0]: row[1:] for row in either.table("chrono in")}
    assert "10⁻" in rows["neither"][0]
    assert all(0.01 < float(rows[name][0]) < 1 for name in ("the lower", "the upper", "both"))
    assert (rows["the lower"][1], rows["the upper"][1]) == ("100%", "0%")
    either.sentence("(One layer with a long memory is enough)")


def test_marked_steps_are_found(either):
    """After training the answer depends on the two marked values alone, with slopes near 1."""
    rows = {row[0]: row[1:] for row in either.table("two largest are the marked")}
    before, after = (numbers(cell.rstrip("%") for cell in rows[f"{when} training"]) for when in ("before", "after"))
    assert 0.8 < after[0] < 1.1 and abs(after[1]) < 0.02 and after[2] < 0.5 and after[3] >= 95
    assert abs(before[0]) < 0.2 and before[3] < 50


def test_windows(either):
    """Short ones keep no gradient, and from a memory that is built in one learns by them all the same."""
    for row in either.table("smallest window"):
        assert all(int(window) >= 40 for window in row[1:])
    rows = {row[0]: row[1:] for row in either.table("cosine of the first gradient")}
    assert [cell.partition(", ")[2] for cell in rows["writable"][:2]] == ["learned", "learned"]
    assert rows["chrono"][1].endswith("not learned")
    assert all(0 < float(row[2]) < 0.99 for row in rows.values())


def test_rates_agree(either):
    """Forwards and backwards, to some nats over T; no gradient is above the largest singular value."""
    rows = {row[0]: row[1:] for row in either.table("leading exponent")}
    for name, reach in (("GRU, default", 5), ("GRU, chrono", 3)):
        assert float(rows[name][3]) < reach
    exponent, error = numbers(rows["GRU, default"][0].split(" ± "))
    assert 0 < error < 0.01 < -exponent
    assert float(either.sentence(r"the largest quotient of the two is (\S+)\.")[0]) < 1.001
    directions = {row[0]: int(row[-1]) for row in either.table("largest singular value")}
    assert directions["GRU, default"] == 0 < directions["GRU, chrono"]


def test_eigenvalues_at_rest(either):
    """The gate's with U = 0; with an orthogonal U on the circle around it, by the formula."""
    rows = {row[0]: row[1:] for row in either.table("starts that end there")}
    for at, starts, gap, *_ in rows.values():
        assert float(at) < 1e-6 and starts == "8 of 8" and float(gap) < 1e-5
    z = 0.99
    gate, slowest, fastest = (-1 / math.log(value) for value in (z, z + (1 - z) / 2, z - (1 - z) / 2))
    assert numbers(rows["U = 0"][3:]) == pytest.approx([gate, gate], rel=1e-3)
    longest, shortest = numbers(rows["U orthogonal"][3:])
    assert gate < longest <= slowest * 1.001 and fastest * 0.999 <= shortest < gate
    assert float(either.sentence(r"own time scale, .*, is (\S+) steps")[0]) == pytest.approx(gate, rel=1e-3)


def test_what_was_changed_does_what_was_wished(either):
    """A bias for 1/e, a gain of 1 / ρ, and four units that can be written."""
    rows = {row[0]: row[1:] for row in either.table("bias of the update gate")}
    solved, *_ = numbers(rows["`solve_horizon`"][1:])
    assert solved == pytest.approx(math.exp(-1), abs=1.1e-3)
    rest, driven = (row[1:] for row in either.table("critical gain"))
    assert float(rest[0]) == pytest.approx(float(rest[1]), rel=0.01)
    assert float(driven[0]) > float(rest[0])
    for row in (rest, driven):
        assert abs(float(row[3])) < 0.2 * abs(float(row[2]))
    units = {row[0]: row[1:] for row in either.table("writable units")}
    assert [row[0].split(" of ")[0] for row in units.values()] == ["0", "0", "4"]
    losses = {name: float(row[-1]) for name, row in units.items()}
    assert losses["writable"] < 0.01 < losses["chrono"] and losses["default"] > 0.1


def test_committed_notebook_is_clean(committed):
    text = "\n".join(cell.source for cell in committed.content.cells if cell.cell_type == "markdown")
    assert " ".join(text.split()).count("*You should see*") == 4
    assert [row[0] for row in committed.table("direct / whole")] == [
        *("LSTM, default", "GRU, default", "LSTM, chrono", "GRU, chrono")
    ]
    assert NOTEBOOK.stat().st_size < 1_500_000
    committed.assert_clean()
