"""What is measured of the systems of `systems`: equality first, then times, peak memory and compilation."""

import ctypes
import gc
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from systems import REFERENCE, SYSTEMS, Ready

import gatedrnn as gr

Size = tuple[int, int, int, int]  # B D H T
Row = dict[str, Any]
CELLS = {"rnn": gr.rnn, "gru": gr.gru, "lstm": gr.lstm}
SHORT = 50  # steps
ENOUGH_MS = 1e3  # a system that has taken less takes more turns
TOLERANCE = 1e-4  # relative to the largest entry of the array; see `tolerance`


def problem(cell: gr.Cell, size: Size) -> tuple[Any, Any, Any]:
    """Weights, inputs and first carry."""
    batch, width, hidden, steps = size
    key_params, key_xs = jax.random.split(jax.random.key(0))
    params = cell.init(key_params, width, hidden)
    return params, jax.random.normal(key_xs, (steps, batch, width)), cell.initial_carry(params, batch)


def prepare(name: str, cell: gr.Cell, size: Size) -> Ready:
    return SYSTEMS[name][0](cell, *problem(cell, size))


def applicable(cell: gr.Cell, size: Size, names: tuple[str, ...]) -> list[str]:
    """The systems that have the cell; two devices need two rows."""
    return [name for name in names if cell.name in SYSTEMS[name][1] and (size[0] % 2 == 0 or "devices" not in name)]


def place(name: str, cell: str, size: Size) -> Row:
    """What every row begins with."""
    return {"system": name, "cell": cell} | dict(zip("BDHT", size, strict=True))


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
    return TOLERANCE * max(1, size[3] / 10**5)


def errors(ready: Ready, want: tuple[Any, Any]) -> dict[str, float | None]:
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


def turns(systems: dict[str, Ready], kind: str, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of every call, "forward" or "gradient", of systems that take turns."""
    times: dict[str, list[float]] = {name: [] for name in systems}
    for turn in range(5 * repeats):
        for name, ready in systems.items():
            run = getattr(ready, kind)
            if run is not None and (turn < repeats or sum(times[name]) < ENOUGH_MS):
                start = time.perf_counter()
                run()
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def summary(taken: list[float]) -> Row | None:
    return {"ms": statistics.median(taken), "spread": [min(taken), max(taken)]} if taken else None


def measure(cell: gr.Cell, size: Size, names: list[str], repeats: int) -> list[Row]:
    """One row per system: errors, then times of systems that take turns."""
    systems, rows = compared(cell, size, names)
    for kind in ("forward", "gradient"):
        times = turns(systems, kind, repeats)
        for row in rows:
            row[kind] = summary(times[row["system"]])
    return rows


def limit_gflops() -> float:
    """Rate of the product of two 2048 x 2048 float32 matrices, best of 9."""
    a = jax.random.normal(jax.random.key(0), (2048, 2048))
    square = jax.jit(lambda a: a @ a).lower(a).compile()
    jax.block_until_ready(square(a))
    taken = []
    for _ in range(9):
        start = time.perf_counter()
        jax.block_until_ready(square(a))
        taken.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(taken) / 1e9


def necessary_gflop(row: Row) -> float:
    """Multiplications and additions of the products that forward cannot do without; forward + backward: three times."""
    gates = len(CELLS[row["cell"]].gates)
    return 2 * row["B"] * row["T"] * (row["D"] + row["H"]) * gates * row["H"] / 1e9


def peak_memory(name: str, cell: str, size: Size) -> Row:
    """Bytes that forward + backward takes beyond its inputs, gradients and, if it has to hold them, its outputs.

    All of it in this process, which must not have done anything else. What libraries set up at their first call, 9 MB
    for products, is there beforehand from a short sequence.
    """
    short = prepare(name, CELLS[cell], (*size[:3], min(size[3], SHORT))).gradient
    ready = prepare(name, CELLS[cell], size)
    assert short is not None and ready.gradient is not None
    short()
    del short
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was given back counts when it is taken again
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = _status("VmRSS")
    found = ready.gradient()
    gradients = sum(a.nbytes for a in jax.tree.leaves(found))
    outputs = 4 * size[0] * size[2] * size[3] if ready.keeps_outputs else 0
    return {"bytes": _status("VmHWM") - before - gradients - outputs, "outputs_bytes": outputs}


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field + ":")).split()[1])


def compilation(name: str, cell: str, size: Size) -> Row:
    """Seconds to trace, lower and compile forward + backward, median of three, and of those to trace and lower."""
    taken = []
    for _ in range(3):
        jax.clear_caches()
        ready = prepare(name, CELLS[cell], size)
        taken.append({"compile_s": ready.compile_s, "trace_s": ready.trace_s})
    return sorted(taken, key=lambda each: each["compile_s"] or 0)[1]


def times(name: str, cell: str, size: Size) -> list[float]:
    """Milliseconds of every call of forward + backward; compared first, as flags may make another program of it."""
    systems, _ = compared(CELLS[cell], size, [name])
    return turns(systems, "gradient", 5)[name]
