"""Runs as the report takes them."""

import math

LAGS = [0, 1, 10, 100]
HORIZON = LAGS[-1]
LN10 = math.log(10)


def run(cell="rnn", kind="silent", init="default", seed=0, rate=0.0, **changes):
    """A run that loses `rate` decades per step, with the scalars that belong to it."""

    def first_below(level):
        return next((k for k in range(HORIZON + 1) if -rate * k < level), None)

    word = "vanishing" if rate * HORIZON > 3 else "exploding" if rate * HORIZON < -3 else "isometric"
    return {
        "cell": cell,
        "input": kind,
        "init": init,
        "seed": seed,
        "horizon": HORIZON,
        "hidden_size": 32,
        "batch": 2,
        "lags": LAGS,
        "log10_norm": [-rate * lag for lag in LAGS],
        "closed_form_log10_norm": [-rate * lag for lag in LAGS] if kind == "silent" else None,
        "rate_log10_per_step": -rate,
        "half_life": math.log10(2) / rate if rate > 0 else None,
        "lag_below_1e3": first_below(-3),
        "lag_below_float32": first_below(-38),
        "lag_below_float64": first_below(-308),
        "lowest": min(-rate * HORIZON, 0.0),
        "highest": max(-rate * HORIZON, 0.0),
        "lyapunov_max": -rate * LN10,
        "verdict": word,
        **changes,
    }


def sample():
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
