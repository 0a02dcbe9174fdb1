"""The pictures hold what was measured: read back from the figures, and from their rendered boxes."""

import itertools
import math
import subprocess
import sys
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Annotation, Text

from gatedrnn import plots

HORIZON = 10_000


def run(cell, kind, init, seed, profile, horizon=HORIZON, closed_form=None, **scalars):
    """One run whose log10 norm at lag k is `profile(k)`, -inf for an exact zero."""
    lags = [0, *np.unique(np.geomspace(1, horizon, 60).round().astype(int)).tolist()]
    norms, exact = ([float(value) for value in f(np.array(lags, float))] for f in (profile, closed_form or profile))
    return {
        "cell": cell,
        "input": kind,
        "init": init,
        "seed": seed,
        "horizon": horizon,
        "hidden_size": 128,
        "batch": 4,
        "lags": lags,
        "log10_norm": [None if math.isinf(value) else value for value in norms],
        "closed_form_log10_norm": exact if closed_form else None,
        "rate_log10_per_step": None,
        "half_life": None,
        "lag_below_1e3": None,
        "lag_below_float32": None,
        "lag_below_float64": None,
        "lyapunov_max": None,
        "verdict": "vanishing: below a thousandth",
        **scalars,
    }


def shrinking(rate):
    """A norm that loses `rate` decades per step."""
    return lambda k: -rate * k


def power_law(k):
    """What time scales spread evenly up to the horizon give: 1 / sqrt(1 + k)."""
    return -0.5 * np.log10(1 + k)


def sample(horizon=HORIZON, seeds=3):
    """Silent: the RNN an isometry, default gates exponential, chrono a power law. Driven: all shrink, by the seed."""
    runs = []
    for seed in range(seeds):
        silent = {
            ("rnn", "default"): shrinking(0.0),
            ("gru", "default"): shrinking(-math.log10(0.75)),
            ("gru", "chrono"): power_law,
            ("lstm", "default"): shrinking(-math.log10(0.98106)),
            ("lstm", "chrono"): power_law,
        }
        rates = {("rnn", "default"): 0.2, ("gru", "default"): 0.17, ("gru", "chrono"): 1e-3, ("lstm", "default"): 0.09}
        runs += [run(cell, "silent", init, seed, f, horizon, f) for (cell, init), f in silent.items()]
        runs += [
            run(cell, "text", init, seed, shrinking(rate * (1 + 0.1 * seed)), horizon)
            for (cell, init), rate in rates.items()
        ]
    return runs


def gate_map(cell="lstm", gate="forget", init="chrono", units=16, bins=40):
    """A map whose units forget faster from top to bottom, with a ripple in time."""
    scales = np.geomspace(HORIZON, 10, units)
    ripple = 1 + 0.3 * np.sin(np.arange(bins) / 3)
    values = np.exp(-1 / (scales[:, None] * ripple))
    steps = (np.arange(bins) * HORIZON / bins).astype(int)
    names = {"cell": cell, "input": "text", "init": init, "gate": gate}
    return {**names, "steps": steps, "values": values, "timescales": scales}


CASES = {
    "sample": sample(),
    "one seed": sample(seeds=1),
    "horizon 1": sample(horizon=1),
    "horizon 30": sample(horizon=30),
    "a million": sample(horizon=1_000_000, seeds=1),
    "single cell": [run("gru", "noise", "default", 0, shrinking(0.3))],
    "explosion": [
        run("rnn", "silent", "default", 0, shrinking(-0.7)),
        run("gru", "silent", "default", 0, shrinking(0.5)),
        run("lstm", "silent", "default", 0, shrinking(0)),
    ],
    "exact zeros": [
        run("rnn", "silent", "default", 0, lambda k: np.where(k < 300, -0.02 * k, -np.inf)),
        run("gru", "silent", "default", 0, lambda k: np.where(k < 1, 0, -np.inf)),
        run("lstm", "silent", "default", 0, shrinking(0.01)),
    ],
    "all the same": [run(f"cell {i}", "text", "default", 0, shrinking(0)) for i in range(12)],
    "odd names": [run(r"a_$\b$ <c> & a very long name", "series $x$", "my init", 0, shrinking(0.1))],
    "crowd": [
        run(f"cell {i}", kind, init, 0, shrinking(10.0**-i))
        for i, kind, init in itertools.product(range(7), ("silent", "text", "series"), ("default", "chrono", "other"))
    ],
}


