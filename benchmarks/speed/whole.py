"""What taking `pointwise` apart is worth: forward + backward with its parts, and with each part by everything it takes.

python -m benchmarks.speed.whole lstm 16 32 64 10000

The LSTM's derivative is six arrays [K, B, H] where c' is a value of its own, twelve where h' is a function of all the
gates and the whole carry. Both programs are compared, and take turns.
"""

import argparse
from typing import Any
from unittest import mock

import jax
from jax import Array

import gatedrnn as gr
from benchmarks.shared import table
from benchmarks.speed.measures import difference, summary, tolerance, turns
from benchmarks.speed.ours import segmented as ours
from benchmarks.speed.problem import Problem, Size, add_problem, asked_for, problem
from benchmarks.speed.ready import Ready
from gatedrnn._pointwise import Part, Value, take_apart
from gatedrnn.methods import _engine

WAYS = ("taken apart", "whole")


def whole(cell: gr.Cell, values: dict[Value, Array], carry: Any, unit: tuple[Any, ...]) -> list[Part]:
    """In the place of `take_apart`: every part reads all that `pointwise` takes, and no other part."""
    names = list(values)

    def part(place: int) -> Part:
        def function(*arrays: Array) -> Array:
            found = dict(zip(names, arrays, strict=True))
            gates_x, gates_h, before, leaves = (
                tuple(array for (kind, _), array in found.items() if kind == wanted)
                for wanted in ("x", "h", "before", "unit")
            )
            rest = jax.tree.unflatten(jax.tree.structure(unit), leaves)
            return cell.pointwise(gates_x, gates_h, type(carry)(*before), *rest)[place]

        return Part(place, tuple(names), function)

    return [part(place) for place in range(len(carry))]


def ready(cell: gr.Cell, given: Problem, way: str) -> Ready:
    """Ours, compiled in one of `WAYS`."""
    jax.clear_caches()  # the derivative of a cell at these sizes may be there already, in the other way
    with mock.patch.object(_engine, "take_apart", take_apart if way == "taken apart" else whole):
        return ours(cell, *given)


def compare(cell: gr.Cell, size: Size, repeats: int) -> str:
    """A table of milliseconds and seconds to compile.

    Raises:
        SystemExit: the two compute other numbers.
    """
    given = problem(cell, size)
    systems = {way: ready(cell, given, way) for way in WAYS}
    found = [jax.tree.leaves(each.gradient()) for each in systems.values() if each.gradient is not None]
    if not difference(*found) < tolerance(size):
        raise SystemExit(f"{cell.name} {size}: other numbers, by {difference(*found):.1g} of the largest")
    lines = []
    for way, taken in turns(systems, "gradient", repeats).items():
        told = summary(taken)
        assert told is not None
        lines.append((way, f"{told['ms']:.1f}", f"{told['spread'][0]:.1f}", f"{systems[way].compile_s:.2f}"))
    return table((f"{cell.name} {size}", "ms", "least", "compiled in s"), lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_problem(parser)
    parser.add_argument("--repeats", type=int, default=11, help="calls of each")
    options = parser.parse_args()
    print(compare(*asked_for(parser, options.cell, options.size), options.repeats))


if __name__ == "__main__":
    main()
