"""The plateau clock holds what was trained: read back from the figure, and from its rendered boxes."""

import json
import math
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Annotation

from gatedrnn import plots

FIVE = [("rnn", "default"), ("gru", "default"), ("gru", "chrono"), ("lstm", "default"), ("lstm", "chrono")]
CHANCE = 1 / 6


def run(cell, init, loss, seeds=2, steps=(50, 100, 150), chance=CHANCE):
    """A run as in `race.json`, whose test loss is `loss(step, seed)`; rows in order of steps, then of seeds."""
    rows = [{"step": step, "seed": seed, "test_loss": loss(step, seed)} for step in steps for seed in range(seeds)]
    return {"cell": cell, "init": init, "chance": chance, "rows": rows}


def falling(rate):
    """From 0.2, by `rate` per update; each seed a tenth above the one before it."""
    return lambda step, seed: 0.2 * math.exp(-rate * step) * (1 + seed / 10)


def always(loss):
    return lambda step, seed: loss


def after_one(loss):
    """1 at first, then another."""
    return lambda step, seed: 1.0 if step < 60 else loss


def all_of(loss, **options):
    return [run(cell, init, loss, **options) for cell, init in FIVE]


def with_rnn(loss):
    return [run(cell, init, loss if cell == "rnn" else falling(0.02)) for cell, init in FIVE]


SAMPLE = [run(cell, init, falling(place / 50), seeds=3) for place, (cell, init) in enumerate(FIVE)]
CASES = {
    "sample": (SAMPLE, 0.01),
    "nobody moves": (all_of(always(CHANCE)), None),
    "target at chance": (all_of(falling(0.01)), CHANCE),
    "target just below chance": (all_of(falling(0.001)), 0.95 * CHANCE),
    "target just above the axis": (all_of(falling(0.001)), 0.8 * CHANCE),
    "all end alike": (all_of(falling(0.08)), 0.15),
    "barely moving": (all_of(lambda step, seed: CHANCE * (1 + 1e-5 * step)), None),
    "target far away": (all_of(falling(0.01)), 1e-9),
    "no loss at all": (all_of(always(0.0)), 0.0),
    "no chance": (all_of(falling(0.01), chance=0.0), None),
    "one diverged": (with_rnn(always(math.nan)), None),
    "one diverged later": (with_rnn(after_one(math.inf)), 0.01),
    "one of JSON's null": (with_rnn(always(None)), None),
    "all diverged": (all_of(always(math.nan)), 0.1),
    "huge": (with_rnn(always(1e30)), None),
    "one test": (all_of(falling(0.02), steps=(50,), seeds=1), 0.05),
    "a million": (all_of(falling(1e-6), steps=(500_000, 1_000_000)), None),
    "alone": ([run("gru", "default", falling(0.01))], None),
    "odd names": ([run(r"a_$\b$ <c> & a very long name", "my init", falling(0.01))], None),
    "crowd": ([run(f"cell {i}", init, falling(0.01)) for i in range(7) for init in ("default", "chrono")], 0.01),
}  # fmt: skip


@pytest.fixture
def draw(laid_out):
    """(case) -> the figure of a case, laid out, and its axis."""

    def make(case, **options):
        runs, target = CASES[case]
        figure = laid_out(plots.plateau_clock(runs, title="adding, 1,000 steps", target=target, **options))
        return figure, figure.axes[0]

    return make


def notes(axis):
    return [text.get_text() for text in axis.texts if isinstance(text, Annotation)]


def losses(runs):
    """[runs, N, S]."""
    return [np.array([row["test_loss"] for row in one["rows"]]).reshape(-1, 3) for one in runs]


def test_lines_are_the_medians_of_the_seeds(draw):
    figure, axis = draw("sample")
    for line, found in zip(axis.lines, losses(SAMPLE), strict=False):
        np.testing.assert_array_equal(line.get_xdata(), [50, 100, 150])
        np.testing.assert_allclose(line.get_ydata(), np.median(found, axis=1))
    assert axis.get_yscale() == "log"
    assert axis.get_xlim()[0] == 0
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("updates", "test loss")
    assert figure.texts[0].get_text() == "Who leaves the plateau: adding, 1,000 steps"


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_band_is_the_range_of_the_seeds(seeds):
    """From the best to the worst, at every test; of one seed it has no height."""
    axis = plots.plateau_clock([run("gru", "chrono", falling(0.01), seeds=seeds)], title="t").axes[0]
    (band,) = axis.collections
    vertices = band.get_paths()[0].vertices
    for step in (50, 100, 150):
        found = vertices[vertices[:, 0] == step][:, 1]
        each = [falling(0.01)(step, seed) for seed in range(seeds)]
        np.testing.assert_allclose([found.min(), found.max()], [min(each), max(each)])


