"""What flags, regularisers and networks cost: python -m benchmarks.speed.options writes the record.

Forward and backward of each beside the same without it, in turns, so that a machine that slows down favours neither;
the ratio of a turn is that of two calls that follow one another, and the median of the turns is kept.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

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

Make = Callable[[gr.Cell], gr.Cell]


class Option(NamedTuple):
    """What is measured.

    Attributes:
        make: the network.
        given: what `unroll` is given beside the inputs; "clip" and "autodiff", a method; "drop", dropped weights.
        beside: the network without it.
        times: how often that one is run.
    """

    make: Make
    given: tuple[str, ...] = ()
    beside: Make = lambda cell: cell
    times: int = 1


def two_layers(cell: gr.Cell, **options: Any) -> gr.Cell:
    return gr.stack(cell, layers=2, **options)


OPTIONS: dict[str, Option] = {
    "mask": Option(lambda cell: cell, ("mask",)),
    "reset": Option(lambda cell: cell, ("reset",)),
    "learned first carry": Option(gr.learned_carry),
    "input dropout": Option(lambda cell: gr.regularised(cell, input_dropout=0.3), ("key",)),
    "recurrent dropout": Option(lambda cell: gr.regularised(cell, recurrent_dropout=0.3), ("key",)),
    "zoneout of h": Option(lambda cell: gr.regularised(cell, zoneout={"h": 0.1}), ("key",)),
    "zoneout of h and c": Option(lambda cell: gr.regularised(cell, zoneout=0.1), ("key",)),
    "weight drop": Option(lambda cell: cell, ("drop",)),
    "clipped cotangents": Option(lambda cell: cell, ("clip",)),
    "recurrent RMS norm": Option(lambda cell: gr.normalised(cell, gr.networks.rms_norm)),
    "recurrent layer norm": Option(gr.normalised),
    "recurrent layer norm, by Autodiff": Option(gr.normalised, ("autodiff",)),
    "dropout between two layers": Option(partial(two_layers, dropout=0.3), ("key",), two_layers),
    "RMS norm between two layers": Option(partial(two_layers, norm=gr.networks.rms_norm), (), two_layers),
    "two layers, to two cells": Option(two_layers, times=2),
    "both directions, to two cells": Option(gr.bidirectional, times=2),
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
    flags = {name: flags[name] for name in given if name in flags}
    methods: dict[str, gr.Method] = {"clip": gr.Segmented(clip=1.0), "autodiff": gr.Autodiff()}
    method = next((methods[name] for name in given if name in methods), None)

    def loss(params: Any, xs: Array, flags: Any) -> Array:
        if "drop" in given:
            params = gr.networks.weight_drop(keys[4], params, 0.3)
        return jnp.square(gr.unroll(cell, params, xs, method=method, **flags)[1]).mean()

    return Program(jax.jit(jax.grad(loss, (0, 1))).lower(params, xs, flags).compile(), (params, xs, flags))


def measured(cell: gr.Cell, size: Size, turns: int) -> list[Row]:
    """A row for each option: milliseconds and the ratio to the same without it."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in OPTIONS if applies(name, cell)}
    bare = {made: program(made, size, ()) for made in {OPTIONS[name].beside(cell) for name in found}}
    programs = {name: program(OPTIONS[name].make(cell), size, OPTIONS[name].given) for name in found}
    for run in (*bare.values(), *programs.values()):
        run()
    for _ in range(turns):
        for name, run in programs.items():
            found[name].append((milliseconds(bare[OPTIONS[name].beside(cell)]), milliseconds(run)))
    return [
        {"cell": cell.name, "option": name, **size._asdict()}
        | {"ms": statistics.median(b for _, b in pairs)}
        | {"ratio": statistics.median(b / (a * OPTIONS[name].times) for a, b in pairs)}
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
                print(f"{row['cell']:5} {row['hidden']:4} {row['option']:34} {row['ratio']:.2f}", flush=True)
    write_whole(options.out, record)


def options_table() -> str:
    """Ratios by option; columns are cells and sizes."""
    rows = json.loads(RECORD.read_text())["rows"]
    columns = list(dict.fromkeys((row["cell"], row["hidden"]) for row in rows))
    ratios = {(row["option"], row["cell"], row["hidden"]): row["ratio"] for row in rows}
    header = ("forward and backward, to the same without it", *(f"{cell}, H = {hidden}" for cell, hidden in columns))
    lines = [(name, *(number(ratios.get((name, *column)), ".2f") for column in columns)) for name in OPTIONS]
    return table(header, lines)


if __name__ == "__main__":
    main()
