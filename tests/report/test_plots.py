"""The waterfall holds what was measured: read back from the figures, and from their rendered boxes."""

import itertools
from functools import cache

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Annotation

from gatedrnn import plots
from gatedrnn._registry import CELLS


def shrinking(rate):
    """A norm that loses `rate` decades per step."""
    return lambda k: -rate * k


CASES = {  # name -> the runs, of those that `profiled` and `profiled_sample` make
    "sample": lambda run, sample: sample(),
    "one seed": lambda run, sample: sample(seeds=1),
    "horizon 1": lambda run, sample: sample(horizon=1),
    "horizon 30": lambda run, sample: sample(horizon=30),
    "a million": lambda run, sample: sample(horizon=1_000_000, seeds=1),
    "single cell": lambda run, sample: [run("gru", "noise", "default", 0, shrinking(0.3))],
    "explosion": lambda run, sample: [
        run("rnn", "silent", "default", 0, shrinking(-0.7)),
        run("gru", "silent", "default", 0, shrinking(0.5)),
        run("lstm", "silent", "default", 0, shrinking(0)),
    ],
    "exact zeros": lambda run, sample: [
        run("rnn", "silent", "default", 0, lambda k: np.where(k < 300, -0.02 * k, -np.inf)),
        run("gru", "silent", "default", 0, lambda k: np.where(k < 1, 0, -np.inf)),
        run("lstm", "silent", "default", 0, shrinking(0.01)),
    ],
    "all the same": lambda run, sample: [run(f"cell {i}", "text", "default", 0, shrinking(0)) for i in range(12)],
    "odd names": lambda run, sample: [
        run(r"a_$\b$ <c> & a very long name", "series $x$", "my init", 0, shrinking(0.1))
    ],
    "crowd": lambda run, sample: [
        run(f"cell {i}", kind, init, 0, shrinking(10.0**-i))
        for i, kind, init in itertools.product(range(7), ("silent", "text", "series"), ("default", "chrono", "other"))
    ],
}


@pytest.fixture(scope="module")
def runs_of(profiled, profiled_sample):
    """(case) -> its runs."""
    return cache(lambda case: CASES[case](profiled, profiled_sample))


@pytest.fixture(scope="module")
def picture(runs_of, laid_out):
    """(case, dark, columns) -> the waterfall of a case, laid out; made once, since no test changes it."""

    @cache
    def make(case, dark=False, columns=2):
        return laid_out(plots.waterfall(runs_of(case), dark=dark, columns=columns))

    return make


@pytest.fixture(scope="module")
def panels(picture):
    """(case, ...) -> the axes of a waterfall, each with its lines by label."""

    def read(case, **options):
        return [(ax, {line.get_label(): line for line in ax.lines}) for ax in picture(case, **options).axes]

    return read


def labels(ax):
    return [text.get_text() for text in ax.texts if isinstance(text, Annotation)]


def of(runs, kind, cell, init):
    return [one for one in runs if (one["input"], one["cell"], one["init"]) == (kind, cell, init)]


def norms(runs, key="log10_norm"):
    """Profiles `[S, N]` from lag 1 on."""
    return np.array([[-np.inf if value is None else value for value in one[key][1:]] for one in runs])


def test_lines_are_the_medians(runs_of, panels):
    runs = runs_of("sample")
    assert [ax.get_title(loc="left") for ax, _ in panels("sample")] == ["silent", "driven by text"]
    for (_, lines), kind in zip(panels("sample"), ("silent", "text"), strict=True):
        names = {(one["cell"], one["init"]) for one in runs if one["input"] == kind}
        assert {f"{cell} {init}" for cell, init in names} == {name for name in lines if "closed" not in name}
        for cell, init in names:
            seeds = of(runs, kind, cell, init)
            line = lines[f"{cell} {init}"]
            np.testing.assert_array_equal(line.get_xdata(), seeds[0]["lags"][1:])
            np.testing.assert_array_equal(line.get_ydata(), np.median(norms(seeds), axis=0))


def test_shading_spans_the_seeds(runs_of, panels):
    ax, _ = panels("sample")[1]
    shades = {to_hex(shade.get_facecolor()[0], keep_alpha=False): shade for shade in ax.collections}
    vertices = shades[plots.LIGHT.cells[0].lower()].get_paths()[0].vertices
    seeds = norms(of(runs_of("sample"), "text", "rnn", "default"))
    at_the_end = vertices[vertices[:, 0] == 10_000][:, 1]
    assert (at_the_end.min(), at_the_end.max()) == (seeds[:, -1].min(), seeds[:, -1].max())


def test_closed_form_is_thin_and_dashed(runs_of, panels):
    (_, silent), (_, driven) = panels("sample")
    assert not [name for name in driven if "closed" in name]
    for cell, init in (("rnn", "default"), ("lstm", "chrono")):
        line = silent[f"{cell} {init} closed form"]
        exact = norms(of(runs_of("sample"), "silent", cell, init), "closed_form_log10_norm")
        np.testing.assert_array_equal(line.get_ydata(), exact[0])
        assert line.is_dashed()
        assert line.get_linewidth() < 0.5 * silent[f"{cell} {init}"].get_linewidth()


