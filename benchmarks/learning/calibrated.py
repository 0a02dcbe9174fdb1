"""How good forecasts are, and their picture against what came."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.learning import plateaus
from benchmarks.shared import Row

HELD_OUT = (
    *("adding-750", "adding-1000000", "temporal-order-1997", "gru-or-lstm", "digits", "adding-writable"),
    plateaus.HELD_OUT,
)
"""Chosen before anything was fitted: of the tasks, digits, counting and parity are in no other record."""


MARKERS = "osD^vPX*"

EVERY_STEP = ("anbn", "digits", "parity", "permuted-digits")
"""Tasks without marked steps, for which a forecast is not made: here each step is taken for one among the others."""


def judged(told: list[Row], spread: float) -> Row:
    """How good the forecasts of these runs are, in updates, with intervals of so many decades to each side."""
    ended = [run for run in told if run["left"] is not None]
    never = [run for run in told if run["left"] is None]
    factor = 10**spread
    close = [run for run in ended if run["until"] <= 2 * run["after"]]
    covered = [run["forecast"] / factor <= run["left"] <= run["forecast"] * factor for run in ended]
    covered += [run["forecast"] * factor >= run["after"] for run in never]
    return {
        "runs": len(told),
        "left": len(ended),
        "within_a_factor_of_2": share([0.5 <= run["forecast"] / run["left"] <= 2 for run in ended]),
        "of_those_known_to_a_factor_of_2": {
            "runs": len(close),
            "within_a_factor_of_2": share([0.5 <= run["forecast"] / run["left"] <= 2 for run in close]),
        },
        "within_a_factor_of_2_of_its_two_tests": share(
            [run["after"] / 2 <= run["forecast"] <= 2 * run["until"] for run in ended]
        ),
        "median_of_forecast_over_left": float(np.median([run["forecast"] / run["left"] for run in ended]))
        if ended
        else None,
        "never_left": len(never),
        "never_left_and_forecast_beyond_half_the_budget": share([run["forecast"] >= run["after"] / 2 for run in never]),
        "in_the_interval": share(covered),
        "told_whether_within_the_budget": share([in_time(run) == (run["left"] is not None) for run in told]),
        **order(told),
    }


def in_time(run: Row) -> bool:
    """Whether the forecast is within the updates that were there: all of them where the plateau was kept."""
    return bool(run["forecast"] <= (run["after"] if run["left"] is None else run["budget"]))


def share(held: list[bool]) -> float | None:
    """Of those, how many."""
    return sum(held) / len(held) if held else None


def order(told: list[Row]) -> Row:
    """Kendall's tau of the runs that left; and over all pairs of which it is known which one was longer.

    A run that never left was longer than every one that left within its budget, in sequences.
    """
    both = [(run["batch"] * (run["left"] or run["after"]), run["left"] is not None) for run in told]
    said = [run["batch"] * run["forecast"] for run in told]
    ended = [place for place, (_, there) in enumerate(both) if there]
    tau = stats.kendalltau([both[i][0] for i in ended], [said[i] for i in ended]).statistic if len(ended) > 1 else None
    score = pairs = 0
    for i in ended:
        for j, (time, _) in enumerate(both):
            if time > both[i][0]:
                pairs += 1
                score += np.sign(said[j] - said[i])
    return {
        "tau_left": float(tau) if tau is not None and np.isfinite(tau) else None,
        "tau_known_pairs": float(score / pairs) if pairs else None,
    }


def picture(record: Row, calibrated: tuple[str, ...], path: Path) -> None:
    """Forecast against what came, in sequences: calibration beside held-out runs; hollow where the plateau was kept.

    Of tasks with marked steps.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), layout="constrained")
    axes: Any = figure.subplots(1, 2, sharex=True, sharey=True)
    for axis, records in zip(axes, (calibrated, HELD_OUT), strict=True):
        named = set[str]()
        for place, name in enumerate(records):
            for hollow in (False, True):
                shown = [
                    run
                    for run in record["runs"]
                    if run["record"] == name and (run["left"] is None) == hollow and run["task"] not in EVERY_STEP
                ]
                if not shown:
                    continue
                came = [run["batch"] * (run["left"] or run["after"]) for run in shown]
                said = [min(run["batch"] * run["forecast"], 1e8) for run in shown]
                label = None if name in named else name
                named.add(name)
                face = "none" if hollow else f"C{place}"
                axis.scatter(came, said, 18, face, MARKERS[place], edgecolors=f"C{place}", label=label)
        ends = np.array([1e1, 1e8])
        axis.plot(ends, ends, "k", linewidth=0.8)
        axis.fill_between(ends, ends / 2, ends * 2, color="k", alpha=0.08, linewidth=0, label="within a factor of 2")
        axis.set(xscale="log", yscale="log", xlim=(1e1, 1e6), ylim=(2e1, 1.5e8))
        axis.set_xlabel("sequences until the plateau was left (hollow: it was not, by then)")
        axis.set_title("calibration" if records is calibrated else "held out", loc="left")
        axis.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel("forecast before training, sequences\n(at most 10⁸ shown)")
    figure.suptitle(
        "Sequences until the plateau is left: the forecast, and what came", x=0.01, ha="left", weight="bold"
    )
    figure.savefig(path, dpi=130)
