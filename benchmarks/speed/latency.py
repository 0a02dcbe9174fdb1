"""Microseconds per step of streams that are served: python -m benchmarks.speed.latency writes the record.

One call, one step, with the state handed from call to call: `gr.Stream`, the cell's step under `jax.jit`, flax nnx's
cell under `nnx.jit`, torch's layer on a sequence of one step, and onnxruntime on a graph of one. All have the same
weights, and all outputs are compared before a time is taken.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import gatedrnn as gr
from benchmarks.shared import RESULTS, described, number, table, write_whole
from benchmarks.speed.clock import milliseconds

RECORD = RESULTS / "latency.json"
CELLS: dict[str, gr.Cell] = {"gru": gr.gru, "lstm": gr.lstm}
TOLERANCE = 1e-4


class Size(NamedTuple):
    """B streams, D features, H units."""

    batch: int
    width: int
    hidden: int


SIZES = (Size(1, 32, 64), Size(1, 32, 256), Size(16, 32, 128), Size(64, 64, 256))
QUICK = (Size(2, 3, 4),)

Step = Callable[[Any], Any]
"""x [B, D] -> y [B, H], once it is there; the state stays inside."""


def ours(cell: gr.Cell, params: Any, batch: int) -> Step:
    stream = gr.Stream(cell, params, batch)
    return lambda x: jax.block_until_ready(stream(x))


def jitted(cell: gr.Cell, params: Any, batch: int) -> Step:
    step, state = jax.jit(cell.step), [cell.initial_carry(params, batch)]

    def run(x: Any) -> Any:
        state[0], y = step(params, state[0], x)
        return jax.block_until_ready(y)

    return run


def nnx(cell: gr.Cell, params: Any, batch: int) -> Step:
    from flax import nnx

    from gatedrnn.interop.flax import to_nnx

    module = to_nnx(cell, params)
    step, state = nnx.jit(lambda module, carry, x: module(carry, x)), [None]
    hidden = cell.initial_carry(params).h.shape[-1]
    zero = np.zeros((batch, hidden), np.float32)
    state[0] = jax.device_put((zero, zero) if cell.name == "lstm" else zero)

    def run(x: Any) -> Any:
        state[0], y = step(module, state[0], x)
        return jax.block_until_ready(y)

    return run


def torch(cell: gr.Cell, params: Any, _: int) -> Step:
    import torch

    from gatedrnn.interop.torch import to_torch

    module, state = to_torch(cell, params).eval(), [None]

    def run(x: Any) -> Any:
        with torch.inference_mode():
            y, state[0] = module(torch.from_numpy(x)[None], state[0])
        return y[0]

    return run


def onnxruntime(cell: gr.Cell, params: Any, batch: int) -> Step:
    import onnxruntime as ort

    from gatedrnn.interop.onnx import to_onnx

    graph = to_onnx(cell, params, step=True)
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in graph.graph.input]
    state = [np.asarray(part) for part in cell.initial_carry(params, batch)]

    def run(x: Any) -> Any:
        y, *state[:] = session.run(None, dict(zip(names, (x, *state), strict=True)))
        return y

    return run


SYSTEMS: dict[str, Callable[[gr.Cell, Any, int], Step]] = {
    "gatedrnn.Stream": ours,
    "jax.jit(cell.step)": jitted,
    "flax nnx": nnx,
    "torch.nn": torch,
    "onnxruntime": onnxruntime,
}


def measured(cell: gr.Cell, size: Size, calls: int) -> dict[str, float]:
    """Median microseconds per step of every system, in turns of some calls.

    Raises:
        SystemExit: outputs differ.
    """
    params = cell.init(jax.random.key(0), size.width, size.hidden)
    xs = np.random.default_rng(1).normal(size=(calls, size.batch, size.width)).astype(np.float32)
    steps = {name: build(cell, params, size.batch) for name, build in SYSTEMS.items()}
    want = np.asarray(gr.unroll(cell, params, jax.numpy.asarray(xs[:5]))[1])
    for name, step in steps.items():
        error = max(float(np.abs(np.asarray(step(x)) - y).max()) for x, y in zip(xs[:5], want, strict=True))
        if not error < TOLERANCE:
            raise SystemExit(f"{name}, {cell.name}: outputs differ by {error:.1e}")
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for begin in range(0, calls, 50):
        for name, step in steps.items():
            taken[name] += [1e3 * milliseconds(partial(step, x)) for x in xs[begin : begin + 50]]
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a small size, few calls, to see that it runs")
    parser.add_argument("--out", type=Path, default=RECORD, help="the record")
    options = parser.parse_args()
    record = described(["jax", "jaxlib", "torch", "flax", "onnxruntime"]) | {"rows": []}
    for size in QUICK if options.quick else SIZES:
        for name, cell in CELLS.items():
            found = measured(cell, size, 50 if options.quick else 2_000)
            record["rows"].append({"cell": name, **size._asdict(), "microseconds": found})
            print(name, *size, *(f"{system} {time:.0f}" for system, time in found.items()), flush=True)
    write_whole(options.out, record)


def latency_table() -> str:
    """Microseconds per step."""
    rows = json.loads(RECORD.read_text())["rows"]
    header = ("", "B D H", *SYSTEMS)
    lines = [
        (
            row["cell"],
            f"{row['batch']} {row['width']} {row['hidden']}",
            *(number(row["microseconds"][name], ",.0f") for name in SYSTEMS),
        )
        for row in rows
    ]
    return table(header, lines)


if __name__ == "__main__":
    main()