def test_rows_in_any_order():
    """Steps and seeds are told by the rows themselves."""
    shuffled = [one | {"rows": one["rows"][::-1]} for one in SAMPLE]
    assert plots.svg(plots.plateau_clock(shuffled, title="t")) == plots.svg(plots.plateau_clock(SAMPLE, title="t"))


def test_chance_and_target(draw):
    """One line each, across the whole axis, with their numbers; no target, no line; both alike, one line."""
    for case, words, levels in (
        ("sample", ["chance 0.167", "target 0.01"], [CHANCE, 0.01]),
        ("nobody moves", ["chance 0.167"], [CHANCE]),
        ("target at chance", ["chance and target 0.167"], [CHANCE]),
    ):
        _, axis = draw(case)
        assert [note for note in notes(axis) if note.startswith(("chance", "target"))] == words
        across = [line for line in axis.lines if list(line.get_xdata()) == [0, 1]]
        assert [line.get_ydata()[0] for line in across] == levels
        assert len(axis.lines) == 5 + len(levels)


def test_levels_are_named_where_no_curve_passes(laid_out):
    """A curve that stays near chance for a while, and another at it to the end: the words stand off both."""
    stays = lambda step, seed: 0.18 if step < 400 else 0.001
    runs = [run("gru", "default", stays, steps=(100, 399, 400, 1_000)), run("lstm", "default", always(CHANCE))]
    figure = laid_out(plots.plateau_clock(runs, title="t"))
    axis = figure.axes[0]
    (words,) = [text for text in axis.texts if text.get_text().startswith("chance")]
    box = words.get_window_extent(figure.canvas.get_renderer())
    steps = np.linspace(100, 1_000, 901)
    curve = axis.transData.transform(np.stack([steps, np.interp(steps, [399, 400], [0.18, 0.001])], axis=1))
    assert not any(box.contains(*point) for point in curve)


def test_updates_are_written_as_elsewhere(draw):
    """With a comma between thousands."""
    _, axis = draw("a million")
    assert "1,000,000" in [axis.xaxis.get_major_formatter()(value) for value in axis.get_xticks()]


def test_labels_give_name_and_end(draw):
    """At the height of the line's end, where there is room."""
    figure, axis = draw("sample")
    ends = [note for note in notes(axis) if not note.startswith(("chance", "target"))]
    assert sorted(ends) == [
        "GRU chrono  5.5×10⁻⁴",
        "GRU default  0.011",
        "LSTM chrono  1.4×10⁻⁶",
        "LSTM default  2.7×10⁻⁵",
        "RNN default  0.22",
    ]
    heights = {}
    for line, (cell, init) in zip(axis.lines, FIVE, strict=False):
        (label,) = [text for text in axis.texts if text.get_text().startswith(f"{cell.upper()} {init}")]
        box = label.get_window_extent(figure.canvas.get_renderer())
        heights[cell, init] = (box.y0 + box.y1) / 2 - axis.transData.transform((0, line.get_ydata()[-1]))[1]
    assert max(map(abs, heights.values())) < 3  # dots


@pytest.mark.parametrize("case", CASES)
def test_legible(case, assert_legible, draw):
    """One label per line; no two texts overlap and none leaves the figure; at least two ticks say what the axis is."""
    figure, axis = draw(case)
    assert len([note for note in notes(axis) if not note.startswith(("chance", "target"))]) == len(CASES[case][0])
    assert_legible(figure)
    low, high = axis.get_ylim()
    ticks = [(tick, label.get_text()) for tick, label in zip(axis.get_yticks(), axis.get_yticklabels(), strict=True)]
    assert len(ticks) >= 2 and len({words for _, words in ticks}) == len(ticks)
    assert all(low <= tick <= high for tick, _ in ticks)


def test_ticks_are_what_they_say(draw):
    """Decimals, or powers of ten where decimals would be long."""
    _, axis = draw("all end alike")
    assert [label.get_text() for label in axis.get_yticklabels()] == ["10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹"]
    _, axis = draw("target just below chance")
    assert [float(label.get_text()) for label in axis.get_yticklabels()] == pytest.approx(axis.get_yticks().tolist())


