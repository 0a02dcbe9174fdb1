"""What the runs say when compared with each other."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gatedrnn import plots
from gatedrnn._words import capital, counted
from gatedrnn.flow._groups import KEYS, log10_norms
from gatedrnn.flow._scalars import FLOORS
from gatedrnn.report._configurations import Configuration, Run, decades_between, group_by, grouped
from gatedrnn.report._words import joined, number

_SAME = math.log10(2)  # decades; less than this between two configurations is not called a difference


class Finding(NamedTuple):
    """A heading, a paragraph and a list below it, all plain text."""

    title: str
    text: str
    points: tuple[str, ...] = ()


def findings(runs: Sequence[Run]) -> list[Finding]:
    """What the runs say when compared with each other; a comparison that the runs do not allow is left out."""
    configurations = grouped(runs)
    found = [
        _ranking(configurations),
        _usual_story(configurations),
        _effect(configurations, "init", "default", "initialisation"),
        _effect(configurations, "input", "silent", "input"),
        _floors(configurations),
        _closed_form(configurations),
        _exponents(configurations),
    ]
    return [finding for finding in found if finding is not None]


def _ranking(configurations: Sequence[Configuration]) -> Finding | None:
    points = []
    for (kind,), group in group_by(configurations, "input").items():
        ranked = sorted(group, key=lambda one: -one.end.median)
        best, worst = ranked[0], ranked[-1]
        equals = [one.name for one in ranked if abs(decades_between(best, one)) < _SAME]
        verb = "has" if len(equals) == 1 else "have"
        if len(equals) < len(ranked):
            most = f"{joined(equals)} {verb} the most ({best.left}), {worst.name} the least ({worst.left})."
            points.append(f"{capital(plots.input_title(kind))}: {most}")
        elif len(ranked) > 1:
            points.append(f"{capital(plots.input_title(kind))}: all have about the same, {best.left}.")
    text = f"The gradient norm at lag {max(one.horizon for one in configurations):,}:"
    return Finding("Most and least gradient at the horizon", text, tuple(points)) if points else None


def _usual_story(configurations: Sequence[Configuration]) -> Finding | None:
    """The story is borne out where a gated cell keeps its gradient and the RNN, under the same input, does not."""
    outcomes = {
        (True, False): "as the story says: only the {gated} keeps its gradient",
        (False, True): "the other way round: only the RNN keeps its gradient",
        (True, True): "both keep their gradient",
        (False, False): "neither keeps its gradient",
    }
    points, seen = [], []
    for (kind,), group in group_by(configurations, "input").items():
        plain = {one.cell: one for one in group if one.init == "default"}
        for cell in ("gru", "lstm"):
            if "rnn" in plain and cell in plain:
                rnn, gated, name = plain["rnn"], plain[cell], plots.cell_title(cell)
                seen.append((gated.kept, rnn.kept))
                start = f"{capital(plots.input_title(kind))}: RNN {rnn.left}, {name} {gated.left}"
                points.append(f"{start}; {outcomes[seen[-1]].format(gated=name)}.")
    if not seen:
        return None
    borne_out, reversed_ = seen.count((True, False)), (False, True) in seen
    verdict = "holds only in part" if borne_out else "does not hold here" if reversed_ else "does not show here"
    text = (
        "The usual story says that the gradient of a plain RNN vanishes or explodes and that gates keep it. At default "
        f"initialisation, the gradient norm at lag {max(one.horizon for one in configurations):,}:"
    )
    return Finding(f"The usual story {'holds here' if borne_out == len(seen) else verdict}", text, tuple(points))


def _effect(configurations: Sequence[Configuration], field: str, baseline: str, noun: str) -> Finding | None:
    """What changes with `field`, all else equal."""
    points = []
    for group in group_by(configurations, *(key for key in KEYS if key != field)).values():
        before = [one for one in group if getattr(one, field) == baseline]
        for one in group if before else ():
            if one is not before[0]:
                lives = [plots.steps(each.scalar("half_life").median) for each in (one, before[0])]
                points.append(
                    f"{one.title}: {one.left}, against {before[0].left}: {_change(before[0], one)}. "
                    f"Half-life {lives[0]} steps, against {lives[1]}."
                )
    lag = max(one.horizon for one in configurations)
    text = f"The gradient norm at lag {lag:,}, all else equal, against that with the {baseline} {noun}:"
    return Finding(f"What the {noun} changed", text, tuple(points)) if points else None


def _floors(configurations: Sequence[Configuration]) -> Finding:
    points = []
    for name, floor in FLOORS.items():
        lags = [(one, one.scalar(f"lag_below_{name}").median) for one in configurations]
        lost = [f"{one.title} (from lag {lag:,.0f})" for one, lag in lags if math.isfinite(lag)]
        points.append(f"{name}: exactly zero in {len(lost)} of {counted(len(lags), 'configuration')}{_named(lost)}.")
        high = [one.title for one in configurations if one.end.median > floor]
        points += [f"{name}: infinity in {len(high)}{_named(high)}."] if high else []
    return Finding("What plain backpropagation would return at the horizon", "In the format given:", tuple(points))


def _closed_form(configurations: Sequence[Configuration]) -> Finding | None:
    """Measured against closed form, over all lags of all runs that have one; zero against a number counts as a miss."""
    pairs = [(one, run) for one in configurations for run in one.runs if run.get("closed_form_log10_norm") is not None]
    if not pairs:
        return None
    worst, misses = (0.0, "everywhere the same"), 0
    for one, run in pairs:
        measured, exact = (log10_norms(run[key]) for key in ("log10_norm", "closed_form_log10_norm"))
        both = np.isfinite(measured) & np.isfinite(exact)
        misses += int(np.sum(np.isfinite(measured) != np.isfinite(exact)))
        apart = np.abs(np.where(both, measured, 0) - np.where(both, exact, 0))
        at = int(np.argmax(apart))
        worst = max(worst, (float(apart[at]), f"{one.title}, seed {run['seed']}, at lag {run['lags'][at]:,}"))
    text = (
        f"{counted(len(pairs), 'run')} can be checked against the constant-Jacobian closed form ‖(Jᵀ)ᵏ v‖. "
        f"The largest deviation of log10 of the norm, over all lags, is {number(worst[0])} ({worst[1]})."
    )
    if misses:
        text += f" At {counted(misses, 'lag')} one of the two is exactly zero and the other is not."
    return Finding("Agreement with the closed form", text)


def _exponents(configurations: Sequence[Configuration]) -> Finding | None:
    """Two ways to one number: the slope of the backward profile, and the forward growth of perturbations."""
    pairs = [
        (run["rate_log10_per_step"] * math.log(10), run["lyapunov_max"], f"{one.title}, seed {run['seed']}")
        for one in configurations
        for run in one.runs
        if run["rate_log10_per_step"] is not None and run["lyapunov_max"] is not None
    ]
    if not pairs:
        return None
    slope, exponent, name = max(pairs, key=lambda pair: abs(pair[0] - pair[1]))
    middle = float(np.median([abs(one[0] - one[1]) for one in pairs]))
    text = (
        "The slope of the gradient's profile going back, times ln 10, and the largest Lyapunov exponent going "
        f"forward are both rates in nats per step. Over {counted(len(pairs), 'run')} they differ by {number(middle)} "
        f"in the median and by {number(abs(slope - exponent))} at most ({name}: {number(slope, 5)} and "
        f"{number(exponent, 5)}). A profile that is not a pure exponential has no single rate; there the two need "
        "not agree."
    )
    return Finding("Two measurements of one rate", text)


def _change(before: Configuration, after: Configuration) -> str:
    gain = decades_between(before, after)
    if abs(gain) < _SAME:
        return "about the same"
    if math.isinf(gain):
        return "something instead of nothing" if gain > 0 else "nothing instead of something"
    return f"{number(abs(gain))} decades {'more' if gain > 0 else 'less'}"


def _named(names: Sequence[str]) -> str:
    return f": {'; '.join(names)}" if names else ""
