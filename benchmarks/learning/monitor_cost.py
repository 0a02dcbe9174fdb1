"""What `gr.flow.monitor` costs a training: the same step bare and watched, in turns, and its two parts apart.

The guard takes less than steps differ among themselves, on a machine that is shared, so it is timed itself: what it
does before a step is called, and after its results are there, which a thread beside it waits for; and what a bare loop
does while the step before is still running, namely to start the next one. What the guard does meanwhile costs nothing.
Each time is the 10 % quantile of its timings, what undisturbed steps take, of as many short turns as fit into a time.
The record has the standard error of the guard's, of the turns drawn again a thousand times.

python -m benchmarks.learning.monitor_cost              sizes below; benchmarks/results/monitor.json
python -m benchmarks.learning.monitor_cost --quick      a hundredth of the horizon, and no record

    guard = start + before + after                    ms
    cost = (measurement / n + guard) / step           n = 100 steps
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
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
FEWEST = 40  # turns
UNDISTURBED = 0.1  # share of the timings at or below which one counts
DRAWN = 1_000  # times that turns are drawn again
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


class Stamped:
    """A step that notes when its call comes back and, in a thread, when its results are there."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self.step = step
        self.back = 0.0
        self.there: Future[float] = Future()
        self.waiting = ThreadPoolExecutor(1)

    def __call__(self, *arguments: Any) -> Any:
        results = self.step(*arguments)
        self.back = time.perf_counter()
        self.there = self.waiting.submit(lambda: (jax.block_until_ready(results), time.perf_counter())[1])
        return results


def of_guard(stamped: Stamped, guarded: Callable[..., Any], arguments: tuple[Any, ...]) -> float:
    """Seconds that one step takes longer under guard."""
    began = time.perf_counter()
    guarded(*arguments)
    ended = time.perf_counter()
    return (stamped.back - began) + max(ended - stamped.there.result(), 0)


def measure(name: str, size: Size, calls: int, budget: float) -> Row:
    """Times of undisturbed steps, of turns in each of which one is timed bare, one guarded and one measured."""
    step, probe, arguments = training(CELLS[name], size)
    stamped = Stamped(step)
    with tempfile.TemporaryDirectory() as folder:
        guarded = gr.flow.monitor(stamped, probe, every=10**9, first=1)
        always = gr.flow.monitor(step, probe, every=1, guard=None, log=Path(folder) / "run.jsonl")
        for run in (step, guarded, always):
            seconds(run, arguments, 2)
        turns = max(FEWEST, round(budget / ((calls + 1) * seconds(step, arguments, 2))))
        bare, guard, watched = np.empty((3, turns))
        for turn in range(turns):
            bare[turn] = 1000 * seconds(step, arguments, calls)
            guard[turn] = 1000 * of_guard(stamped, guarded, arguments)
            watched[turn] = 1000 * seconds(always, arguments, 1)
    step_ms, guard_ms, watched_ms = (float(np.quantile(times, UNDISTURBED)) for times in (bare, guard, watched))
    again = np.random.default_rng(0).integers(turns, size=(DRAWN, turns))
    measurement_ms, error = watched_ms - step_ms, float(np.quantile(guard[again], UNDISTURBED, axis=1).std())
    times = {"step_ms": step_ms, "measurement_ms": measurement_ms, "guard_ms": guard_ms, "guard_error_ms": error}
    cost = {"cost": (measurement_ms / EVERY + guard_ms) / step_ms}
    return {"cell": name, **size._asdict(), "every": EVERY, "turns": turns} | times | cost


def shown(runs: list[Row]) -> str:
    """One line for each run."""
    lines = []
    for run in runs:
        size = f"{run['batch']} {run['steps']:,} {run['hidden']}"
        step, measurement, guard = (number(run[f"{part}_ms"], ",.2f") for part in ("step", "measurement", "guard"))
        guard = f"{guard} ± {number(run['guard_error_ms'], '.2f')}"
        lines.append((run["cell"], size, step, measurement, guard, number(100 * run["cost"], ".2f")))
    return table(("cell", "B T H", "step (ms)", "measurement (ms)", "guard (ms)", "cost at n = 100 (%)"), lines)


def monitor_cost_table() -> str:
    """The record's."""
    return shown(json.loads(RECORD.read_text(encoding="utf-8"))["runs"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the horizon, and no record")
    parser.add_argument("--calls", type=int, default=2, help="steps in a row per timing")
    parser.add_argument("--seconds", type=float, default=20, help="for the bare and guarded steps of a size")
    options = parser.parse_args()
    made, load = described(("jax", "jaxlib", "numpy", "optax")), os.getloadavg()[0]
    sizes = [size._replace(steps=size.steps // 100) for size in SIZES] if options.quick else SIZES
    runs = [measure(name, size, options.calls, options.seconds) for size in sizes for name in CELLS]
    print(shown(runs))
    if not options.quick:
        write_whole(RECORD, {"made": made, "load": load, "runs": runs})


if __name__ == "__main__":
    main()
