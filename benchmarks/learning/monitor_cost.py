"""What `gr.flow.monitor` costs a training: the same step bare and watched, and its two parts apart.

python -m benchmarks.learning.monitor_cost              sizes below; benchmarks/results/monitor.json
python -m benchmarks.learning.monitor_cost --quick      a hundredth of the horizon, and no record

    cost = (measurement / n + guard) / step           n = 100 steps
    guard = around a step + dispatch

The guard takes less than steps differ among themselves on a machine that is shared, so its two parts are timed alone:
what it does around a step that is done at once, with the caches swept before it, as a step leaves them; and the
dispatch of a step, which has to wait for it where it ran beside the step before. Beside it the record has the
difference of steps bare and guarded in turns, of the 10 % quantiles, and its standard error, of the turns drawn again.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gatedrnn as gr
from benchmarks.shared import RESULTS, Row, described, number, table, write_whole

RECORD = RESULTS / "monitor.json"
EVERY = 100
FEWEST = 5  # turns
UNDISTURBED = 0.1  # share of the timings at or below which one counts
DRAWN = 1_000  # times that turns are drawn again
CALLS = 50  # of a part alone
SWEPT = 2**26  # bytes, more than the caches hold
CELLS: dict[str, gr.Cell] = {"gru": gr.gru, "lstm": gr.lstm}


class Size(NamedTuple):
    """B, T and H of adding, two inputs."""

    batch: int
    steps: int
    hidden: int


SIZES = (Size(32, 1_000, 128), Size(32, 1_000, 64), Size(16, 10_000, 64))


class Training(NamedTuple):
    """A plain step, its probe, and its arguments."""

    step: Callable[..., Any]
    probe: Callable[..., Any]
    arguments: tuple[Any, ...]


def training(cell: gr.Cell, size: Size) -> Training:
    """Adam on the adding task."""
    batch = gr.tasks.adding(jax.random.key(0), size.batch, size.steps)
    optimiser = optax.adam(1e-3)

    def rest(weights: Any, ys: jax.Array) -> jax.Array:
        return jnp.mean(jnp.square(ys[-1] @ weights["readout"] - jnp.ravel(batch.targets[-1])))

    def loss(weights: Any, xs: jax.Array) -> jax.Array:
        return rest(weights, gr.unroll(cell, weights["cell"], xs)[1])

    @jax.jit
    def step(weights: Any, state: Any, xs: jax.Array) -> tuple[Any, Any, jax.Array]:
        value, gradient = jax.value_and_grad(loss)(weights, xs)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(weights, updates), state, value

    def probe(weights: Any, state: Any, xs: jax.Array) -> gr.flow.Probe:
        return gr.flow.Probe(cell, weights["cell"], xs, lambda ys: rest(weights, ys))

    weights = {"cell": cell.init(jax.random.key(1), 2, size.hidden), "readout": jnp.zeros(size.hidden)}
    return Training(step, probe, (weights, optimiser.init(weights), batch.xs))


def seconds(run: Callable[..., Any], arguments: tuple[Any, ...], calls: int) -> float:
    """Of one call, of several in a row as a training makes them."""
    weights, state, xs = arguments
    began = time.perf_counter()
    for _ in range(calls):
        weights, state, value = run(weights, state, xs)
    jax.block_until_ready((weights, value))
    return (time.perf_counter() - began) / calls


def alone(run: Callable[..., Any], arguments: tuple[Any, ...]) -> float:
    """Median milliseconds until a call returns, with caches swept before it."""
    taken, sweep = [], np.zeros(SWEPT // 8)
    for _ in range(CALLS):
        sweep += 1
        began = time.perf_counter()
        results = run(*arguments)
        taken.append(1000 * (time.perf_counter() - began))
        jax.block_until_ready(results)
    return statistics.median(taken)


def measure(name: str, size: Size, calls: int, budget: float) -> Row:
    """The parts, each alone, and turns in each of which steps are timed bare and guarded, in changing order."""
    step, probe, arguments = training(CELLS[name], size)
    done = jax.block_until_ready(step(*arguments))
    at_once = lambda *_: done
    with tempfile.TemporaryDirectory() as folder:
        guarded, around = (gr.flow.monitor(each, probe, every=10**9, first=1) for each in (step, at_once))
        always = gr.flow.monitor(step, probe, every=1, guard=None, log=Path(folder) / "run.jsonl")
        for run in (step, guarded, always):
            seconds(run, arguments, 2)
        turns = max(FEWEST, round(budget / (3 * calls * seconds(step, arguments, 2))))
        pairs, watched = np.empty((turns, 2)), np.empty(turns)
        for turn in range(turns):
            for which in (0, 1) if turn % 2 else (1, 0):
                pairs[turn, which] = 1000 * seconds((step, guarded)[which], arguments, calls)
            watched[turn] = 1000 * seconds(always, arguments, 1)
    guard_ms, dispatch_ms = alone(around, arguments), alone(step, arguments)
    step_ms, guarded_ms = np.quantile(pairs, UNDISTURBED, axis=0)
    again = np.random.default_rng(0).integers(turns, size=(DRAWN, turns))
    low = np.quantile(pairs[again], UNDISTURBED, axis=1)  # [1000, 2]
    times = {
        "step_ms": step_ms,
        "measurement_ms": np.quantile(watched, UNDISTURBED) - step_ms,
        "around_ms": guard_ms,
        "dispatch_ms": dispatch_ms,
        "in_turns_ms": guarded_ms - step_ms,
        "in_turns_error_ms": (low[:, 1] - low[:, 0]).std(),
    }
    cost = (times["measurement_ms"] / EVERY + guard_ms + dispatch_ms) / step_ms
    found = {key: float(value) for key, value in (times | {"cost": cost}).items()}
    return {"cell": name, **size._asdict(), "every": EVERY, "turns": turns, **found}


def shown(runs: list[Row]) -> str:
    """One line for each run."""
    lines = []
    for run in runs:
        size = f"{run['batch']} {run['steps']:,} {run['hidden']}"
        step, measurement, guard, turns, error = (
            number(value, ",.2f")
            for value in (
                run["step_ms"],
                run["measurement_ms"],
                run["around_ms"] + run["dispatch_ms"],
                run["in_turns_ms"],
                run["in_turns_error_ms"],
            )
        )
        cost = number(100 * run["cost"], ".2f")
        lines.append((run["cell"], size, step, measurement, guard, cost, f"{turns} ± {error}"))
    header = (
        "cell",
        "B T H",
        "step (ms)",
        "measurement (ms)",
        "guard (ms)",
        "cost at n = 100 (%)",
        "guard in turns (ms)",
    )
    return table(header, lines)


def monitor_cost_table() -> str:
    """The record's."""
    return shown(json.loads(RECORD.read_text(encoding="utf-8"))["runs"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the horizon, and no record")
    parser.add_argument("--calls", type=int, default=4, help="steps in a row per timing")
    parser.add_argument("--seconds", type=float, default=40, help="for the pairs of timings of a size")
    options = parser.parse_args()
    made, load = described(("jax", "jaxlib", "numpy", "optax")), os.getloadavg()[0]
    sizes = [size._replace(steps=size.steps // 100) for size in SIZES] if options.quick else SIZES
    runs = [measure(name, size, options.calls, options.seconds) for size in sizes for name in CELLS]
    print(shown(runs))
    if not options.quick:
        write_whole(RECORD, {"made": made, "load": load, "runs": runs})


if __name__ == "__main__":
    main()
