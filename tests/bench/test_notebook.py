"""The lesson: it is committed with its outputs; a run at a smaller horizon fails nowhere and gets its numbers right."""

import math
import re
from pathlib import Path

import pytest
from notebook_runs import code_cells, execute, outputs, read

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_gradients_over_10000_steps.ipynb"
HORIZON = 1_000
SMALL = {"HORIZON": HORIZON, "HIDDEN": 16, "DELAY": 30, "UPDATES": 4}
SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def table(notebook, header):
    """Rows of the one table whose first line contains `header`, without emphasis."""
    tables = [content for content in outputs(notebook, "text/markdown") if content.startswith("|")]
    (source,) = [content for content in tables if header in content.split("\n")[0]]
    return [[cell.strip(" *") for cell in line.strip("| ").split(" | ")] for line in source.split("\n")[2:]]


def sentence(notebook, pattern):
    """The groups of the one place where `pattern` occurs in the displayed text."""
    (match,) = re.finditer(pattern, "\n".join(outputs(notebook, "text/markdown")))
    return match.groups()


def log10_of(printed):
    """The inverse of `plots.power`: "0.131", "1.2×10⁻⁴" and "10⁻¹²⁴⁹" to their logarithms."""
    digits = printed.translate(SUPERSCRIPTS)
    if "10-" not in digits:
        return math.log10(float(digits))
    mantissa, exponent = digits.split("10-")
    return math.log10(float(mantissa.strip("×") or 1)) - float(exponent)


@pytest.fixture(scope="module")
def committed():
    return read(NOTEBOOK)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    return execute(NOTEBOOK, SMALL, tmp_path_factory.mktemp("notebook"))


def test_every_cell_runs(executed):
    cells = code_cells(executed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert len(outputs(executed, "image/png")) == 10


def test_verbs_agree_with_their_subjects(executed):
    assert sentence(executed, r"At \*\*are\*\*.*\*\*(\w+)\*\*") == ("plural",)
    assert sentence(executed, r"At \*\*sleeps\*\*.*\*\*(\w+)\*\*") == ("singular",)


def test_ways_to_take_a_step_agree(executed):
    rows = table(executed, "`gr.unroll`")
    assert [row[:2] for row in rows] == [["RNN", "h"], ["GRU", "h"], ["LSTM", "h, c"]]
    assert all(float(gap) < 1e-5 for row in rows for gap in row[2:])


def test_grad_is_zero_where_the_gradient_is_not(executed):
    rows = {
        (cell, name): (float(plain), log10_of(norm)) for cell, name, plain, norm in table(executed, "largest entry")
    }
    for cell in ("RNN", "GRU", "LSTM"):
        plain, norm = rows[cell, "text"]
        assert plain == 0
        assert -HORIZON < norm < -38
    assert rows["RNN", "silent"][1] == pytest.approx(0, abs=1e-3)
    assert rows["GRU", "silent"][1] == pytest.approx(HORIZON * math.log10(3 / 4), rel=0.1)  # z + (1 - z) r = 3/4


def test_instrument_agrees_with_grad_where_grad_sees(executed):
    for name in ("GRU", "LSTM"):
        assert float(sentence(executed, rf"{name}: at the \d+ lags .* at most (\S+) decades")[0]) < 1e-3


def test_closed_form(executed):
    rows = table(executed, "σ(b)ᵀ")
    assert len(rows) == 6
    for row in rows:
        b, _, _, gru, gru_measured, lstm, lstm_measured = map(float, (cell.replace(",", "") for cell in row))
        exact = -HORIZON * math.log10(1 + math.exp(-b))
        assert gru == pytest.approx(exact, abs=1e-3)
        assert lstm == pytest.approx(exact + math.log10(0.5), abs=1e-3)
        assert gru_measured == pytest.approx(gru, rel=1e-3, abs=2e-3)
        assert lstm_measured == pytest.approx(lstm, rel=1e-3, abs=2e-3)


def test_backward_and_forward_rates_agree(executed):
    rows = {row[0]: row for row in table(executed, "λ/ln 10")}
    for name in ("RNN", "GRU", "LSTM"):
        assert float(rows[name][4]) == pytest.approx(1, abs=0.1)


def test_verdicts(executed):
    rows = [[cell.replace("*", "") for cell in row[1:]] for row in table(executed, "Untrained, over")]
    kept, lost = "isometric", "vanishing"
    wanted = [(kept, lost), (lost, lost), (lost, lost), (kept, kept), (kept, kept)]
    assert [tuple(re.search(r"\((\w+)\)", cell)[1] for cell in row) for row in rows] == wanted
    assert [["false" in cell for cell in row] for row in rows[:2]] == [[True, False], [True, True]]


def test_committed_outputs_are_of_one_run(committed):
    cells = code_cells(committed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert len(outputs(committed, "image/png")) == 10
    assert [float(row[4]) for row in table(committed, "σ(b)ᵀ")] == pytest.approx(
        [-3010.30, -1360.48, -551.24, -211.01, -29.164, -3.9585], rel=1e-3
    )


def test_committed_run_shows_that_the_bias_matters_for_learning(committed):
    learned = {row[0]: row[-1] for row in table(committed, "right answers on new data")}
    assert learned["GRU chrono"] == learned["LSTM chrono"] == "3 of 3"
    assert learned["GRU"] == learned["LSTM"] == "0 of 3"


def test_committed_notebook_is_clean(committed):
    assert NOTEBOOK.stat().st_size < 2_000_000
    assert committed.metadata.kernelspec.name == "python3"
    assert set(committed.metadata) == {"kernelspec", "language_info"}
    assert all(not cell.metadata for cell in committed.cells)
    streams = [output for cell in code_cells(committed) for output in cell.outputs if output.output_type == "stream"]
    assert {output.name for output in streams} == {"stdout"}
    shown = "\n".join([*(output.text for output in streams), *outputs(committed, "text/markdown")])
    assert not re.search(r"[Ww]arning|/(home|root|tmp|usr|work|Users)/", shown)
