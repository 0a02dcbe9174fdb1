"""What is measured of the systems of `systems`: equality first, then times of systems that take turns."""

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

import gatedrnn as gr
from benchmarks.shared import Row
from benchmarks.speed.clock import milliseconds
from benchmarks.speed.problem import Size, place, problem
from benchmarks.speed.ready import Gradients, Ready
from benchmarks.speed.systems import REFERENCE, SPINNING, SYSTEMS

ENOUGH_MS = 1e3  # a system that has taken less takes more turns
REST = 0.01  # seconds; torch's threads spin for 2 to 3 ms
TOLERANCE = 1e-4  # relative to the largest entry of the array; see `tolerance`


def prepare(name: str, cell: gr.Cell, size: Size) -> Ready:
    """A system of `SYSTEMS`, compiled."""
    return SYSTEMS[name].build(cell, *problem(cell, size))


def applicable(cell: gr.Cell, size: Size, names: Iterable[str]) -> list[str]:
    """Those of the systems that can run the cell at that size."""
    return [name for name in names if SYSTEMS[name].has(cell, size)]


def difference(got: Any, want: Any) -> float:
    """The largest difference of any leaf, relative to that leaf's largest entry; NaN if there is one anywhere."""
    pairs = zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True)
    return float(
        np.max(  # not `max`, which passes over a NaN that does not come first
            [
                np.max(np.abs(a - b)) / np.maximum(np.max(np.abs(b)), 1e-30)
                for a, b in ((np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in pairs)
            ]
        )
    )


def tolerance(size: Size) -> float:
    """How large a `difference` may be.

    The reference adds up its weight gradients step by step, in float32, so its own error grows with T: 1.1e-5 of the
    largest entry at 100,000 steps (LSTM, B = 1, against float64; gatedrnn 1.1e-6), ten times that at 1,000,000.
    """
    return TOLERANCE * max(1, size.steps / 10**5)


def errors(ready: Ready, want: tuple[np.ndarray, Gradients]) -> dict[str, float | None]:
    """How far a system's outputs and gradients are from the reference's; its weights' through the conversion."""
    ys, gradients = want
    found: dict[str, float | None] = {"outputs": difference(ready.outputs(ready.forward()), ys), "gradients": None}
    if ready.gradient is not None:
        got = ready.gradients(ready.gradient())
        _, pull = jax.vjp(ready.convert, ready.weights)
        (weights,) = pull(gradients.weights)
        found["gradients"] = difference((got.weights, got.xs, got.carry), (weights, gradients.xs, gradients.carry))
    return found


def compared(cell: gr.Cell, size: Size, names: list[str]) -> tuple[dict[str, Ready], list[Row]]:
    """The systems, ready, and a row of errors for each.

    Raises:
        SystemExit: the numbers of one are not the reference's.
    """
    systems = {name: prepare(name, cell, size) for name in names}
    reference = systems[REFERENCE] if REFERENCE in systems else prepare(REFERENCE, cell, size)
    assert reference.gradient is not None
    found = reference.gradients(reference.gradient())
    ours = found._replace(weights=reference.convert(found.weights))  # which renames them, and so their gradients
    want = reference.outputs(reference.forward()), ours
    rows = []
    for name, ready in systems.items():
        row = place(name, cell.name, size) | {"errors": errors(ready, want)}
        if not all(error is None or error < tolerance(size) for error in row["errors"].values()):
            raise SystemExit(f"{name}, {cell.name} {size}: other numbers than the reference, {row['errors']}")
        rows.append(row | {"compile_s": ready.compile_s, "trace_s": ready.trace_s})
    return systems, rows


def turn(name: str, run: Callable[[], object]) -> float:
    """Milliseconds of one call of a system; then a rest for its threads, which would hold a core that is the next's."""
    taken = milliseconds(run)
    if name in SPINNING:
        time.sleep(REST)
    return taken


def turns(systems: dict[str, Ready], kind: str, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of every call, "forward" or "gradient", of systems that take turns."""
    times: dict[str, list[float]] = {name: [] for name in systems}
    for made in range(5 * repeats):
        for name, ready in systems.items():
            run = ready.forward if kind == "forward" else ready.gradient
            if run is not None and (made < repeats or sum(times[name]) < ENOUGH_MS):
                times[name].append(turn(name, run))
    return times


def summary(taken: list[float]) -> Row | None:
    """Median, least and largest; None of what was never called."""
    return {"ms": statistics.median(taken), "spread": [min(taken), max(taken)]} if taken else None


def measure(cell: gr.Cell, size: Size, names: list[str], repeats: int) -> list[Row]:
    """One row per system: errors, then times of systems that take turns."""
    systems, rows = compared(cell, size, names)
    for kind in ("forward", "gradient"):
        times = turns(systems, kind, repeats)
        for row in rows:
            row[kind] = summary(times[row["system"]])
    return rows