@cache
def picture(case, dark=False, columns=2):
    """The waterfall of a case, laid out; made once, since no test changes it."""
    return laid_out(plots.waterfall(CASES[case], dark=dark, columns=columns))


def laid_out(figure):
    FigureCanvasAgg(figure).draw()
    return figure


def panels(case, **options):
    """The axes of a waterfall, each with its lines by label."""
    return [(ax, {line.get_label(): line for line in ax.lines}) for ax in picture(case, **options).axes]


def labels(ax):
    return [text.get_text() for text in ax.texts if isinstance(text, Annotation)]


def of(runs, kind, cell, init):
    return [one for one in runs if (one["input"], one["cell"], one["init"]) == (kind, cell, init)]


def norms(runs, key="log10_norm"):
    """Profiles `[S, N]` from lag 1 on."""
    return np.array([[-np.inf if value is None else value for value in one[key][1:]] for one in runs])


def contrast(one, other):
    """Contrast ratio of two colours, after the Web Content Accessibility Guidelines 2.2."""
    lights = []
    for colour in (one, other):
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        lights.append(0.05 + float(np.dot(parts, (0.2126, 0.7152, 0.0722))))
    return max(lights) / min(lights)


def test_lines_are_the_medians():
    runs = CASES["sample"]
    assert [ax.get_title(loc="left") for ax, _ in panels("sample")] == ["silent", "driven by text"]
    for (_, lines), kind in zip(panels("sample"), ("silent", "text"), strict=True):
        names = {(one["cell"], one["init"]) for one in runs if one["input"] == kind}
        assert {f"{cell} {init}" for cell, init in names} == {name for name in lines if "closed" not in name}
        for cell, init in names:
            seeds = of(runs, kind, cell, init)
            line = lines[f"{cell} {init}"]
            np.testing.assert_array_equal(line.get_xdata(), seeds[0]["lags"][1:])
            np.testing.assert_array_equal(line.get_ydata(), np.median(norms(seeds), axis=0))


def test_shading_spans_the_seeds():
    ax, _ = panels("sample")[1]
    shades = {to_hex(shade.get_facecolor()[0], keep_alpha=False): shade for shade in ax.collections}
    vertices = shades[plots.LIGHT.cells[0].lower()].get_paths()[0].vertices
    seeds = norms(of(CASES["sample"], "text", "rnn", "default"))
    at_the_end = vertices[vertices[:, 0] == HORIZON][:, 1]
    assert (at_the_end.min(), at_the_end.max()) == (seeds[:, -1].min(), seeds[:, -1].max())


def test_closed_form_is_thin_and_dashed():
    (_, silent), (_, driven) = panels("sample")
    assert not [name for name in driven if "closed" in name]
    for cell, init in (("rnn", "default"), ("lstm", "chrono")):
        line = silent[f"{cell} {init} closed form"]
        exact = norms(of(CASES["sample"], "silent", cell, init), "closed_form_log10_norm")
        np.testing.assert_array_equal(line.get_ydata(), exact[0])
        assert line.is_dashed()
        assert line.get_linewidth() < 0.5 * silent[f"{cell} {init}"].get_linewidth()


def test_axes_say_what_they_show():
    (left, _), (right, _) = panels("sample")
    assert left.get_xlabel() == right.get_xlabel() == "lag (steps back from the loss)"
    assert "log10 ‖dL/d carry‖" in left.get_ylabel()
    assert left.get_ylim() == right.get_ylim()
    assert left.get_xlim() == (1, HORIZON)
    ticks = {tick.get_text() for tick in left.get_yticklabels()}
    assert {"1", "10⁻¹", "10⁻³", "10⁻³⁸", "10⁻³⁰⁸", "10⁻¹⁰⁰⁰"} <= ticks
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["1", "10", "100", "1,000", "10,000"]


def test_small_and_huge_losses_are_both_readable():
    """On one axis there is room between norms 1, 0.8, 0.1, 10^-3, the two floors and 10^-1249."""
    ax, _ = panels("sample")[0]
    heights = [ax.transData.transform((1, y))[1] / ax.figure.dpi for y in (0, -0.1, -1, -3, -38, -308, -1249)]
    assert min(-np.diff(heights)) > 0.12


@pytest.mark.parametrize(("case", "explodes"), [("sample", False), ("explosion", True)])
def test_bands_begin_at_the_floors(case, explodes):
    for ax, _ in panels(case):
        bottom, top = ax.get_ylim()
        bands = {tuple(sorted((box.y0, box.y1))) for box in (patch.get_bbox() for patch in ax.patches)}
        assert bands == {(-308, -38), (bottom, -308)} | ({(38, 308), (308, top)} if explodes else set())
        words = {text.get_text() for text in ax.texts}
        assert {"float32 gives 0", "float64 gives 0"} <= words
        assert ({"float32 gives ∞", "float64 gives ∞"} <= words) == explodes


