"""How fast the products alone can be: what no arrangement of everything else can undercut on this machine.

python -m benchmarks.speed.bounds                       every problem of results/speed.json, beside its times and aims
python -m benchmarks.speed.bounds lstm 16 32 128 10000  one of them

Timed are the programs of `products`: the products that no cell can do without, in their order and at their shapes, in
the best of some lengths of segments and on as many devices, with no sigmoid, no derivative and no cell state. Nothing
is recomputed; the product that the engine computes again is timed beside them.
"""

import argparse
import statistics

import jax

from benchmarks.shared import Row, number, table
from benchmarks.speed.clock import milliseconds
from benchmarks.speed.problem import Size, add_problem, asked_for
from benchmarks.speed.products import programs
from benchmarks.speed.reading import by_problem, fastest, speed_record
from benchmarks.speed.systems import FORWARD_ONLY, OURS
from gatedrnn.cells import CLASSICS

LENGTHS = (25, 100, 200)  # steps per segment
REPEATS = 9
HEADER = (
    "",
    "B D H T",
    "forward: aim",
    "products",
    "ours",
    "+ backward: aim",
    "products",
    "and recomputed",
    "ours",
)


def products_ms(gates: int, size: Size) -> dict[str, float]:
    """Milliseconds of each program, the best median over `LENGTHS` and over one device and, for an even batch, two."""
    best: dict[str, float] = {}
    for devices in (1, 2) if size.batch % 2 == 0 else (1,):
        for length in [length for length in LENGTHS if size.steps % length == 0] or [size.steps]:
            for kind, median in in_turns(gates, size, devices, length).items():
                best[kind] = min(best.get(kind, float("inf")), median)
    return best


def in_turns(gates: int, size: Size, devices: int, length: int) -> dict[str, float]:
    """Milliseconds of each program, median of `REPEATS` after a first call; they take turns."""
    ready = programs(gates, size, devices, length)
    taken: dict[str, list[float]] = {kind: [] for kind in ready}
    for _ in range(REPEATS + 1):
        for kind, program in ready.items():
            taken[kind].append(milliseconds(program))
    return {kind: statistics.median(times[1:]) for kind, times in taken.items()}


def aims(found: dict[str, Row], batch: int) -> tuple[float, float]:
    """Milliseconds aimed at, forward and forward + backward, from the record's times of the others."""
    peers = [name for name in found if name not in (*OURS, *FORWARD_ONLY)]
    forward = 0.6 * fastest(found, "forward", peers)[1]
    if "onnxruntime" in found and found["onnxruntime"]["cell"] != "rnn":
        forward = min(forward, found["onnxruntime"]["forward"]["ms"])
    return forward, (0.6 if batch == 1 else 0.5) * fastest(found, "gradient", peers)[1]


def line(found: dict[str, Row]) -> tuple[str, ...]:
    """A problem's line of the table, from its rows in the record."""
    row = next(iter(found.values()))
    size = Size(*(row[letter] for letter in "BDHT"))
    ms = products_ms(len(CLASSICS[row["cell"]].gates), size)
    both = ms["forward"] + ms["backward"]
    aim, aim_of_both = aims(found, size.batch)
    ours, ours_of_both = (fastest(found, kind, OURS)[1] for kind in ("forward", "gradient"))
    told = (aim, ms["forward"], ours, aim_of_both, both, both + ms["recomputed"], ours_of_both)
    return (row["cell"], str(size), *(number(each, ",.0f") for each in told))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_problem(parser)
    options = parser.parse_args()
    problems = {
        tuple(next(iter(found.values()))[key] for key in ("cell", *"BDHT")): found
        for found in by_problem(speed_record())
    }
    if options.cell or options.size:
        cell, size = asked_for(parser, options.cell, options.size)
        problems = {key: found for key, found in problems.items() if key == (cell.name, *size)}
        if not problems:
            parser.error(f"results/speed.json has no {cell.name} {size}")
    jax.config.update("jax_num_cpu_devices", 2)
    print(table(HEADER, [line(found) for found in problems.values()]))


if __name__ == "__main__":
    main()
