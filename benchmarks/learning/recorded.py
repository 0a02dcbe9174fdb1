"""Runs of records: what a forecast goes by at their beginning, and when they left the plateau.

A run leaves it between two tests, at the second of which its loss is a quarter below that of the best answer without
memory: where the record's are far apart, tests of a second training (`leaving`). Of one that never does it is known
that it takes longer than its budget.
"""

import json
import math
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

import jax

import gatedrnn as gr
from benchmarks.learning import leaving, plateaus
from benchmarks.learning.marks import steps
from benchmarks.learning.setups import RECORDS
from benchmarks.shared import RESULTS, Row
from gatedrnn.flow.forecast import signs as signs_of


def measured(names: Iterable[str], there: set[tuple[str, str]], at_once: int) -> Iterator[list[Row]]:
    """The runs of each entry of some records that is not there yet, by record and label."""
    wanted = [(name, label) for name in names for label, *_ in entries(name)]
    missing = [each for each in wanted if each not in there]
    with ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn")) as pool:
        for (name, label), found in zip(missing, pool.map(of_entry, missing), strict=True):
            print(f"{name}: {label}", flush=True)
            yield found


def of_entry(which: tuple[str, str]) -> list[Row]:
    """Those of one entry, by its record and label."""
    name, wanted = which
    found = {label: (setup, rate, row) for label, setup, rate, row in entries(name)}
    return list(runs(name, wanted, *found[wanted]))


def entries(name: str) -> Iterator[tuple[str, gr.train.Setup, float, Row]]:
    """Of a record, as far as all weights were trained with one learning rate: label, setup, rate, and what came.

    Of a rate that falls along a schedule the first: plateaus are left long before it has gone.
    """
    if name in plateaus.SIDES:
        cells = {cell.name: cell for cell in plateaus.CELLS}
        for row in json.loads(plateaus.RESULT.read_text())["entries"]:
            if row["record"] == name:
                rate = row["learning_rate"]
                setup = plateaus.setup_of(cells[row["cell"]], row["horizon"], row["init"], rate)
                yield row["label"], setup, rate, row
        return
    found = {row["label"]: row for row in json.loads((RESULTS / "records" / f"{name}.json").read_text())["entries"]}
    for entry in RECORDS[name]():
        rate = getattr(entry.setup.optimiser, "learning_rate", None)  # none in a chain
        if entry.label in found and rate is not None:
            first = float(rate(0)) if callable(rate) else rate
            yield entry.label, entry.setup, first, found[entry.label]


def runs(name: str, label: str, setup: gr.train.Setup, rate: float, row: Row) -> Iterator[Row]:
    """Those of an entry, one per seed."""
    seeds = list(dict.fromkeys(each["seed"] for each in row["rows"]))
    state = gr.train.init(setup, seeds)
    weights = gr.models.count(jax.tree.map(lambda a: a[0], state.params))
    if weights != row.get("weights", weights):
        raise ValueError(f"{name}, {label}: the record is of another model")
    given = steps(setup)
    tests: leaving.Tests = {
        seed: [(each["step"], each["test_loss"] / row["chance"]) for each in row["rows"] if each["seed"] == seed]
        for seed in seeds
    }
    tests = leaving.closer(setup, tests, row["chance"])
    for place, seed in enumerate(seeds):
        params = jax.tree.map(lambda a, place=place: a[place], state.params.cell)
        sign = signs_of(setup.cell, params, given.xs, given.lags, given.marked, given.unmarked)
        yield {
            "record": name,
            "label": label,
            "task": setup.task.name,
            "cell": setup.cell.name,
            "seed": seed,
            "batch": setup.batch,
            "learning_rate": rate,
            "answers": given.answers,
            "envelope": sign.envelope if math.isfinite(sign.envelope) else None,
            "distance": sign.distance,
            **left(tests[seed]),
            "budget": row["budget"],
        }


def left(tests: list[tuple[int, float]]) -> Row:
    """The tests between which the plateau was left; and when its loss drawn straight between them came to `LEFT`."""
    after, until = leaving.between(tests)
    if until is None:
        return {"after": after, "until": None, "left": None}
    shares = {0: 1.0, **dict(tests)}
    drawn = (shares[after] - leaving.LEFT) / (shares[after] - shares[until])
    return {"after": after, "until": until, "left": after + (until - after) * drawn}