@pytest.mark.parametrize(("case", "columns"), [*((case, 2) for case in CASES), ("sample", 1), ("odd names", 1)])
def test_every_curve_has_a_label_in_nobodys_way(case, columns):
    curves = {(one["input"], one["cell"], one["init"]) for one in CASES[case]}
    assert sum(len(labels(ax)) for ax, _ in panels(case, columns=columns)) == len(curves)
    assert_legible(picture(case, columns=columns))


def test_labels_give_name_and_end():
    ends = ["RNN default  1", "GRU default  10⁻¹²⁴⁹", "GRU chrono  0.01", "LSTM default  10⁻⁸³", "LSTM chrono  0.01"]
    assert labels(panels("sample")[0][0]) == ends


def test_exact_zero_is_marked():
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
def test_looks_tell_cells_and_initialisations_apart(dark):
    """Colours of the Okabe-Ito palette, one per cell; one line style per initialisation; the same in both panels."""
    theme = plots.DARK if dark else plots.LIGHT
    (_, silent), (_, driven) = panels("sample", dark=dark)
    colours = {name: line.get_color() for name, line in silent.items() if "closed" not in name}
    assert colours["gru default"] == colours["gru chrono"] == driven["gru default"].get_color()
    assert len(set(colours.values())) == 3
    assert not silent["lstm default"].is_dashed()
    assert silent["lstm chrono"].is_dashed()
    assert all(contrast(colour, theme.background) > 3 for colour in colours.values())


@pytest.mark.parametrize("dark", [False, True])
def test_letters_stand_out(dark):
    theme = plots.DARK if dark else plots.LIGHT
    for ax, _ in panels("crowd", dark=dark):
        for text in (*ax.texts, *ax.get_yticklabels(), ax.xaxis.label):
            assert contrast(text.get_color(), theme.background) > 4.5, text
    assert to_hex(picture("crowd", dark=dark).get_facecolor()) == theme.background


def test_heat_map_holds_the_gates():
    maps = [gate_map(), gate_map("gru", "update"), gate_map(init="default", units=3)]
    figure = laid_out(plots.gate_heatmap(maps))
    assert_legible(figure)
    axes = figure.axes
    titles = [ax.get_title(loc="left") for ax in axes[:3]]
    assert titles == [
        "GRU update gate, chrono\ndriven by text",
        "LSTM forget gate, default\ndriven by text",
        "LSTM forget gate, chrono\ndriven by text",
    ]
    np.testing.assert_array_equal(axes[2].collections[0].get_array(), maps[0]["values"])
    assert [label.get_text() for label in axes[2].get_yticklabels()] == ["10,000", "1,580", "251", "63.1", "10"]
    assert axes[2].yaxis_inverted()
    assert axes[2].get_xlabel() == "time (steps)"
    assert axes[0].get_ylabel() == "time scale (steps)"
    assert "gate activation" in axes[3].get_ylabel()


def test_heat_map_tells_long_time_scales_apart():
    """0.99 and 0.9999 hold a state for 100 and for 10,000 steps: they must not look the same."""
    mesh = plots.gate_heatmap([gate_map()]).axes[0].collections[0]
    brightness = np.array([contrast(mesh.cmap(mesh.norm(gate)), "black") for gate in (0.5, 0.9, 0.99, 0.999, 0.9999)])
    assert (brightness[1:] / brightness[:-1]).min() > 1.25


@pytest.mark.parametrize(("count", "columns"), [(1, 4), (3, 2), (8, 1), (8, 4)])
def test_heat_map_is_legible_in_any_arrangement(count, columns):
    names = list(itertools.product(("gru", "lstm"), ("forget", "a long name"), ("default", "chrono")))[:count]
    assert_legible(laid_out(plots.gate_heatmap([gate_map(*name) for name in names], columns=columns)))


def test_heat_map_at_its_edges():
    """One unit and one bin; gates at exactly 0 and 1, whose time scales are 0 and infinite."""
    one = {**gate_map(units=1, bins=1), "values": np.ones((1, 1)), "timescales": np.array([np.inf])}
    two = {**gate_map(units=2, bins=3), "values": np.array([[1.0] * 3, [0.0] * 3]), "timescales": [np.inf, 0.0]}
    figure = laid_out(plots.gate_heatmap([one, two]))
    assert_legible(figure)
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["∞", "0"]