@pytest.mark.parametrize(
    ("case", "points"), [("one diverged", 0), ("one of JSON's null", 0), ("one diverged later", 1)]
)
def test_a_diverged_training_is_called_so(case, points, draw):
    """Its line ends where its loss does, its label stands on top; the other curves keep the axis."""
    _, axis = draw(case)
    ends = [note for note in notes(axis) if not note.startswith(("chance", "target"))]
    assert ends[-1] == "RNN default  diverged"
    assert np.isfinite(axis.lines[0].get_ydata()).sum() == points
    assert all(np.isfinite(line.get_ydata()).all() for line in axis.lines[1:])
    assert np.isfinite(axis.get_ylim()).all() and axis.get_ylim()[1] < 2


def test_one_diverged_seed_counts_as_the_worst():
    """Of three seeds the median is then the worse of the other two."""
    runs = [run("gru", "default", lambda step, seed: math.nan if seed == 0 else 0.1 * seed, seeds=3)]
    axis = plots.plateau_clock(runs, title="t").axes[0]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), 0.2)


@pytest.mark.parametrize("dark", [False, True])
def test_looks_tell_lines_apart(dark, contrast, draw):
    """A colour for each cell and a stroke for each initialisation, the waterfall's own; letters that stand out."""
    theme = plots.DARK if dark else plots.LIGHT
    figure, axis = draw("sample", dark=dark)
    assert [line.get_color() for line in axis.lines[:5]] == [theme.cells[i] for i in (0, 1, 1, 2, 2)]
    assert [line.is_dashed() for line in axis.lines[:5]] == [init != "default" for _, init in FIVE]
    look = lambda line: (line.get_color(), line.get_linestyle())
    assert sorted(map(look, figure.artists)) == sorted(map(look, axis.lines[:5]))  # the strokes before the names
    for text in (*axis.texts, *axis.get_yticklabels(), axis.xaxis.label, *figure.texts):
        assert contrast(text.get_color(), theme.background) > 4.5, text
    assert to_hex(figure.get_facecolor()) == theme.background


def test_from_race_json_to_files(tmp_path):
    """Runs that went through JSON give the same bytes twice; the SVG is one."""
    runs = json.loads(json.dumps(SAMPLE))
    for name in ("first", "second"):
        plots.save(plots.plateau_clock(runs, title="t", target=0.01), tmp_path / name)
    for kind in ("png", "svg"):
        one, other = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("first", "second"))
        assert one == other
    assert ElementTree.fromstring((tmp_path / "first.svg").read_text()).tag == "{http://www.w3.org/2000/svg}svg"


def test_crowded_labels_keep_the_order_of_the_ends(laid_out, assert_legible):
    """Pushed apart, never past each other."""
    runs = [run(f"cell {i}", "default", falling(0.01 + 1e-5 * i)) for i in range(9)]
    figure = laid_out(plots.plateau_clock(runs, title="t"))
    heights = {text.get_text().split("  ")[0]: text.get_window_extent().y0 for text in figure.axes[0].texts}
    assert all(heights[f"cell {i} default"] > heights[f"cell {j} default"] for i, j in pairwise(range(9)))
    assert_legible(figure)


@pytest.mark.parametrize("runs", [[], [SAMPLE[0] | {"rows": []}], [SAMPLE[0], SAMPLE[1] | {"rows": []}]])
def test_nothing_to_draw(runs):
    with pytest.raises(ValueError, match="^`runs` must hold at least one run, each with rows"):
        plots.plateau_clock(runs, title="t")


@pytest.mark.parametrize(
    ("seeds", "terms"),
    [
        (([0, 1], [0, 1]), "Median over seeds, whole range shaded; the same data for all."),
        (([0], [0]), "One seed each; the same data for all."),
        (([0], [1]), "One seed each; other seeds, other data."),
        (([0], [0, 1]), "Median over seeds, whole range shaded; other seeds, other data."),
    ],
)
def test_seeds_are_told(seeds, terms, laid_out):
    """Only the same seeds have seen the same data."""
    both = run("gru", "default", falling(0.01))
    runs = [{**both, "rows": [row for row in both["rows"] if row["seed"] in own]} for own in seeds]
    figure = laid_out(plots.plateau_clock(runs, title="adding"))
    assert terms in [text.get_text() for text in figure.texts]
