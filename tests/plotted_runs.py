"""Runs and gate maps as the pictures take them, and a case for everything that a picture must show."""

import itertools
import math

import numpy as np

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
        "lowest": None,
        "highest": 0.0,
        "lyapunov_max": None,
        "verdict": "vanishing",
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