def assert_legible(figure):
    """No two texts overlap by more than a dot, and none leaves the figure."""
    unseen = off_axis(figure)
    boxes = []
    for text in figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_text().strip()):
        box = Text.get_window_extent(text, figure.canvas.get_renderer())
        if text not in unseen:
            boxes.append((text.get_text(), box))
            assert min(box.x0, box.y0, figure.bbox.width - box.x1, figure.bbox.height - box.y1) >= 0, text
    for (words, box), (others, other) in itertools.combinations(boxes, 2):
        across, up = min(box.x1, other.x1) - max(box.x0, other.x0), min(box.y1, other.y1) - max(box.y0, other.y0)
        assert across <= 1 or up <= 1, f"{words!r} overlaps {others!r}"


def off_axis(figure):
    """The labels of ticks outside their axis, which matplotlib keeps but does not draw."""
    unseen = set()
    for axis, at in ((axis, at) for ax in figure.axes for at, axis in enumerate((ax.xaxis, ax.yaxis))):
        low, high = sorted(axis.get_view_interval())
        labels = axis.get_ticklabels(which="both")
        unseen |= {label for label in labels if not low - 1e-9 <= label.get_position()[at] <= high + 1e-9}
    return unseen


def test_same_data_give_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        png, svg = plots.save(plots.waterfall(CASES["one seed"]), tmp_path / f"{name}.v1")
        plots.save(plots.gate_heatmap([gate_map()]), tmp_path / f"{name} gates")
        assert (png.name, svg.name) == (f"{name}.v1.png", f"{name}.v1.svg")
    for tail in (".v1.png", ".v1.svg", " gates.png", " gates.svg"):
        assert (tmp_path / f"first{tail}").read_bytes() == (tmp_path / f"second{tail}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 8
    assert "dc:date" not in (tmp_path / "first.v1.svg").read_text()


def test_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    figure = plots.waterfall(CASES["single cell"])
    (tmp_path / "picture.png").write_text("old")

    def interrupted(target, **_):
        Path(target).write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(figure, "savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plots.save(figure, tmp_path / "picture")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("picture.png", "old")]


def test_settings_of_the_user_neither_change_nor_matter():
    plain = plots.svg(plots.waterfall(CASES["single cell"]))
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "none", "savefig.dpi": 10}):
        before = dict(matplotlib.rcParams)
        assert plots.svg(plots.waterfall(CASES["single cell"])) == plain
        assert dict(matplotlib.rcParams) == before


def test_no_jax_and_no_pyplot():
    program = f"""if True:
        import importlib.util, sys
        sys.modules["jax"] = None
        spec = importlib.util.spec_from_file_location("plots", {plots.__file__!r})
        sys.modules["plots"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["plots"])
        assert "matplotlib.pyplot" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("log10_value", "words"),
    [
        (0, "1"),
        (-0.5, "0.316"),
        (-2.9, "0.00126"),
        (2.5, "316"),
        (-3, "1.0×10⁻³"),
        (-4.5, "3.2×10⁻⁵"),
        (-9.4, "4.0×10⁻¹⁰"),
        (-38.2, "10⁻³⁸"),
        (-1249.4, "10⁻¹²⁴⁹"),
        (204.1, "10²⁰⁴"),
        (-math.inf, "0"),
        (math.inf, "∞"),
    ],
)
def test_power(log10_value, words):
    assert plots.power(log10_value) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(3.192, "3.19"), (99.97, "100"), (1360.48, "1,360"), (10_000, "10,000"), (None, "∞"), (math.inf, "∞"), (0.0, "0")],
)
def test_steps(count, words):
    assert plots.steps(count) == words


def test_wrong_data_are_named():
    with pytest.raises(ValueError, match="`runs` must hold at least one run"):
        plots.waterfall([])
    with pytest.raises(ValueError, match="`gate_maps` must hold at least one map"):
        plots.gate_heatmap([])
    two = [run("rnn", "text", "default", 0, shrinking(1)), run("rnn", "text", "default", 1, shrinking(1), horizon=50)]
    with pytest.raises(ValueError, match="seeds of rnn, default, text must share their `lags`"):
        plots.waterfall(two)
    with pytest.raises(ValueError, match=r"must be \[H, N\], \[H\] and \[N\]; got \(40, 16\), \(16,\) and \(40,\)"):
        plots.gate_heatmap([{**gate_map(), "values": gate_map()["values"].T}])
