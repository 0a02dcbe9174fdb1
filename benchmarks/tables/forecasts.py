"""Tables of what `gr.flow.forecast` is worth, from `benchmarks/results/forecast.json`."""

import json

from benchmarks.shared import RESULTS, Row, number, table

RECORD = RESULTS / "forecast.json"
SIDES = {
    "calibrated": "calibration",
    "calibrated_each_record_by_a_fit_to_the_others": "calibration, each record by a fit to the others",
    "held_out": "**held out**",
    "held_out_where_every_step_matters": "held out, where every step matters",
}
TASKS = {
    "temporal-order-1997: temporal-order": "temporal order 6a, 2 to 7 units",
    "temporal-order-1997: temporal-order-3": "temporal order 6b, 4 to 10 units",
    "adding-short-held-out: adding": "adding 100 and 400, three learning rates, gates default to horizon, or writable",
    "gru-or-lstm: adding": "adding 200",
    "adding-750: adding": "adding 750, RMSProp",
    "adding-writable: adding": "adding 10,000 to 1,000,000, eight units for each feature made writable",
    "adding-1000000: adding": "adding 1,000,000",
    "gru-or-lstm: agreement": "agreement 30",
    "gru-or-lstm: copy": "copy 100",
    "gru-or-lstm: parity": "parity 32",
    "gru-or-lstm: anbn": "aⁿbⁿ 200",
    "digits: digits": "digits",
    "digits: permuted-digits": "permuted digits",
}
"""The held-out ones, by record and task."""


def _share(value: float | None) -> str:
    return number(value, ".0%")


def forecast_table() -> str:
    """All runs of calibration, and all that were held out."""
    header = (
        *("", "runs", "left the plateau", "of these within a factor of 2", "of those known that well"),
        *("tau of these", "tau of all pairs of known order", "in the interval", "told whether within the budget"),
    )
    scores: dict[str, Row] = json.loads(RECORD.read_text(encoding="utf-8"))["scores"]
    lines = []
    for side, name in SIDES.items():
        one = scores[side]
        known = one["of_those_known_to_a_factor_of_2"]
        lines.append(
            (
                name,
                f"{one['runs']}",
                f"{one['left']}",
                _share(one["within_a_factor_of_2"]),
                f"{_share(known['within_a_factor_of_2'])} of {known['runs']}",
                number(one["tau_left"], ".2f"),
                number(one["tau_known_pairs"], ".2f"),
                _share(one["in_the_interval"]),
                _share(one["told_whether_within_the_budget"]),
            )
        )
    return table(header, lines)


def forecast_tasks_table() -> str:
    """Those that were held out, task by task."""
    header = (
        *("held out", "runs", "left", "within a factor of 2", "median of forecast / what came"),
        *("never left, nor expected to within half the budget", "in the interval"),
    )
    scores: dict[str, Row] = json.loads(RECORD.read_text(encoding="utf-8"))["per_task"]
    lines = []
    for task, name in TASKS.items():
        one = scores[task]
        lines.append(
            (
                name,
                f"{one['runs']}",
                f"{one['left']}",
                _share(one["within_a_factor_of_2"]),
                number(one["median_of_forecast_over_left"], ".2g"),
                f"{_share(one['never_left_and_forecast_beyond_half_the_budget'])} of {one['never_left']}",
                _share(one["in_the_interval"]),
            )
        )
    return table(header, lines)
