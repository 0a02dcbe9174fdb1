"""Which units of an LSTM can be written by the marks of the adding task before it is trained, and by nothing else.

python -m benchmarks.learning.writable

A unit can when what a marked value adds to its cell state stands out from what the unmarked ones add over T steps, and
when it keeps a tenth of its cell state over half of them. Where there is none, training has to make one first.
"""

import jax
import jax.numpy as jnp
import numpy as np

import gatedrnn as gr
from benchmarks.learning.entries import adding, for_horizon, wide_adding
from benchmarks.shared import number, table

HORIZONS, SEEDS = (10_000, 100_000, 1_000_000), (0, 1, 2)
VALUES = 1_001  # an even grid, in place of the task's draws from [0, 1]
KEPT = 0.1


def writable(setup: gr.train.Setup, seed: int) -> tuple[int, float]:
    """The number of such units, and the best ratio of signal to noise among those that keep."""
    weights = jax.tree.map(lambda a: a[0], gr.train.init(setup, (seed,)).params.cell)
    values = jnp.linspace(0, 1, VALUES)
    xs = jnp.stack([jnp.stack([values, jnp.full(VALUES, mark)], 1) for mark in (0.0, 1.0)])[:, None]  # [2, 1, B, D]
    gates = jax.vmap(lambda xs: gr.gate_activations(gr.lstm, weights, xs))(xs)  # each [2, 1, B, H]
    written = np.asarray(gates.input * gates.candidate, np.float64)[:, 0]  # [2, B, H]
    noise, signal = written.std(1) * [[setup.horizon**0.5], [1.0]]  # [H]: unmarked, of T steps; marked, of one
    forget = np.asarray(gates.forget, np.float64)[0, 0]  # [B, H]
    kept = np.exp(setup.horizon / 2 * np.log(forget).mean(0))  # [H]
    ratio = np.where(kept > KEPT, signal / noise, 0)
    return int((ratio > 1).sum()), float(ratio.max())


def main() -> None:
    lines = []
    for horizon in HORIZONS:
        for name, setup in (
            ("lstm chrono", adding(horizon, gr.lstm, for_horizon(gr.lstm, horizon))),
            ("lstm chrono, wide input", wide_adding(horizon)),
        ):
            found = [writable(setup, seed) for seed in SEEDS]
            lines.append((f"{horizon:,}", name, *(f"{units} ({number(best, '.2g')})" for units, best in found)))
    print(table(("T", "model", *(f"units, of seed {seed} (signal to noise)" for seed in SEEDS)), lines))


if __name__ == "__main__":
    main()
