"""How many operations a step takes in every system: what bounds the time where a step is small.

python -m benchmarks.speed.operations lstm 1 32 64 1000    a table for that cell and B D H T
python -m benchmarks.speed.operations --baseline           what starting one operation costs on this machine

Counted are the innermost loops of the optimised programs, in the programs' order.
"""

import argparse
import statistics

import jax
import jax.numpy as jnp

import gatedrnn as gr
from benchmarks.shared import number, table
from benchmarks.speed.clock import Program, repeated
from benchmarks.speed.hlo import KINDS, innermost
from benchmarks.speed.measures import applicable, prepare
from benchmarks.speed.problem import Size, add_problem, asked_for
from benchmarks.speed.systems import SYSTEMS

BASELINE_STEPS, BASELINE_WIDTH = 10_000, 64


def operations_table(cell: gr.Cell, size: Size) -> str:
    """The loops of every system that JAX compiles, forward and forward + backward."""
    lines = []
    for name in applicable(cell, size, SYSTEMS):
        programs = prepare(name, cell, size).programs
        for what, program in zip(("forward", "forward + backward"), programs, strict=False):
            for place, loop in enumerate(innermost(program().as_text() or ""), start=1):
                counts = [f"{loop.counts[kind]}" for kind in KINDS]
                lines.append((name, what, f"{place}", number(loop.runs, ","), *counts, f"{loop.counts.total()}"))
    return table(("", "program", "loop", "runs", *KINDS, "all"), lines)


def trivial(count: int) -> Program:
    """A scan over `count` vectors, each of which becomes a multiple of itself plus one."""
    step = lambda state, _: (tuple(0.5 * a + 1.0 for a in state), None)
    state = tuple(jnp.full(BASELINE_WIDTH, float(k)) for k in range(count))
    run = jax.jit(lambda state: jax.lax.scan(step, state, length=BASELINE_STEPS)[0])
    return Program(run.lower(state).compile(), (state,))


def baseline_table() -> str:
    """Times of scans whose body is a number of trivial operations, the least of 15 calls."""
    lines, points = [], []
    for count in (2, 4, 8, 16, 32):  # a loop over one such vector XLA compiles as one function
        program = trivial(count)
        (loop,) = innermost(program.compiled.as_text() or "")
        points.append((loop.counts.total(), min(repeated(program, 15)) / BASELINE_STEPS * 1e3))
        lines.append((f"{count}", f"{points[-1][0]}", f"{points[-1][1]:.3f}"))
    slope = statistics.linear_regression(*zip(*points, strict=True)).slope
    header = (f"vectors of {BASELINE_WIDTH} numbers", "operations per step", "µs per step")
    return f"{table(header, lines)}\n\nOne operation more: {slope:.3f} µs."


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_problem(parser)
    parser.add_argument("--baseline", action="store_true", help="what starting one operation costs")
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", 2)
    if options.baseline:
        print(baseline_table())
    else:
        print(operations_table(*asked_for(parser, options.cell, options.size)))


if __name__ == "__main__":
    main()
