"""What flags, regularisers and networks cost: python -m benchmarks.speed.options writes the record.

Forward and backward of each beside the cell alone, in turns, so that a machine that slows down favours neither; the
ratio of a turn is that of two calls that follow one another, and the median of the turns is kept.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

import gatedrnn as gr
from benchmarks.shared import RESULTS, Row, described, number, table, write_whole
from benchmarks.speed.clock import Program, milliseconds
from benchmarks.speed.problem import Size

RECORD = RESULTS / "options.json"
SIZES = (Size(16, 32, 64, 2_000), Size(16, 32, 128, 2_000))
QUICK = (Size(2, 4, 8, 50),)
CELLS: dict[str, gr.Cell] = {"gru": gr.gru, "lstm": gr.lstm}
ALONE = "the cell alone"

Make = Callable[[gr.Cell], gr.Cell]
OPTIONS: dict[str, tuple[Make, tuple[str, ...], int]] = {  # the network, what `unroll` is given, and of how many cells
    "mask": (lambda cell: cell, ("mask",), 1),
    "reset": (lambda cell: cell, ("reset",), 1),
    "learned first carry": (gr.learned_carry, (), 1),
    "input dropout": (lambda cell: gr.regularised(cell, input_dropout=0.3), ("key",), 1),
    "recurrent dropout": (lambda cell: gr.regularised(cell, recurrent_dropout=0.3), ("key",), 1),
    "zoneout of h": (lambda cell: gr.regularised(cell, zoneout={"h": 0.1}), ("key",), 1),
    "zoneout of h and c": (lambda cell: gr.regularised(cell, zoneout=0.1), ("key",), 1),
    "two layers": (lambda cell: gr.stack(cell, layers=2), (), 2),
    "two layers, dropout between": (lambda cell: gr.stack(cell, layers=2, dropout=0.3), ("key",), 2),
    "two layers, RMS norm between": (lambda cell: gr.stack(cell, layers=2, norm=gr.networks.rms_norm), (), 2),
    "both directions": (gr.bidirectional, (), 2),
}


def program(cell: gr.Cell, size: Size, given: tuple[str, ...]) -> Program:
    """Gradients of the mean of ys^2 in the weights and in xs, compiled."""
    keys = jax.random.split(jax.random.key(0), 5)
    params: Any = cell.init(keys[0], size.width, size.hidden)
    xs = jax.random.normal(keys[1], (size.steps, size.batch, size.width))
    flags = {
        "mask": jax.random.bernoulli(keys[2], 0.9, xs.shape[:2]),
        "reset": jax.random.bernoulli(keys[3], 0.01, xs.shape[:2]),
        "key": keys[4],
    }
    flags = {name: flags[name] for name in given}

    def loss(params: Any, xs: Array, flags: Any) -> Array:
        return jnp.square(gr.unroll(cell, params, xs, **flags)[1]).mean()

    return Program(jax.jit(jax.grad(loss, (0, 1))).lower(params, xs, flags).compile(), (params, xs, flags))


def measured(cell: gr.Cell, size: Size, turns: int) -> list[Row]:
    """A row for each option: milliseconds and the ratio to as many cells alone."""
    alone = program(cell, size, ())
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in OPTIONS if applies(name, cell)}
    programs = {name: program(OPTIONS[name][0](cell), size, OPTIONS[name][1]) for name in found}
    for run in (alone, *programs.values()):
        run()
    for _ in range(turns):
        for name, run in programs.items():
            found[name].append((milliseconds(alone), milliseconds(run)))
    return [
        {"cell": cell.name, "option": name, **size._asdict()}
        | {"ms": statistics.median(b for _, b in pairs)}
        | {"ratio": statistics.median(b / (a * OPTIONS[name][2]) for a, b in pairs)}
        for name, pairs in found.items()
    ]


def applies(name: str, cell: gr.Cell) -> bool:
    """Whether a cell has the parts that an option is about."""
    return name != "zoneout of h and c" or cell.name == "lstm"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, few turns, to see that it runs")
    parser.add_argument("--out", type=Path, default=RECORD, help="the record")
    options = parser.parse_args()
    record = described(["jax", "jaxlib"]) | {"rows": []}
    for size in QUICK if options.quick else SIZES:
        for cell in CELLS.values():
            for row in measured(cell, size, 3 if options.quick else 25):
                record["rows"].append(row)
                print(f"{row['cell']:5} {row['hidden']:4} {row['option']:30} {row['ratio']:.2f}", flush=True)
    write_whole(options.out, record)


def options_table() -> str:
    """Ratios by option; columns are cells and sizes."""
    rows = json.loads(RECORD.read_text())["rows"]
    columns = list(dict.fromkeys((row["cell"], row["hidden"]) for row in rows))
    ratios = {(row["option"], row["cell"], row["hidden"]): row["ratio"] for row in rows}
    header = ("forward and backward, to as many cells alone", *(f"{cell}, H = {hidden}" for cell, hidden in columns))
    lines = [(name, *(number(ratios.get((name, *column)), ".2f") for column in columns)) for name in OPTIONS]
    return table(header, lines)


if __name__ == "__main__":
    main()
