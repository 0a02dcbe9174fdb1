"""What an inspection says in words, and its two pictures: exact sentences, legible at any width, letters by bytes."""

import copy

import numpy as np
import pytest

from gatedrnn import plots, report
from gatedrnn.report._inspection import strip

FORMAT = {"state": [0.0, 0.1], "gradient": [0.0, 1e-3], "weights": {}, "parted_step": [9], "unheld_lag": [101]}
RECORD = {
    "horizon": 100,
    "batch": 3,
    "cells": {"0": "gru", "1": "lstm"},
    "keeps": {"0": "update", "1": "forget"},
    "looks_back": [20, 34, 50],
    "lags": [0, 9, 99],
    "sensitivity": [-1.0, -2.0, None],
    "decay": {"word": "vanishing", "lag_below_1e3": 61.0, "half_life": 6.25, "highest": 0.0},
    "keeper": {"place": "1", "unit": 12, "lag": 34, "share": 0.634, "direct": -2, "rest": -3, "timescale": 1666.2},
    "at_keeper": {"lag": 34, "whole": -2.0, "direct": -2.0, "rest": None, "layers": {"0": 0.25, "1": 0.75}},
    "timescales": {"0": [2.0, 4.0], "1": [8.0, None]},
    "windows": {
        "windows": [1, 16],
        "weights": {"all": {"smallest_window": 16, "cosine": [0.5, 0.991], "norm_ratio": [None, 1.02]}},
    },
    "precision": {
        "horizon": 100,
        "tolerance": 0.1,
        "marks": [1, 100],
        "formats": {"bfloat16": FORMAT | {"parted_lag": [3, 4, 9]}, "float32": FORMAT | {"parted_lag": [101]}},
    },
    "spectrum": {"exponents": [-0.02, -0.3], "error": [0.002, 0.1]},
    "coverage": {
        "trained": 100,
        "steps": 1000,
        "outside_trained": 0.01,
        "outside_beyond": 0.013,
        "marks": [10.0, 990.0],
        "outside": [0.01, 0.02],
    },
}
SAID = {
    "looks back": "The answer looks back 34 steps (20 to 50 in 3 stretches): 99 % of its sensitivity lies there.",
    "gradient": "It falls to a thousandth within 61 steps; fitted over all 100, by half every 6.25.",
    "paths": "34 steps back its norm is 0.01: 0.01 along units by themselves, 0 across the recurrent weights.",
    "unit": "Unit 12 of layer 2 has the most of it there, 63 %, and has it through its forget gate: 0.9994 at a step, "
    "a time scale of 1,670 steps.",
    "layers": "Of its square 34 steps back: 25 % in layer 1 and 75 % in layer 2.",
    "time scales": "Unit 1 of layer 2 keeps what it holds for ever, half of all for 6.",
    "window": "One of 16 steps keeps 99 % of the gradient of the loss, in direction and size.",
    "formats": "In bfloat16 the gradient is off more than 10 % from 4 steps back on. In float32 the gradient is off "
    "less than 10 % everywhere.",
    "exponent": "−0.02 ± 0.002 nats per step: a disturbance of the state halves in 34.7 steps.",
    "states": "Over 1,000 steps, 10 times those of a training sequence, it stays among the states of the first 100: "
    "1.3 % of its numbers are outside their range, against 1 %.",
}


def changed(**parts):
    """The record with parts of it replaced: `windows__weights__all={...}`."""
    record = copy.deepcopy(RECORD)
    for place, value in parts.items():
        *way, last = place.split("__")
        held = record
        for name in way:
            held = held[name]
        held[last] = held[last] | value if isinstance(value, dict) and held[last] else value
    return record


def test_every_line():
    """In the order of a reader's questions, each with its number."""
    assert [(line.name, line.text) for line in report.lines(RECORD)] == list(SAID.items())


@pytest.mark.parametrize(
    ("name", "parts", "said"),
    [
        ("looks back", {"looks_back": [0, 0]}, "The answer depends on nothing that was read."),
        (
            "looks back",
            {"looks_back": [97]},
            "looks back 97 steps: 99 % of its sensitivity lies there. It may be more: ",
        ),
        ("looks back", {"looks_back": [1]}, "The answer looks back 1 step: 99 %"),
        (
            "gradient",
            {"decay": {"word": "exploding", "highest": 41.2}},
            "It grows on its way back, to 10⁴¹ times its st",
        ),
        ("gradient", {"decay": {"lag_below_1e3": None, "half_life": None}}, "It stays within a factor of 1,000 of its"),
        ("gradient", {"decay": {"lag_below_1e3": 0.0}}, "None arrives at any step."),
        ("unit", {"keeper": {"rest": -1.0}}, "63 %, and has it through the recurrent weights."),
        ("unit", {"keeper": {"timescale": None}}, "through its forget gate: 1 at a step, for ever."),
        ("unit", {"keeper": {"timescale": 2.0, "place": "0"}}, "through its update gate: 0.61 at a step, a time scale"),
        ("unit", {"keeps": {"1": ""}}, "through what it keeps of itself: 0.9994 at a step"),
        (
            "window",
            {"windows__weights__all": {"smallest_window": None}},
            "None that was tried keeps 99 % of the gradie",
        ),
        (
            "formats",
            {"precision__formats__float32": {"unheld_lag": [40, 60]}},
            "and from 40 steps on it is beyond what",
        ),
        (
            "exponent",
            {"spectrum": {"exponents": [0.2], "error": [None]}},
            "0.2 nats per step: a disturbance of the stat",
        ),
        (
            "exponent",
            {"spectrum": {"exponents": [0.2], "error": [0.15]}},
            "whether a disturbance of the state grows or",
        ),
        (
            "exponent",
            {"spectrum": {"exponents": [None], "error": [None]}},
            "A disturbance of the state is gone after a",
        ),
        ("states", {"coverage": {"outside_beyond": 0.3}}, "it leaves the states of the first 100: 30 %"),
    ],
)
def test_other_findings(name, parts, said):
    found = {line.name: line.text for line in report.lines(changed(**parts))}
    assert said in found[name]


