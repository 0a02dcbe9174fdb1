"""Forward and backward time of `Segmented` beside `Autodiff`, the plain `lax.scan`, in one run.

    python benchmarks/unroll.py [--quick] [--out benchmarks/results/unroll.json]

The gradients of both are asserted equal before anything is timed. Each time is the median of interleaved repeats after
a warm-up; compilation is timed apart. The record says which machine and versions it comes from.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gatedrnn as gr

SIZES = ((1, 32, 64, 10_000), (16, 32, 64, 10_000), (16, 32, 128, 10_000))  # B, D, H, T
QUICK_SIZES = ((2, 4, 8, 200),)
METHODS = {"segmented": gr.Segmented(), "autodiff": gr.Autodiff()}
TOLERANCE = 1e-3  # of float32 sums over T * B terms, relative to the largest entry


def problem(cell: gr.Cell, size: tuple[int, int, int, int]) -> tuple[Any, ...]:
    """Weights, inputs and initial carry."""
    batch, width, hidden, steps = size
    key_params, key_xs = jax.random.split(jax.random.key(0))
    params = cell.init(key_params, width, hidden)
    return params, jax.random.normal(key_xs, (steps, batch, width)), cell.initial_carry(params, batch)


def gradient(cell: gr.Cell, method: Any, arguments: tuple[Any, ...]) -> tuple[Any, float]:
    """The compiled gradient of a mean square of the outputs with respect to everything, and its compile time in s."""

    def loss(params: Any, xs: jax.Array, carry: Any) -> jax.Array:
        return jnp.mean(gr.unroll(cell, params, xs, carry, method=method)[1] ** 2)

    start = time.perf_counter()
    compiled = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(*arguments).compile()
    return compiled, time.perf_counter() - start


def largest_error(got: Any, want: Any) -> float:
    """The largest difference of any leaf, relative to the leaf's largest entry."""
    pairs = zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True)
    return max(
        float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in ((np.asarray(a), np.asarray(b)) for a, b in pairs)
    )


def measure(cell: gr.Cell, size: tuple[int, int, int, int], repeats: int) -> dict[str, Any]:
    """One row of the record."""
    arguments = problem(cell, size)
    compiled = {name: gradient(cell, method, arguments) for name, method in METHODS.items()}
    results = {name: jax.block_until_ready(run(*arguments)) for name, (run, _) in compiled.items()}
    error = largest_error(results["segmented"], results["autodiff"])
    if not error < TOLERANCE:
        raise SystemExit(f"{cell.name} {size}: the gradients differ by {error:.1e}; nothing was timed")
    times: dict[str, list[float]] = {name: [] for name in compiled}
    for _ in range(repeats):
        for name, (run, _) in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(run(*arguments))
            times[name].append(1e3 * (time.perf_counter() - start))
    row: dict[str, Any] = dict(zip(("batch", "input_size", "hidden_size", "steps"), size, strict=True))
    row |= {"cell": cell.name, "largest_error": error}
    for name, values in times.items():
        memory = compiled[name][0].memory_analysis()
        row[name] = {
            "ms": statistics.median(values),
            "ms_spread": [min(values), max(values)],
            "compile_s": compiled[name][1],
            "temporary_bytes": memory.temp_size_in_bytes,
        }
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/unroll.json"))
    options = parser.parse_args()
    rows = []
    for size in QUICK_SIZES if options.quick else SIZES:
        for cell in (gr.rnn, gr.gru, gr.lstm):
            rows.append(measure(cell, size, repeats=2 if options.quick else 7))
            segmented, autodiff = rows[-1]["segmented"]["ms"], rows[-1]["autodiff"]["ms"]
            name = f"{cell.name} {' '.join(map(str, size))}"
            print(f"{name:24} segmented {segmented:7.0f} ms   lax.scan {autodiff:7.0f} ms   {segmented / autodiff:.2f}")
    record = {
        "rows": rows,
        "versions": {"gatedrnn": gr.__version__, "jax": jax.__version__, "python": platform.python_version()},
        "device": {"platform": jax.default_backend(), "count": jax.device_count(), "machine": platform.machine()},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
