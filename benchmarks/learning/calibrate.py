"""Fits what `gr.flow.forecast` goes by to records of training, and tests it on records that the fit has not seen.

python -m benchmarks.learning.calibrate             results/forecast.json and .png, and the package's constants
python -m benchmarks.learning.calibrate --measured  fits anew to what forecast.json says was measured
python -m benchmarks.learning.calibrate --at-once 2 measures two entries at a time

What is in forecast.json is not measured again; without that file everything is.

    log10 updates = log10(forecast) + s t                 maximum likelihood of what is known of each run

t has Student's distribution of three degrees of freedom: a run that leaves by another way is an exception and does not
bend the rest. A record weighs as the square root of the number of its entries, however many seeds these have. The
interval comes from forecasts of each record by a fit to the others, since a new task is what it is for.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import optimize, stats

import gatedrnn as gr
from benchmarks.learning import leaving, plateaus
from benchmarks.learning.calibrated import EVERY_STEP, HELD_OUT, judged, picture
from benchmarks.learning.recorded import measured
from benchmarks.shared import RESULTS, Row, described, write_whole
from gatedrnn.flow.forecast import LARGEST_LOG10, updates_of

CALIBRATED = (
    *("adding-600", "adding-10000", "adding-100000", "temporal-order", "copy-1000", "agreement"),
    plateaus.CALIBRATED,
)
NOISE = stats.t(3)
SHARE = 0.8  # of the runs of a record that was left out, as they are expected between a forecast's low and high
CONSTANTS = Path(gr.__file__).parent / "flow" / "_forecast.json"
RESULT = RESULTS / "forecast.json"
FIRST = np.array([0.2, 1.0, 0.7, 0.0, -1.3])  # of `constants_of`; and ln of the spread


def fitted(found: list[Row]) -> tuple[dict[str, float], float]:
    """The constants of greatest likelihood, and the scale of the error, in decades."""
    model, likelihood = modelled(found), likelihood_of(found)
    best = FIRST
    for _ in range(4):  # the simplex anew from where it has shrunk
        loss = lambda x: -likelihood(model(constants_of(x)), x[-1])
        best = optimize.minimize(loss, best, method="Nelder-Mead", options={"maxiter": 4_000, "fatol": 1e-7}).x
    return constants_of(best), math.exp(best[-1])


def constants_of(x: np.ndarray) -> dict[str, float]:
    """Of what is fitted: three of them are looked for by their log10."""
    slowness, updates, power, gru, _ = x.tolist()
    return {"slowness": 10**slowness, "updates": 10**updates, "power": power, "gru": 10**gru}


def modelled(found: list[Row]) -> Callable[[dict[str, float]], np.ndarray]:
    """log10 of updates by the constants, of all runs at once, [N]."""
    rate, distance, answers = (
        np.array([run[name] for run in found], float) for name in ("learning_rate", "distance", "answers")
    )
    envelope = np.array([math.inf if run["envelope"] is None else run["envelope"] for run in found])
    gru = np.array([run["cell"] == "gru" for run in found])

    def updates(constants: dict[str, float]) -> np.ndarray:
        moving, log10_seeing = updates_of(constants, gru, envelope, distance, rate)
        return np.asarray(np.log10(answers * (moving + 10 ** np.minimum(log10_seeing, LARGEST_LOG10))))

    return updates


def likelihood_of(found: list[Row]) -> Callable[[np.ndarray, float], float]:
    """Of forecasts in log10 updates with an error of exp(log_spread): each run left between two tests, or not yet."""
    records = [run["record"] for run in found]
    sizes = {name: len({run["label"] for run in found if run["record"] == name}) ** 0.5 for name in records}
    weights = np.array([sizes[name] / records.count(name) for name in records])
    weights *= len(found) / weights.sum()
    after = np.log10([max(run["after"], 0.5) for run in found])
    until = np.log10([math.inf if run["until"] is None else run["until"] for run in found])
    first = np.array([run["after"] == 0 for run in found])

    def likelihood(forecasts: np.ndarray, log_spread: float) -> float:
        spread = math.exp(log_spread)
        low = np.where(first, 0.0, NOISE.cdf((after - forecasts) / spread))
        known = np.where(
            np.isinf(until), NOISE.sf((after - forecasts) / spread), NOISE.cdf((until - forecasts) / spread) - low
        )
        return float((weights * np.log(np.maximum(known, 1e-12))).sum())

    return likelihood


def without_each(found: list[Row]) -> list[Row]:
    """Every run with its forecast by a fit to the other records."""
    told = []
    for name in dict.fromkeys(run["record"] for run in found):
        constants, _ = fitted([run for run in found if run["record"] != name])
        told += [run | forecast_of(run, constants) for run in found if run["record"] == name]
    return told


def spread_of(told: list[Row]) -> float:
    """Decades to each side of a forecast that hold `SHARE` of such runs."""
    likelihood, forecasts = likelihood_of(told), np.log10([run["forecast"] for run in told])
    scale = optimize.minimize_scalar(lambda x: -likelihood(forecasts, x), bounds=(-4, 1), method="bounded").x
    return math.exp(scale) * float(NOISE.ppf((1 + SHARE) / 2))


def forecast_of(run: Row, constants: dict[str, float]) -> Row:
    """Updates until the plateau is left."""
    return {"forecast": float(10 ** modelled([run])(constants)[0])}


def report(found: list[Row]) -> Row:
    """The record: constants, what they are worth on each side, and every run with its forecast."""
    calibrated = [run for run in found if run["record"] in CALIBRATED]
    constants, _ = fitted(calibrated)
    crossed = without_each(calibrated)
    spread = spread_of(crossed)
    told = [run | forecast_of(run, constants) for run in found]
    per_task = {
        f"{record}: {task}": judged([run for run in told if (run["record"], run["task"]) == (record, task)], spread)
        for record, task in dict.fromkeys((run["record"], run["task"]) for run in found)
    }
    return {
        "made": described(("jax", "numpy", "scipy")),
        "left_at": leaving.LEFT,
        "calibrated_on": list(CALIBRATED),
        "held_out": list(HELD_OUT),
        "share": SHARE,
        "constants": constants | {"spread": spread},
        "scores": {
            "calibrated": judged([run for run in told if run["record"] in CALIBRATED], spread),
            "calibrated_each_record_by_a_fit_to_the_others": judged(crossed, spread),
            **{
                name: judged(
                    [run for run in told if run["record"] in HELD_OUT and (run["task"] in EVERY_STEP) == every], spread
                )
                for name, every in (("held_out", False), ("held_out_where_every_step_matters", True))
            },
        },
        "per_task": per_task,
        "runs": told,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--measured", action="store_true", help="measure nothing: fit to the runs of forecast.json")
    parser.add_argument("--at-once", type=int, default=1, help="entries that are measured at a time")
    options = parser.parse_args()
    if options.measured and not RESULT.exists():
        parser.error(f"--measured needs the runs of {RESULT}, which is not there")
    found: list[Row] = json.loads(RESULT.read_text())["runs"] if RESULT.exists() else []
    there = {(run["record"], run["label"]) for run in found}
    for made in () if options.measured else measured((*CALIBRATED, *HELD_OUT), there, options.at_once):
        found += made
        write_whole(RESULT, {"runs": found})
    record = report(found)
    write_whole(RESULT, record)
    write_whole(CONSTANTS, {key: record[key] for key in ("constants", "left_at", "calibrated_on", "share", "scores")})
    picture(record, CALIBRATED, RESULT.with_suffix(".png"))
    print(json.dumps({key: record[key] for key in ("constants", "scores", "per_task")}, indent=1))


if __name__ == "__main__":
    main()
