"""The lesson: it is committed with its outputs; a run at a smaller horizon fails nowhere and gets its numbers right."""

import math
import re
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_gradients_over_10000_steps.ipynb"
HORIZON = 1_000
SMALL = {"HORIZON": HORIZON, "HIDDEN": 16, "DELAY": 30, "UPDATES": 4}
SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def log10_of(printed):
    """The inverse of `plots.power`: "0.131", "1.2×10⁻⁴" and "10⁻¹²⁴⁹" to their logarithms."""
    digits = printed.translate(SUPERSCRIPTS)
    if "10-" not in digits:
        return math.log10(float(digits))
    mantissa, exponent = digits.split("10-")
    return math.log10(float(mantissa.strip("×") or 1)) - float(exponent)


def test_every_cell_ran(either):
    either.assert_whole(pictures=10)


@pytest.mark.slow
def test_verbs_agree_with_their_subjects(executed):
    assert executed.sentence(r"At \*\*are\*\*.*\*\*(\w+)\*\*") == ("plural",)
    assert executed.sentence(r"At \*\*sleeps\*\*.*\*\*(\w+)\*\*") == ("singular",)


@pytest.mark.slow
def test_ways_to_take_a_step_agree(executed):
    rows = executed.table("`gr.unroll`")
    assert [row[:2] for row in rows] == [["RNN", "h"], ["GRU", "h"], ["LSTM", "h, c"]]
    assert all(float(gap) < 1e-5 for row in rows for gap in row[2:])


@pytest.mark.slow
def test_grad_is_zero_where_the_gradient_is_not(executed):
    rows = {(cell, name): (float(plain), log10_of(norm)) for cell, name, plain, norm in executed.table("largest entry")}
    for cell in ("RNN", "GRU", "LSTM"):
        plain, norm = rows[cell, "text"]
        assert plain == 0
        assert -HORIZON < norm < -38
    assert rows["RNN", "silent"][1] == pytest.approx(0, abs=1e-3)
    assert rows["GRU", "silent"][1] == pytest.approx(HORIZON * math.log10(3 / 4), rel=0.1)  # z + (1 - z) r = 3/4


@pytest.mark.slow
def test_instrument_agrees_with_grad_where_grad_sees(executed):
    for name in ("GRU", "LSTM"):
        assert float(executed.sentence(rf"{name}: at the \d+ lags .* at most (\S+) decades")[0]) < 1e-3


@pytest.mark.slow
def test_closed_form(executed):
    rows = executed.table("σ(b)ᵀ")
    assert len(rows) == 6
    for row in rows:
        b, _, _, gru, gru_measured, lstm, lstm_measured = map(float, (cell.replace(",", "") for cell in row))
        exact = -HORIZON * math.log10(1 + math.exp(-b))
        assert gru == pytest.approx(exact, abs=1e-3)
        assert lstm == pytest.approx(exact + math.log10(0.5), abs=1e-3)
        assert gru_measured == pytest.approx(gru, rel=1e-3, abs=2e-3)
        assert lstm_measured == pytest.approx(lstm, rel=1e-3, abs=2e-3)


@pytest.mark.slow
def test_backward_and_forward_rates_agree(executed):
    rows = {row[0]: row for row in executed.table("λ/ln 10")}
    for name in ("RNN", "GRU", "LSTM"):
        assert float(rows[name][4]) == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_verdicts(executed):
    rows = [[cell.replace("*", "") for cell in row[1:]] for row in executed.table("Untrained, over")]
    kept, lost = "isometric", "vanishing"
    wanted = [(kept, lost), (lost, lost), (lost, lost), (kept, kept), (kept, kept)]
    assert [tuple(re.search(r"\((\w+)\)", cell)[1] for cell in row) for row in rows] == wanted
    assert [["false" in cell for cell in row] for row in rows[:2]] == [[True, False], [True, True]]


def test_committed_closed_form(committed):
    assert [float(row[4]) for row in committed.table("σ(b)ᵀ")] == pytest.approx(
        [-3010.30, -1360.48, -551.24, -211.01, -29.164, -3.9585], rel=1e-3
    )


def test_committed_run_shows_that_the_bias_matters_for_learning(committed):
    learned = {row[0]: row[-1] for row in committed.table("right answers on new data")}
    assert learned["GRU chrono"] == learned["LSTM chrono"] == "3 of 3"
    assert learned["GRU"] == learned["LSTM"] == "0 of 3"


def test_committed_notebook_is_clean(committed):
    assert NOTEBOOK.stat().st_size < 2_000_000
    committed.assert_clean()
