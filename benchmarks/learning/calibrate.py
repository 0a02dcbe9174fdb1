"""Fits what `gr.flow.forecast` goes by to the records of training, and tests it on records that the fit has not seen.

python -m benchmarks.learning.calibrate             results/forecast.json and .png, and the package's constants
python -m benchmarks.learning.calibrate --measured  fits anew to what forecast.json says was measured

What is in forecast.json is not measured again; without that file everything is.

A run leaves the plateau at the sequences where its test loss, drawn straight between tests, is a quarter below that of
the best answer without memory. Of one that never does it is known that it takes longer than its budget.

    log10 updates = a + e E + w W + r log10(0.01 / learning rate) + s t        maximum likelihood

t has Student's distribution of two degrees of freedom: a run that leaves by another way, such as a gate that training
moves first, is an exception and does not bend the rest.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy import optimize, stats

import gatedrnn as gr
from benchmarks.learning.entries import Entry
from benchmarks.learning.marks import steps
from benchmarks.learning.setups import RECORDS
from benchmarks.shared import RESULTS, Row, described, write_whole
from gatedrnn.flow.forecast import RATE, signs as signs_of

CALIBRATED = ("adding-600", "adding-10000", "adding-100000", "temporal-order", "copy-1000", "agreement")
HELD_OUT = ("adding-750", "adding-1000000", "temporal-order-1997", "gru-or-lstm", "digits")
"""Chosen before anything was fitted: of the tasks, digits, counting and parity are in no other record."""

LEFT = 0.75  # of the loss of the best answer without memory
WIDEST = {"envelope": 4.0, "unwritten": 6.0}  # decades beyond which more says no more
NOISE = stats.t(2)
SHARE = 2 / 3  # of the runs, as the fit has them, between a forecast's low and high
CONSTANTS = Path(gr.__file__).parent / "flow" / "_forecast.json"
RESULT = RESULTS / "forecast.json"
NAMES = ("intercept", "envelope", "unwritten", "rate")


def measured(name: str, there: set[tuple[str, str]]) -> Iterator[Row]:
    """A record's runs: what is measured of the weights that each began with, and when it left the plateau."""
    found = {row["label"]: row for row in json.loads((RESULTS / "records" / f"{name}.json").read_text())["entries"]}
    for entry in RECORDS[name]():
        if entry.label in found and (name, entry.label) not in there:
            yield from runs(name, entry, found[entry.label])
            print(f"{name}: {entry.label}", flush=True)


def runs(name: str, entry: Entry, row: Row) -> Iterator[Row]:
    """Those of an entry, one per seed."""
    setup = entry.setup
    seeds = list(dict.fromkeys(each["seed"] for each in row["rows"]))
    state = gr.train.init(setup, seeds)
    if gr.models.count(jax.tree.map(lambda a: a[0], state.params)) != row["weights"]:
        raise ValueError(f"{name}, {entry.label}: the record is of another model")
    given = steps(setup, 18 if setup.task.name == "agreement" else 8 if setup.horizon < 100_000 else 1)
    for place, seed in enumerate(seeds):
        weights = jax.tree.map(lambda a, place=place: a[place], state.params.cell)
        sign = signs_of(setup.cell, weights, given.xs, given.lags, given.marked, given.unmarked)
        tests = [(each["step"], each["test_loss"] / row["chance"]) for each in row["rows"] if each["seed"] == seed]
        yield {
            "record": name,
            "label": entry.label,
            "task": setup.task.name,
            "seed": seed,
            "batch": setup.batch,
            "learning_rate": setup.optimiser.learning_rate,
            "envelope": sign.envelope if math.isfinite(sign.envelope) else None,
            "unwritten": sign.unwritten,
            "left": left(tests),
            "budget": tests[-1][0],
        }


def left(tests: list[tuple[int, float]]) -> float | None:
    """Updates at which the loss, as a share of the one without memory, is down to `LEFT`; None if never."""
    before = (0, 1.0)
    for step, share in tests:
        if share <= LEFT:
            return before[0] + (step - before[0]) * (before[1] - LEFT) / (before[1] - share)
        before = (step, share)
    return None


def fitted(found: list[Row]) -> dict[str, float]:
    """The constants of greatest likelihood."""
    columns = np.array([regressors(run) for run in found])  # [N, 4]
    ended = np.array([run["left"] is not None for run in found])
    times = np.log10([run["left"] if run["left"] is not None else run["budget"] for run in found])

    def loss(values: np.ndarray) -> float:
        *weights, log_spread = values
        z = (times - columns @ np.array(weights)) / np.exp(log_spread)
        return float(-np.where(ended, NOISE.logpdf(z) - log_spread, NOISE.logsf(z)).sum())

    best = np.array([1.0, 0.2, 0.2, 1.0, -1.0])
    for _ in range(5):  # the simplex anew from where it has shrunk
        best = optimize.minimize(loss, best, method="Nelder-Mead", options={"maxiter": 20_000, "fatol": 1e-9}).x
    *weights, log_spread = map(float, best)
    spread = math.exp(log_spread) * float(NOISE.ppf((1 + SHARE) / 2))
    limits = {f"widest_{name}": limit for name, limit in WIDEST.items()}
    return dict(zip(NAMES, weights, strict=True)) | {"spread": spread} | limits


