"""How many operations a step takes in every system: what bounds the time where a step is small.

python benchmarks/operations.py lstm 1 32 64 1000    a table for that cell and B D H T
python benchmarks/operations.py --baseline           what starting one operation costs on this machine

Counted are the innermost loops of the optimised programs, in the programs' order. Parameters, tuples, bitcasts and
constants cost nothing and are left out. A fusion is one operation, whatever it computes.
"""

import argparse
import os
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
from formats import number, table
from systems import SYSTEMS

import gatedrnn as gr

FREE = ("parameter", "get-tuple-element", "tuple", "bitcast", "constant")
KINDS = ("fusions", "copies", "products", "concatenations", "others")
OPCODES = {"fusion": "fusions", "call": "fusions", "copy": "copies", "dot": "products", "concatenate": "concatenations"}
BASELINE_STEPS, BASELINE_WIDTH = 10_000, 64


class Loop(NamedTuple):
    """An innermost loop.

    Attributes:
        runs: how often its body runs in a call of the program; None where XLA does not say.
        counts: its operations by kind, see `KINDS`.
    """

    runs: int | None
    counts: Counter[str]


def computations(text: str) -> tuple[str, dict[str, list[str]]]:
    """The name of the entry computation of an HLO module, and the lines of every computation."""
    lines: dict[str, list[str]] = {}
    entry = name = ""
    for line in text.splitlines():
        if head := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            name = head[2]
            entry = name if head[1] else entry
            lines[name] = []
        elif name:
            lines[name].append(line)
    return entry, lines


def innermost(text: str) -> list[Loop]:
    """Every loop of an optimised HLO module that has no loop in it."""
    entry, lines = computations(text)

    def kind(line: str) -> str | None:
        found = re.match(r"\s+(?:ROOT )?%?[\w.\-]+ = (?:\(.*?\)|\S+) ([\w\-]+)\(", line)
        if not found or found[1] in FREE:
            return None
        called = re.findall(r"(?:calls|to_apply)=%?([\w.\-]+)", line)
        if any(kind(inner) == "products" for name in called for inner in lines[name]):
            return "products"
        return OPCODES.get(found[1], "others")

    def walk(name: str, runs: int | None) -> Iterator[Loop]:
        for line in lines[name]:
            if body := re.search(r"body=%?([\w.\-]+)", line):
                count = re.search(r'"known_trip_count":\{"n":"(\d+)"', line)
                inside = runs * int(count[1]) if runs is not None and count else None
                deeper = list(walk(body[1], inside))
                yield from deeper or [Loop(inside, Counter(filter(None, map(kind, lines[body[1]]))))]
            elif called := re.search(r" call\(.* to_apply=%?([\w.\-]+)", line):
                yield from walk(called[1], runs)

    return list(walk(entry, 1))


def operations_table(cell: gr.Cell, size: tuple[int, int, int, int]) -> str:
    """The loops of every system that JAX compiles, forward and forward + backward."""
    batch, width, hidden, steps = size
    params = cell.init(jax.random.key(0), width, hidden)
    xs, carry = jnp.zeros((steps, batch, width)), cell.initial_carry(params, batch)
    lines = []
    for name, (build, cells) in SYSTEMS.items():
        if cell.name in cells and (batch % 2 == 0 or "devices" not in name):
            programs = build(cell, params, xs, carry).programs
            for what, program in zip(("forward", "forward + backward"), programs, strict=False):
                for place, loop in enumerate(innermost(program().as_text()), start=1):
                    counts = [f"{loop.counts[kind]}" for kind in KINDS]
                    lines.append((name, what, f"{place}", number(loop.runs, ","), *counts, f"{loop.counts.total()}"))
    return table(("", "program", "loop", "runs", *KINDS, "all"), lines)


def trivial(count: int) -> tuple[Any, tuple[jax.Array, ...]]:
    """A scan over `count` vectors, each of which becomes a multiple of itself plus one; compiled, and its argument."""
    step = lambda state, _: (tuple(0.5 * a + 1.0 for a in state), None)
    state = tuple(jnp.full(BASELINE_WIDTH, float(k)) for k in range(count))
    run = jax.jit(lambda state: jax.lax.scan(step, state, length=BASELINE_STEPS)[0])
    return run.lower(state).compile(), state


def baseline_table() -> str:
    """Times of scans whose body is a number of trivial operations, the least of 15 calls."""
    lines, points = [], []
    for count in (2, 4, 8, 16, 32):  # a loop over one such vector XLA compiles as one function
        program, state = trivial(count)
        (loop,) = innermost(program.as_text())
        jax.block_until_ready(program(state))
        taken = []
        for _ in range(15):
            start = time.perf_counter()
            jax.block_until_ready(program(state))
            taken.append((time.perf_counter() - start) / BASELINE_STEPS * 1e6)
        points.append((loop.counts.total(), min(taken)))
        lines.append((f"{count}", f"{points[-1][0]}", f"{points[-1][1]:.3f}"))
    slope = statistics.linear_regression(*zip(*points, strict=True)).slope
    header = (f"vectors of {BASELINE_WIDTH} numbers", "operations per step", "µs per step")
    return f"{table(header, lines)}\n\nOne operation more: {slope:.3f} µs."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cell", nargs="?", choices=list(gr.models.CELLS))
    parser.add_argument("size", nargs="*", type=int, metavar="B D H T")
    parser.add_argument("--baseline", action="store_true", help="what starting one operation costs")
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", 2)
    if options.baseline:
        print(baseline_table())
    elif options.cell is None or len(options.size) != 4 or min(options.size) < 1:
        parser.error(f"a cell and four sizes B D H T of at least 1 are wanted; got {options.cell} {options.size}")
    else:
        batch, width, hidden, steps = options.size
        print(operations_table(gr.models.CELLS[options.cell], (batch, width, hidden, steps)))


if __name__ == "__main__":
    main()