def test_axes_say_what_they_show(panels):
    (left, _), (right, _) = panels("sample")
    assert left.get_xlabel() == right.get_xlabel() == "lag (steps back from the loss)"
    assert "log10 ‖dL/d carry‖" in left.get_ylabel()
    assert left.get_ylim() == right.get_ylim()
    assert left.get_xlim() == (1, 10_000)
    ticks = {tick.get_text() for tick in left.get_yticklabels()}
    assert {"1", "10⁻¹", "10⁻³", "10⁻³⁸", "10⁻³⁰⁸", "10⁻¹⁰⁰⁰"} <= ticks
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["1", "10", "100", "1,000", "10,000"]


def test_small_and_huge_losses_are_both_readable(panels):
    """On one axis there is room between norms 1, 0.8, 0.1, 10^-3, the two floors and 10^-1249."""
    ax, _ = panels("sample")[0]
    heights = [ax.transData.transform((1, y))[1] / ax.figure.dpi for y in (0, -0.1, -1, -3, -38, -308, -1249)]
    assert min(-np.diff(heights)) > 0.12


@pytest.mark.parametrize(("case", "explodes"), [("sample", False), ("explosion", True)])
def test_bands_begin_at_the_floors(case, explodes, panels):
    for ax, _ in panels(case):
        bottom, top = ax.get_ylim()
        bands = {tuple(sorted((box.y0, box.y1))) for box in (patch.get_bbox() for patch in ax.patches)}
        assert bands == {(-308, -38), (bottom, -308)} | ({(38, 308), (308, top)} if explodes else set())
        words = {text.get_text() for text in ax.texts}
        assert {"float32 gives 0", "float64 gives 0"} <= words
        assert ({"float32 gives ∞", "float64 gives ∞"} <= words) == explodes


@pytest.mark.parametrize(("case", "columns"), [*((case, 2) for case in CASES), ("sample", 1), ("odd names", 1)])
def test_every_curve_has_a_label_in_nobodys_way(case, columns, assert_legible, runs_of, picture, panels):
    curves = {(one["input"], one["cell"], one["init"]) for one in runs_of(case)}
    assert sum(len(labels(ax)) for ax, _ in panels(case, columns=columns)) == len(curves)
    assert_legible(picture(case, columns=columns))


def test_labels_give_name_and_end(panels):
    ends = ["RNN default  1", "GRU default  10⁻¹²⁴⁹", "GRU chrono  0.01", "LSTM default  10⁻⁸³", "LSTM chrono  0.01"]
    assert labels(panels("sample")[0][0]) == ends


def test_exact_zero_is_marked(panels):
    ax, lines = panels("exact zeros")[0]
    profile = lines["rnn default"].get_ydata()
    alive = np.flatnonzero(np.isfinite(profile))[-1]
    lags = lines["rnn default"].get_xdata()
    crosses = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if line.get_label() == "_zero"]
    assert (lags[alive], profile[alive]) in crosses
    falls = [line for line in ax.lines if line.get_label() == "_fall"]
    assert {fall.get_ydata()[-1] for fall in falls} == {ax.get_ylim()[0]}
    assert f"RNN default  0 by lag {lags[alive + 1]:.0f}" in labels(ax)
    assert np.isfinite(lines["lstm default"].get_ydata()).all()


@pytest.mark.parametrize("dark", [False, True])
def test_looks_tell_cells_and_initialisations_apart(dark, contrast, panels):
    """Colours of the Okabe-Ito palette, one per cell; one line style per initialisation; the same in both panels."""
    theme = plots.DARK if dark else plots.LIGHT
    (_, silent), (_, driven) = panels("sample", dark=dark)
    colours = {name: line.get_color() for name, line in silent.items() if "closed" not in name}
    assert colours["gru default"] == colours["gru chrono"] == driven["gru default"].get_color()
    assert len(set(colours.values())) == 3
    assert not silent["lstm default"].is_dashed()
    assert silent["lstm chrono"].is_dashed()
    assert all(contrast(colour, theme.background) > 3 for colour in colours.values())


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_letters_stand_out(dark, contrast, picture, panels):
    theme = plots.DARK if dark else plots.LIGHT
    for ax, _ in panels("crowd", dark=dark):
        for text in (*ax.texts, *ax.get_yticklabels(), ax.xaxis.label):
            assert contrast(text.get_color(), theme.background) > 4.5, text
    assert to_hex(picture("crowd", dark=dark).get_facecolor()) == theme.background


HOUSE = [*CELLS, "own", "other"]


@pytest.mark.parametrize("dark", [False, True])
def test_every_cell_has_its_colour_and_its_name(dark, profiled, contrast):
    """All of the house differ, and two more from them; the classics look as they do without the others."""
    theme = plots.DARK if dark else plots.LIGHT
    runs = {cell: profiled(cell, "silent", "default", 0, shrinking(0.01 * k)) for k, cell in enumerate(HOUSE)}

    def drawn(*names):
        (ax,) = plots.waterfall([runs[name] for name in names], dark=dark).axes
        lines = {line.get_label().removesuffix(" default"): line for line in ax.lines}
        return {name: lines[name].get_color() for name in names}, " ".join(labels(ax))

    hues, words = drawn(*HOUSE)
    assert len({*hues.values()}) == len(HOUSE)
    assert all(contrast(hue, theme.background) > 2 for hue in hues.values())
    assert all(
        f"{name} default" in words for name in ("LSTM", "sLSTM", "IndRNN", "ReLU RNN", "GRU, reset before", "own")
    )
    few, _ = drawn("lem", "lstm", "own")
    assert few["lstm"] == hues["lstm"] and len({*few.values()}) == 3
