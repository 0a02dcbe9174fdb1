"""What the measures of `gr.flow` take over a long horizon, after compilation.

python -m benchmarks.learning.flow_cost            T = 10,000, H = 128; benchmarks/results/flow-cost.json
python -m benchmarks.learning.flow_cost --quick    a hundredth of the horizon, and no record
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable
from typing import Any

import jax

import gatedrnn as gr
from benchmarks.shared import RESULTS, Row, described, number, table, write_whole
from benchmarks.speed.clock import repeated

RECORD = RESULTS / "flow-cost.json"
STEPS, UNITS, INPUTS = 10_000, 128, 32
EXPONENTS, WINDOWS, FLOSSED = 16, (4, 16, 64, 256, 512, 1_024, 2_048, 4_096), 8
CELLS: dict[str, gr.Cell] = {"gru": gr.gru, "lstm": gr.lstm}

Run = Callable[[], Any]


def measures(cell: gr.Cell, params: Any, xs: jax.Array) -> dict[str, Run]:
    """By name, what is timed, of xs [T, 1, D]."""
    steps = xs.shape[0]
    windows = [window for window in WINDOWS if window < steps] or [1]
    floss = jax.jit(jax.grad(lambda params: gr.flow.flossing(cell, params, xs, k=FLOSSED)))
    last = jax.jit(jax.grad(lambda params: gr.unroll(cell, params, xs)[1][-1].sum()))
    return {
        "adjoint": lambda: gr.flow.adjoint(cell, params, xs),
        "paths": lambda: gr.flow.paths(cell, params, xs),
        "gates": lambda: gr.gate_activations(cell, params, xs),
        "sensitivity": lambda: gr.flow.sensitivity(cell, params, xs),
        f"{EXPONENTS} exponents": lambda: gr.flow.spectrum(cell, params, xs, k=EXPONENTS),
        "audit of 8 windows": lambda: gr.flow.window_audit(cell, params, xs, windows=windows),
        f"gradient of flossing {FLOSSED} exponents": lambda: floss(params),
        "gradient of the last output": lambda: last(params),
    }


def seconds(run: Run, turns: int) -> float:
    """The median over turns, after one that compiles."""
    return statistics.median(repeated(lambda: jax.block_until_ready(jax.tree.leaves(run())), turns)) / 1e3


def flow_cost_table() -> str:
    """Seconds by measure and cell."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    names = list(next(iter(record["seconds"].values())))
    rows = [(name, *(number(record["seconds"][cell][name], ".2f") for cell in record["seconds"])) for name in names]
    return table(("seconds", *record["seconds"]), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the horizon, and no record")
    parser.add_argument("--turns", type=int, default=3, help="how often each is timed")
    options = parser.parse_args()
    record: Row = {"made": described(("jax", "jaxlib", "numpy")), "load": os.getloadavg()[0]}
    steps, units = (STEPS // 100, 16) if options.quick else (STEPS, UNITS)
    record |= {"T": steps, "B": 1, "D": INPUTS, "H": units, "windows": list(WINDOWS), "seconds": {}}
    xs = jax.random.normal(jax.random.key(0), (steps, 1, INPUTS))
    for name, cell in CELLS.items():
        params = cell.init(jax.random.key(1), INPUTS, units, chrono=steps)
        found = {what: seconds(run, options.turns) for what, run in measures(cell, params, xs).items()}
        record["seconds"][name] = found
        for what, value in found.items():
            print(f"{name:6} {what:36} {value:8.3f} s", flush=True)
    if not options.quick:
        write_whole(RECORD, record)


if __name__ == "__main__":
    main()