def regressors(run: Row) -> list[float]:
    """1, E, W and the learning rate's decades."""
    envelope = math.inf if run["envelope"] is None else run["envelope"]
    signs = min(envelope, WIDEST["envelope"]), min(run["unwritten"], WIDEST["unwritten"])
    return [1.0, *signs, math.log10(RATE / run["learning_rate"])]


def predicted(run: Row, constants: dict[str, float]) -> float:
    """Updates until the plateau is left."""
    return float(10 ** sum(constants[name] * value for name, value in zip(NAMES, regressors(run), strict=True)))


def order(found: list[Row], forecasts: list[float]) -> Row:
    """Kendall's tau of the runs that left; and over all pairs of which it is known which one was longer.

    A run that never left was longer than every one that left within its budget, in sequences.
    """
    both = [(run["batch"] * (run["left"] or run["budget"]), run["left"] is not None) for run in found]
    said = [run["batch"] * each for run, each in zip(found, forecasts, strict=True)]
    ended = [place for place, (_, there) in enumerate(both) if there]
    tau = stats.kendalltau([both[i][0] for i in ended], [said[i] for i in ended]).statistic if len(ended) > 1 else None
    score = pairs = 0
    for i in ended:
        for j, (time, _) in enumerate(both):
            if time > both[i][0]:
                pairs += 1
                score += np.sign(said[j] - said[i])
    return {"tau_left": None if tau is None else float(tau), "tau_known_pairs": float(score / pairs) if pairs else None}


def judged(found: list[Row], constants: dict[str, float]) -> Row:
    """How good forecasts of these runs are."""
    forecasts = [predicted(run, constants) for run in found]
    ratios = [each / run["left"] for run, each in zip(found, forecasts, strict=True) if run["left"]]
    longer = [each >= run["budget"] / 2 for run, each in zip(found, forecasts, strict=True) if run["left"] is None]
    within = sum(0.5 <= ratio <= 2 for ratio in ratios)
    return {
        "runs": len(found),
        "left": len(ratios),
        "within_a_factor_of_2": within / len(ratios) if ratios else None,
        "never_left": len(longer),
        "never_left_and_forecast_beyond_half_the_budget": sum(longer) / len(longer) if longer else None,
        "consistent": (within + sum(longer)) / len(found) if found else None,
        **order(found, forecasts),
    }


def report(found: list[Row]) -> Row:
    """The record: constants, what they are worth on each side, and every run with its forecast."""
    sides = {
        name: [run for run in found if run["record"] in records]
        for name, records in (("calibrated", CALIBRATED), ("held_out", HELD_OUT))
    }
    constants = fitted(sides["calibrated"])
    runs = [run | {"forecast": predicted(run, constants)} for run in found]
    per_task = {
        f"{record}: {task}": judged([run for run in found if (run["record"], run["task"]) == (record, task)], constants)
        for record, task in dict.fromkeys((run["record"], run["task"]) for run in found)
    }
    return {
        "made": described(("jax", "numpy", "scipy")),
        "left_at": LEFT,
        "calibrated_on": list(CALIBRATED),
        "held_out": list(HELD_OUT),
        "constants": constants,
        "scores": {name: judged(side, constants) for name, side in sides.items()},
        "per_task": per_task,
        "runs": runs,
    }


def picture(record: Row, path: Path) -> None:
    """Forecast against what came, in sequences: calibration beside held-out runs; hollow where the plateau was kept."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    axes: Any = figure.subplots(1, 2, sharex=True, sharey=True)
    for axis, records in zip(axes, (CALIBRATED, HELD_OUT), strict=True):
        for place, name in enumerate(records):
            for hollow in (False, True):
                shown = [run for run in record["runs"] if run["record"] == name and (run["left"] is None) == hollow]
                came = [run["batch"] * (run["left"] or run["budget"]) for run in shown]
                said = [run["batch"] * run["forecast"] for run in shown]
                label = None if hollow else name
                axis.scatter(came, said, 18, "none" if hollow else f"C{place}", edgecolors=f"C{place}", label=label)
        ends = np.array([3e2, 3e6])
        axis.plot(ends, ends, "k", linewidth=0.8)
        axis.fill_between(ends, ends / 2, ends * 2, color="k", alpha=0.08, linewidth=0)
        axis.set(
            xscale="log", yscale="log", xlabel="sequences until the plateau was left (hollow: it was not, by then)"
        )
        axis.set_title("calibration" if records is CALIBRATED else "held out", loc="left")
        axis.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel("forecast before training")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--measured", action="store_true", help="measure nothing: fit to the runs of forecast.json")
    options = parser.parse_args()
    found: list[Row] = json.loads(RESULT.read_text())["runs"] if RESULT.exists() else []
    there = {(run["record"], run["label"]) for run in found}
    for name in () if options.measured else (*CALIBRATED, *HELD_OUT):
        found += measured(name, there)
    record = report(found)
    write_whole(RESULT, record)
    keys = ("constants", "left_at", "calibrated_on", "scores")
    write_whole(CONSTANTS, {key: record[key] for key in keys})
    picture(record, RESULT.with_suffix(".png"))
    print(json.dumps({key: record[key] for key in ("constants", "scores", "per_task")}, indent=1))


if __name__ == "__main__":
    main()
