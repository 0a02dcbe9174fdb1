"""Where the time of a recurrence goes on a CPU: microseconds per step, by loop, products apart from the rest.

python benchmarks/breakdown.py lstm 8 32 128 1000              forward and backward of B D H T
python benchmarks/breakdown.py lstm 8 32 128 1000 --forward    forward alone

One device on one core, as each of two devices has it. Every operation of the compiled program is timed by XLA's own
tracing, which takes some tenths of a microsecond per operation itself: where operations are small the parts add up to
more than the untraced time, which is given beside them.
"""

import argparse
import collections
import gzip
import json
import os
import re
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_enable_xprof_traceme=true"

import jax
import jax.numpy as jnp
from operations import computations

import gatedrnn as gr

PRODUCTS = ("dot", "ynn_fusion")  # those of Eigen, and of YNNPACK


def program(cell: gr.Cell, size: tuple[int, int, int, int], forward: bool) -> tuple[Any, tuple[Any, ...]]:
    """Compiled, and its arguments."""
    batch, width, hidden, steps = size
    params = cell.init(jax.random.key(0), width, hidden)
    xs = jax.random.normal(jax.random.key(1), (steps, batch, width))
    run = lambda params, xs, carry: gr.unroll(cell, params, xs, carry)[1]
    loss = lambda *given: jnp.mean(run(*given) ** 2)
    arguments = (params, xs, cell.initial_carry(params, batch))
    return jax.jit(run if forward else jax.grad(loss, argnums=(0, 1, 2))).lower(*arguments).compile(), arguments


def places(text: str, directions: tuple[str, ...]) -> dict[str, str]:
    """For every operation of an optimised HLO module: the loop that it stands in.

    Raises:
        ValueError: there is not one loop over segments per direction.
    """
    entry, blocks = computations(text)
    loops = {name: re.findall(r"body=%?([\w.\-]+)", "\n".join(lines)) for name, lines in blocks.items()}
    has_product = lambda name: any(f" %{kind}" in line for line in blocks[name] for kind in PRODUCTS)
    labels = {entry: "outside the loops"}
    count, wanted = len(loops[entry]), len(directions)
    if count == wanted:
        count = sum(bool(loops[name]) for name in loops[entry])  # a single segment's loop has no loop in it
    if count != wanted:
        raise ValueError(
            "T must be at least twice the segment's length and a multiple of it; "
            f"the program has {count} loops over segments, not {wanted}."
        )
    for outer, direction in zip(loops[entry], directions, strict=True):
        labels[outer] = f"{direction}, segment"
        for inner in loops[outer]:
            labels[inner] = f"{direction}, {'loop' if has_product(inner) else 'replay'}"
    operations = re.compile(r"\s+(?:ROOT )?%([\w.\-]+) = ")
    return {
        found[1]: label for name, label in labels.items() for line in blocks[name] if (found := operations.match(line))
    }


def traced(compiled: Any, arguments: tuple[Any, ...]) -> list[dict[str, Any]]:
    """The events of one run."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(compiled(*arguments))
        (path,) = Path(folder).rglob("*.trace.json.gz")
        events: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
        return events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cell", choices=list(gr.models.CELLS))
    parser.add_argument("size", nargs=4, type=int, metavar=("B", "D", "H", "T"))
    parser.add_argument("--forward", action="store_true")
    options = parser.parse_args()
    if min(options.size) < 1:
        parser.error(f"B D H T must be at least 1 each; got {' '.join(map(str, options.size))}")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before the backend starts its threads
    compiled, arguments = program(gr.models.CELLS[options.cell], tuple(options.size), options.forward)
    jax.block_until_ready(compiled(*arguments))
    taken, before = [], resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(9):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        taken.append(time.perf_counter() - start)
    faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / len(taken)
    steps = options.size[3]
    try:
        where = places(compiled.as_text(), ("forward",) if options.forward else ("forward", "backward"))
    except ValueError as error:
        parser.error(str(error))
    parts: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0, 0.0])  # all, products, operations
    for event in traced(compiled, arguments):
        name = event.get("name", "")
        if event.get("ph") == "X" and name in where and not name.startswith("while"):
            part = parts[where[name]]
            part[0] += event["dur"] / steps
            part[1] += event["dur"] / steps * name.startswith(PRODUCTS)
            part[2] += 1 / steps
    each = statistics.median(taken) / steps * 1e6
    what = f"{options.cell} {' '.join(map(str, options.size))}"
    print(f"{what}: {each:.2f} µs per step, {faults:,.0f} page faults per run")
    print("| µs per step, traced | all | products | operations |\n| --- | --- | --- | --- |")
    for label, (every, products, operations) in sorted(parts.items()):
        print(f"| {label} | {every:.2f} | {products:.2f} | {operations:.2f} |")


if __name__ == "__main__":
    main()
