"""Verdicts as sentences: the word of a run with the numbers that justify it."""

import math

from gatedrnn.flow import Comparison
from gatedrnn.flow._groups import Group, grouped
from gatedrnn.flow._scalars import FLOORS, SCALARS
from gatedrnn.report._configurations import Run

_RATES = {"rate_log10_per_step": "{:+.2g} decades per step", "lyapunov_max": "largest exponent {:+.2g} nats per step"}


def verdict(run: Run) -> str:
    """The sentence on one run: its word, and the numbers that justify it.

    Args:
        run: fields of a `Run`, of which the scalars that are there, `horizon` and `verdict` are read.
    """
    known = {name: run[name] for name in SCALARS if run.get(name) is not None and math.isfinite(run[name])}
    rates = [words.format(known[name]) for name, words in _RATES.items() if name in known]
    rate = f" ({', '.join(rates)})" if "rate_log10_per_step" in known else ""
    horizon = f"{int(run['horizon']):,} steps"
    say = lambda name, form: format(known[name], form) if name in known else SCALARS[name].absent
    if run["verdict"] == "exploding":
        return f"exploding: 10^{say('highest', '.1f')} times its start within {horizon}{rate}"
    if run["verdict"] == "isometric":
        span = f"10^{say('lowest', 'z.2f')} and 10^{say('highest', 'z.2f')}"
        return f"isometric: between {span} of its start over {horizon}{rate}"
    reached = [f", {known[lag]:,.0f} to zero in {name}" for name in FLOORS if (lag := f"lag_below_{name}") in known]
    return f"vanishing: {say('lag_below_1e3', ',.0f')} steps to a thousandth{''.join(reached)}{rate}"


def verdicts(comparison: Comparison) -> list[str]:
    """One sentence per cell, input and initialisation: the verdict of the seed with the median decay rate."""
    groups = grouped(vars(run) for run in comparison.runs)
    return [f"{one.cell}, {one.init} initialisation, {one.input} input: {verdict(_middle(one))}" for one in groups]


def _middle(group: Group) -> Run:
    name = "rate_log10_per_step"
    missing = SCALARS[name].missing
    return sorted(group.runs, key=lambda run: missing if run[name] is None else run[name])[len(group.runs) // 2]