def test_what_was_not_measured_has_no_line():
    record = changed(at_keeper=None, keeper=None, coverage=None, timescales=None) | {"timescales": {}}
    left = {line.name for line in report.lines(record)}
    assert left == set(SAID) - {"paths", "unit", "layers", "time scales", "states"}


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("length", [1, 47])
@pytest.mark.parametrize("kind", ["text", "series"])
def test_a_strip_is_legible(laid_out, assert_legible, kind, length, columns):
    """Lines of 20 or 60 steps; each row of each line has the colours of its values; a letter without a glyph, too."""
    values = np.linspace(-1, 1, length)
    rows = [plots.Strip("what it adds", values, -1.0, 1.0), plots.Strip("forget gate", abs(values), 0.0, 1.0)]
    read = (["a", "␣", "漢", "▯", "·"] * 10)[:length] if kind == "text" else np.stack([values, values**2], 1)
    key = plots.Key((-1.0, 0.0, 1.0), ("−10", "0", "10"), "lowers, raises")
    panels = [("", rows[:1]), ("unit 12 of layer 2, 48 %", rows)]
    drawn = plots.reading_strip(read, panels, first=1000, title="A", subtitle="b", key=key, columns=columns, dark=True)
    assert_legible(laid_out(drawn))
    meshes = [
        mesh.get_array().ravel() for axis in drawn.axes for mesh in axis.collections if mesh.get_array() is not None
    ]
    lines = -(-length // (20 if columns == 1 else 60))
    found = np.concatenate([meshes[3 * line] for line in range(lines)])
    np.testing.assert_array_equal(found, values)


def test_a_strip_of_many_columns(laid_out, assert_legible):
    """The six that count most, in their order; of what is written, which can be negative, the memory tells."""
    sizes = np.arange(8.0) % 5 - 3
    unit = {
        "place": "",
        "unit": 3,
        "share": 0.5,
        "memory": [0.0, 0.0],
        "gates": {"forget": [0.1, 1.0], "x": [-1.0, 1.0]},
    }
    shown = {"sign": [[1] * 8, [-1] * 8], "log10": [[*sizes[:7], None], [*sizes[:7] - 1, None]], "units": [unit]}
    reading = {
        "kind": "series",
        "rows": [f"column {i}" for i in range(8)],
        "read": np.zeros((2, 8)).tolist(),
        "first": 0,
    }
    record = {"strip": shown, "reading": reading | {"source": "x.csv", "answer": "y"}}
    drawn = laid_out(strip(record))
    assert_legible(drawn)
    labels = [text.get_text() for axis in drawn.axes for text in axis.texts]
    assert [label for label in labels if label.startswith("column")] == [f"column {i}" for i in (0, 1, 2, 3, 4, 6)]
    assert labels[-3:] == ["unit 3, 50 %", "forget gate", "memory, ±1"]
    first = drawn.axes[1].collections[4].get_array().ravel()  # the column 4, of 10 and of 1
    np.testing.assert_allclose(first, [1, -0.75])


def test_a_strip_of_what_does_not_fit():
    row = plots.Strip("row", [1.0, 2.0], 0.0, 1.0)
    with pytest.raises(ValueError, match="`panels` must be rows of 3 numbers, one per step; got 2 of 'row'"):
        plots.reading_strip(["a", "b", "c"], [("", [row])], first=0, title="", subtitle="")
    with pytest.raises(ValueError, match="must not be empty"):
        plots.reading_strip([], [("", [row])], first=0, title="", subtitle="")


@pytest.mark.parametrize("columns", [1, 2])
def test_audits_are_legible(laid_out, assert_legible, columns):
    """Four panels, or three without states; also over one step, and of a gradient that is zero."""
    drawn = laid_out(plots.audits(RECORD, columns=columns))
    assert_legible(drawn)
    (line,) = (line for line in drawn.axes[1].lines if line.get_label() == "cosine")
    np.testing.assert_array_equal(line.get_xydata(), [[1, 0.5], [16, 0.991]])
    one = changed(coverage=None, windows__windows=[1], windows__weights__all={"cosine": [1.0], "norm_ratio": [1.0]})
    one |= {"horizon": 1, "lags": [0], "sensitivity": [None], "looks_back": [0]}
    assert len(laid_out(plots.audits(one, columns=columns)).axes) == 3


def test_letters():
    """One sign for each byte, wherever the stretch is cut."""
    data = "a é\n漢\x07\t".encode()
    signs = plots.letters_of(data)
    assert signs == ["a", "␣", "é", "·", "⏎", "漢", "·", "·", "▯", "⇥"]
    assert [plots.letters_of(data[i:])[0] for i in range(len(data))] == signs
    assert (plots.letters_of(data[:3])[-1], plots.letters_of(b"\xff")) == ("▯", ["▯"])


def test_audits_of_what_is_exact():
    """Formats that differ nowhere, or by more than any number: an axis of the tolerance alone."""
    exact = {"gradient": [0.0, None]}
    figure = plots.audits(changed(precision__formats__bfloat16=exact, precision__formats__float32=exact))
    (axis,) = (axis for axis in figure.axes if axis.get_ylabel() == "part of the gradient")
    assert axis.get_ylim() == pytest.approx((0.01, 0.2))
