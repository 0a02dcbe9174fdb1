"""Runs as the report and the pictures take them, and figures read back: laid out, legible, and how colours contrast."""

import itertools
import math

import jax
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text

import gatedrnn as gr


@pytest.fixture(scope="session")
def result():
    """What was measured of the house's cells and a foreign one: two inputs, two initialisations, three seeds."""
    foreign = gr.Cell.from_step("foreign", gr.gru.step, init=gr.gru.init, initial_carry=gr.gru.initial_carry)
    xs = jax.random.normal(jax.random.key(7), (50, 2, 3))
    return gr.flow.compare([*gr.cells.CLASSICS.values(), foreign], xs, hidden_size=4, seeds=3)


@pytest.fixture(scope="session")
def run():
    """(cell, kind, init, seed, rate, ...) -> a run over 100 steps that loses `rate` decades at each."""
    lags = [0, 1, 10, 100]

    def make(cell="rnn", kind="silent", init="default", seed=0, rate=0.0, **changes):
        first_below = lambda level: next((k for k in range(lags[-1] + 1) if -rate * k < level), None)
        lost = rate * lags[-1]
        word = "vanishing" if lost > 3 else "exploding" if lost < -3 else "isometric"
        return {
            "cell": cell,
            "input": kind,
            "init": init,
            "seed": seed,
            "horizon": lags[-1],
            "hidden_size": 32,
            "batch": 2,
            "lags": lags,
            "log10_norm": [-rate * lag for lag in lags],
            "closed_form_log10_norm": [-rate * lag for lag in lags] if kind == "silent" else None,
            "rate_log10_per_step": -rate,
            "half_life": math.log10(2) / rate if rate > 0 else None,
            "lag_below_1e3": first_below(-3),
            "lag_below_float32": first_below(-38),
            "lag_below_float64": first_below(-308),
            "lowest": min(-lost, 0.0),
            "highest": max(-lost, 0.0),
            "lyapunov_max": -rate * math.log(10),
            "verdict": word,
            **changes,
        }

    return make


@pytest.fixture(scope="session")
def sample(run):
    """A silent RNN that keeps all, a default LSTM that loses half a decade per step, chrono between; driven worse."""
    rates = {
        ("rnn", "silent", "default"): 0.0,
        ("lstm", "silent", "default"): 0.5,
        ("lstm", "silent", "chrono"): 0.01,
        ("rnn", "text", "default"): 2.0,
        ("lstm", "text", "default"): 0.6,
        ("lstm", "text", "chrono"): 0.02,
    }
    return [run(*names, seed, rate * (1 + 0.1 * seed)) for names, rate in rates.items() for seed in range(3)]


@pytest.fixture(scope="session")
def profiled():
    """(cell, kind, init, seed, profile, ...) -> a run over 10,000 steps whose log10 norm at lag k is `profile(k)`.

    It is -inf for an exact zero.
    """

    def make(cell, kind, init, seed, profile, horizon=10_000, closed_form=None, **scalars):
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
            "lowest": None,
            "highest": 0.0,
            "lyapunov_max": None,
            "verdict": "vanishing",
            **scalars,
        }

    return make


@pytest.fixture(scope="session")
def profiled_sample(profiled):
    """(horizon, seeds) -> runs of three cells, at rest and driven.

    Silent: the RNN an isometry, default gates exponential, chrono a power law. Driven: all shrink, by the seed.
    """

    def make(horizon=10_000, seeds=3):
        shrinking = lambda rate: lambda k: -rate * k
        power_law = lambda k: -0.5 * np.log10(1 + k)  # of time scales spread evenly up to the horizon: 1 / sqrt(1 + k)
        silent = {
            ("rnn", "default"): shrinking(0.0),
            ("gru", "default"): shrinking(-math.log10(0.75)),
            ("gru", "chrono"): power_law,
            ("lstm", "default"): shrinking(-math.log10(0.98106)),
            ("lstm", "chrono"): power_law,
        }
        rates = {("rnn", "default"): 0.2, ("gru", "default"): 0.17, ("gru", "chrono"): 1e-3, ("lstm", "default"): 0.09}
        runs = []
        for seed in range(seeds):
            runs += [profiled(cell, "silent", init, seed, f, horizon, f) for (cell, init), f in silent.items()]
            runs += [
                profiled(cell, "text", init, seed, shrinking(rate * (1 + 0.1 * seed)), horizon)
                for (cell, init), rate in rates.items()
            ]
        return runs

    return make


@pytest.fixture(scope="session")
def gate_map():
    """(cell, gate, init, units, bins) -> a map whose units forget faster from top to bottom, with a ripple in time."""

    def make(cell="lstm", gate="forget", init="chrono", units=16, bins=40):
        scales = np.geomspace(10_000, 10, units)
        ripple = 1 + 0.3 * np.sin(np.arange(bins) / 3)
        values = np.exp(-1 / (scales[:, None] * ripple))
        steps = (np.arange(bins) * 10_000 / bins).astype(int)
        names = {"cell": cell, "input": "text", "init": init, "gate": gate}
        return {**names, "steps": steps, "values": values, "timescales": scales}

    return make


@pytest.fixture(scope="session")
def laid_out():
    """(figure) -> the figure, drawn, so that every text has its place."""

    def draw(figure):
        FigureCanvasAgg(figure).draw()
        return figure

    return draw


@pytest.fixture(scope="session")
def contrast():
    """(one, other) -> contrast ratio of two colours, after the Web Content Accessibility Guidelines 2.2."""

    def light(colour):
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return 0.05 + float(np.dot(parts, (0.2126, 0.7152, 0.0722)))

    def ratio(one, other):
        low, high = sorted((light(one), light(other)))
        return high / low

    return ratio


@pytest.fixture(scope="session")
def assert_legible():
    """(figure) -> no two of its texts overlap by more than a dot, and none leaves it."""

    def off_axis(figure):
        """The labels of ticks outside their axis, which matplotlib keeps but does not draw."""
        unseen = set()
        for axis, at in ((axis, at) for ax in figure.axes for at, axis in enumerate((ax.xaxis, ax.yaxis))):
            low, high = sorted(axis.get_view_interval())
            labels = axis.get_ticklabels(which="both")
            unseen |= {label for label in labels if not low - 1e-9 <= label.get_position()[at] <= high + 1e-9}
        return unseen

    def check(figure):
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

    return check
