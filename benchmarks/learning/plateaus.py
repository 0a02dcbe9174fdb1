"""When short adding leaves its plateau, from gates between the default and the horizon, at three learning rates.

Among them units that are made writable, which have no distance to go: how long it takes to see the way, alone.

python -m benchmarks.learning.plateaus             results/plateaus.json: what the forecast is calibrated and tested on

The longer records hardly vary the learning rate, and no bias between two extremes. Here both vary, apart from each
other. Which runs are for calibration was fixed before any was made: even seeds, at T = 50 and 200. Odd ones, at
T = 100 and 400, are for the test.

A training ends when its test loss is below three quarters of the best answer's without memory, or with its budget.
Tests are 8 % of the updates apart, on 192 held-out sequences.
"""

import argparse
import functools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

import gatedrnn as gr
from benchmarks.learning.entries import for_horizon
from benchmarks.learning.leaving import CLOSE, LEFT, SEQUENCES
from benchmarks.shared import RESULTS, Row, described, write_whole

CALIBRATED, HELD_OUT = "adding-short", "adding-short-held-out"
SIDES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    CALIBRATED: ((50, 200), (0, 2, 4)),
    HELD_OUT: ((100, 400), (1, 3, 5)),
}
CELLS: tuple[gr.Cell, ...] = (gr.lstm, gr.gru)
INITS: dict[str, Callable[[gr.Cell, int], dict[str, Any]]] = {
    "default": lambda cell, horizon: {},
    "chrono T / 10": lambda cell, horizon: for_horizon(cell, horizon // 10),
    "chrono T": for_horizon,
    "writable": lambda cell, horizon: {"writable": gr.initializers.writable(4, horizon)},
}
BUDGETS = {3e-3: 1_000, 1e-2: 500, 3e-2: 200}  # updates at a learning rate of Adam
LONGEST_DEFAULT, LONGEST_VARIED = 100, 200  # beyond: no default gates, which other records have; one learning rate
RESULT = RESULTS / "plateaus.json"


def setup_of(cell: gr.Cell, horizon: int, init: str, rate: float) -> gr.train.Setup:
    """Adding, 32 units, 16 sequences."""
    return gr.train.Setup(
        gr.tasks.adding, cell, horizon, optimiser=optimiser(rate), cell_options=INITS[init](cell, horizon)
    )


@functools.cache
def optimiser(rate: float) -> Any:
    """Adam behind a clip; its learning rate is a number in the state, so that all of them are one program."""
    return optax.chain(optax.clip_by_global_norm(1.0), optax.inject_hyperparams(optax.adam)(rate))


def inits(horizon: int) -> list[str]:
    """Those that are trained over a horizon."""
    return list(INITS) if horizon <= LONGEST_DEFAULT else list(INITS)[1:]


def trained(cell: gr.Cell, horizon: int, seeds: tuple[int, ...], missing: list[str]) -> Iterator[Row]:
    """A row per missing initialisation and learning rate, all by one program."""
    program = setup_of(cell, horizon, "default", 1e-2)
    tested, chance = replace(program, batch=SEQUENCES), program.task.chance(horizon)

    @jax.jit
    def ahead(state: gr.train.TrainState, count: Array) -> gr.train.TrainState:
        return lax.fori_loop(0, count, lambda _, state: gr.train.step(program, state)[0], state)

    for init in missing:
        for rate, budget in BUDGETS.items() if horizon <= LONGEST_VARIED else [(1e-2, BUDGETS[1e-2])]:
            began = time.perf_counter()
            state = gr.train.init(setup_of(cell, horizon, init, rate), seeds)
            clipped, adam = state.optimiser
            rates = jnp.full(len(seeds), rate, jnp.float32)
            adam = adam._replace(hyperparams=adam.hyperparams | {"learning_rate": rates})
            state = state._replace(optimiser=(clipped, adam))
            rows: list[Row] = []
            step, left = 0, set[int]()
            while step < budget and len(left) < len(seeds):
                count = min(max(8, round(CLOSE * step)), budget - step)
                state, step = ahead(state, jnp.array(count)), step + count
                losses = gr.train.measure(tested, state.params, 1).loss.tolist()
                rows += [
                    {"step": step, "seed": seed, "test_loss": loss} for seed, loss in zip(seeds, losses, strict=True)
                ]
                left |= {seed for seed, loss in zip(seeds, losses, strict=True) if loss < LEFT * chance}
            yield {
                "label": f"T = {horizon}, {cell.name}, {init}, {rate}",
                "cell": cell.name,
                "horizon": horizon,
                "init": init,
                "learning_rate": rate,
                "seeds": list(seeds),
                "budget": budget,
                "chance": chance,
                "seconds": time.perf_counter() - began,
                "rows": rows,
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.parse_args()
    record: Row = json.loads(RESULT.read_text()) if RESULT.exists() else {"made": described(("jax", "optax"))}
    found: list[Row] = record.setdefault("entries", [])
    there = {(row["cell"], row["horizon"], row["init"]) for row in found}
    for side, (horizons, seeds) in SIDES.items():
        for horizon in horizons:
            for cell in CELLS:
                missing = [init for init in inits(horizon) if (cell.name, horizon, init) not in there]
                for row in trained(cell, horizon, seeds, missing):
                    print(row["label"], row["rows"][-1]["step"], f"{row['seconds']:.1f} s", flush=True)
                    found.append({"record": side} | row)
                write_whole(RESULT, record)


if __name__ == "__main__":
    main()
