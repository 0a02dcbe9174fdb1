"""Where the time of a recurrence goes on a CPU: microseconds per step, by loop, products apart from the rest.

python -m benchmarks.speed.breakdown lstm 8 32 128 1000              forward and backward of B D H T
python -m benchmarks.speed.breakdown lstm 8 32 128 1000 --forward    forward alone

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
from pathlib import Path

import jax
import jax.numpy as jnp

import gatedrnn as gr
from benchmarks.shared import Row, table
from benchmarks.speed.clock import Program, repeated
from benchmarks.speed.hlo import computations
from benchmarks.speed.problem import Size, add_problem, asked_for, problem

PRODUCTS = ("dot", "ynn_fusion")  # those of Eigen, and of YNNPACK
CALLS = 9


def program(cell: gr.Cell, size: Size, forward: bool) -> Program:
    """`unroll` in segments, or its gradient in everything."""
    arguments = problem(cell, size)
    run = lambda params, xs, carry: gr.unroll(cell, params, xs, carry, method=gr.Segmented())[1]
    loss = lambda *given: jnp.mean(run(*given) ** 2)
    return Program(
        jax.jit(run if forward else jax.grad(loss, argnums=(0, 1, 2))).lower(*arguments).compile(), arguments
    )


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


def traced(program: Program) -> list[Row]:
    """The events of one run."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            program()
        (path,) = Path(folder).rglob("*.trace.json.gz")
        events: list[Row] = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
        return events


def parts_table(program: Program, where: dict[str, str], steps: int) -> str:
    """By loop: microseconds and operations per step; `where` says in which loop an operation stands."""
    parts: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0, 0.0])  # all, products, operations
    for event in traced(program):
        name = event.get("name", "")
        if event.get("ph") == "X" and name in where and not name.startswith("while"):
            part = parts[where[name]]
            part[0] += event["dur"] / steps
            part[1] += event["dur"] / steps * name.startswith(PRODUCTS)
            part[2] += 1 / steps
    lines = [(label, *(f"{each:.2f}" for each in part)) for label, part in sorted(parts.items())]
    return table(("µs per step, traced", "all", "products", "operations"), lines)


def use_one_core() -> None:
    """To be called before the backend starts its threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def page_faults() -> int:
    """Of this process, until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_problem(parser)
    parser.add_argument("--forward", action="store_true")
    options = parser.parse_args()
    cell, size = asked_for(parser, options.cell, options.size)
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_enable_xprof_traceme=true"
    use_one_core()
    run = program(cell, size, options.forward)
    try:
        text = run.compiled.as_text() or ""
        where = places(text, ("forward",) if options.forward else ("forward", "backward"))
    except ValueError as error:
        parser.error(str(error))
    run()
    before = page_faults()
    each = statistics.median(repeated(run, CALLS)) / size.steps * 1e3
    faults = (page_faults() - before) / (CALLS + 1)
    print(f"{cell.name} {size}: {each:.2f} µs per step, {faults:,.0f} page faults per run")
    print(parts_table(run, where, size.steps))


if __name__ == "__main__":
    main()
