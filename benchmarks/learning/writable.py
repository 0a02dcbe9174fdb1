"""Which units can be written by the marks of the adding task before it is trained, and by nothing else.

python -m benchmarks.learning.writable

A unit can when what a marked value adds to its memory stands out from what the unmarked ones add over T steps, and
when it keeps a tenth of its memory over half of them. Where there is none, training has to make one first.
"""

from typing import Any

import jax
import jax.numpy as jnp

import gatedrnn as gr
from benchmarks.learning.entries import adding, for_horizon, wide_adding, writable_adding
from benchmarks.shared import number, table

HORIZONS, SEEDS = (10_000, 100_000, 1_000_000), (0, 1, 2)
VALUES = 1_001  # an even grid, in place of the task's draws from [0, 1]


def steps_of_adding() -> tuple[Any, Any]:
    """Marked and unmarked inputs, [N, 2] each."""
    values = jnp.linspace(0, 1, VALUES)
    marked, unmarked = (jnp.stack([values, jnp.full(VALUES, mark)], 1) for mark in (1.0, 0.0))
    return marked, unmarked


def writable(setup: gr.train.Setup, seed: int) -> tuple[int, float]:
    """The number of such units, and the best ratio of signal to noise among those that keep."""
    weights = jax.tree.map(lambda a: a[0], gr.train.init(setup, (seed,)).params.cell)
    horizon = setup.horizon
    found = gr.flow.writable(setup.cell, weights, *steps_of_adding(), horizon=horizon, lag=horizon / 2)
    return int(found.number), float(found.best)


def main() -> None:
    lines = []
    for horizon in HORIZONS:
        for name, setup in (
            ("lstm chrono", adding(horizon, gr.lstm, for_horizon(gr.lstm, horizon))),
            ("lstm chrono, wide input", wide_adding(horizon)),
            ("lstm writable", writable_adding(horizon, gr.lstm)),
            ("gru writable", writable_adding(horizon, gr.gru)),
        ):
            found = [writable(setup, seed) for seed in SEEDS]
            lines.append((f"{horizon:,}", name, *(f"{units} ({number(best, '.2g')})" for units, best in found)))
    print(table(("T", "model", *(f"units, of seed {seed} (signal to noise)" for seed in SEEDS)), lines))


if __name__ == "__main__":
    main()
