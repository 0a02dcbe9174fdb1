"""Gradient flossing before training: exponents, gradient that arrives, cost, and whether a plain RNN then learns.

python -m benchmarks.learning.flossed             sizes below; benchmarks/results/flossed.json
python -m benchmarks.learning.flossed --quick     a few updates of each, and no record

Temporal order by an RNN whose recurrent weights are drawn N(0, gain^2 / H): as drawn, and after UPDATES updates of
`gr.flow.flossing` with Adam, on inputs of the task and without its targets.
"""

import argparse
import json
import os
import time
from typing import Any

import jax
import numpy as np
import optax

import gatedrnn as gr
from benchmarks.shared import RESULTS, Row, described, number, table, write_whole

RECORD = RESULTS / "flossed.json"
GAINS, HORIZONS, SEEDS = (0.7, 1.0, 1.3), (40, 100), (0, 1, 2)
UNITS, EXPONENTS, UPDATES, TRAINING = 32, 16, 200, 2_000
RATE, ROWS, EVERY = 1e-2, 4, 5  # of flossing: learning rate, sequences an update, steps between two QRs
MARK = 0.01

Weights = Any


def setup_of(gain: float, horizon: int) -> gr.train.Setup:
    """Adam 3e-3, 16 sequences."""
    options = {"recurrent_init": gr.initializers.gaussian(gain)}
    rule = gr.train.Optimiser(optax.adam, 3e-3, 1.0)
    return gr.train.Setup(gr.tasks.temporal_order, gr.rnn, horizon, UNITS, 16, rule, cell_options=options)


class Flosser:
    """Updates of the weights of one setup, compiled once."""

    def __init__(self, setup: gr.train.Setup) -> None:
        self.setup, self.optimiser = setup, optax.adam(RATE)
        self.update = jax.jit(self._update)

    def _update(self, weights: Weights, state: Any, key: jax.Array) -> tuple[Weights, Any]:
        xs = self.setup.task(key, ROWS, self.setup.horizon).xs
        loss = lambda weights: gr.flow.flossing(self.setup.cell, weights, xs, k=EXPONENTS, every=EVERY)
        changes, state = self.optimiser.update(jax.grad(loss)(weights), state)
        return optax.apply_updates(weights, changes), state

    def __call__(self, weights: Weights, seed: int, updates: int) -> tuple[Weights, float]:
        """The weights after that many, and the seconds of one."""
        state, taken = self.optimiser.init(weights), 0.0
        for n, key in enumerate(jax.random.split(jax.random.key(seed + 1_000), updates)):
            began = time.perf_counter()
            weights, state = jax.block_until_ready(self.update(weights, state, key))
            taken += (time.perf_counter() - began) * (n > 0)  # the first compiles
        return weights, taken / max(updates - 1, 1)


def measured(setup: gr.train.Setup, weights: Weights) -> Row:
    """The root mean square exponent in nats per step, and log10 of the gradient that arrives from the last output."""
    xs = setup.task(jax.random.key(7), ROWS, setup.horizon).xs
    exponents = gr.flow.spectrum(setup.cell, weights, xs, k=EXPONENTS).exponents
    arrives = np.asarray(gr.flow.adjoint(setup.cell, weights, xs).log10_norm["h"])[0]
    return {
        "rms_exponent": float(np.sqrt(np.mean(np.square(exponents)))),
        "log10_gradient": float(np.median(arrives)),
    }


def run(gain: float, horizon: int, updates: int, training: int) -> Row:
    """Both ways, every seed."""
    setup = setup_of(gain, horizon)
    floss, rows = Flosser(setup), []
    for seed in SEEDS:
        drawn = jax.tree.map(lambda a: a[0], gr.train.init(setup, (seed,)).params)
        flossed, seconds = floss(drawn.cell, seed, updates)
        for name, weights in (("as drawn", drawn.cell), ("flossed", flossed)):
            fitted = gr.train.fit(
                setup,
                steps=training,
                seeds=(seed,),
                params=drawn._replace(cell=weights),
                target=MARK,
                test_every=100,
                test_batches=4,
            )
            pace = fitted.seconds / int(fitted.state.step[0])
            rows.append(
                {
                    "weights": name,
                    "seed": seed,
                    "reached": fitted.reached[seed],
                    "test_loss": fitted.rows[-1].test_loss,
                    "seconds_an_update": {"flossing": seconds, "training": pace},
                    **measured(setup, weights),
                }
            )
    return {"gain": gain, "T": horizon, "chance": setup.task.chance(horizon), "rows": rows}


def flossed_table() -> str:
    """Medians over the seeds, one line for each gain, horizon and way."""
    return shown(json.loads(RECORD.read_text(encoding="utf-8"))["runs"])


def shown(runs: list[Row]) -> str:
    lines = []
    for one in runs:
        for name in ("as drawn", "flossed"):
            rows = [row for row in one["rows"] if row["weights"] == name]
            middle = lambda key, rows=rows: float(np.median([row[key] for row in rows]))
            cost = np.median(
                [row["seconds_an_update"]["flossing"] / row["seconds_an_update"]["training"] for row in rows]
            )
            lines.append(
                (
                    f"{one['T']}",
                    f"{one['gain']:g} {name}",
                    number(middle("rms_exponent"), ".3f"),
                    number(middle("log10_gradient"), ".1f"),
                    f"{sum(row['reached'] is not None for row in rows)} of {len(rows)}",
                    number(cost, ".2g") if name == "flossed" else "",
                )
            )
    header = (
        "T",
        "gain",
        "rms exponent",
        "log10 gradient at lag T",
        f"seeds below {MARK:g}",
        "cost (training updates)",
    )
    return table(header, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few updates of each, and no record")
    options = parser.parse_args()
    made, load = described(("jax", "jaxlib", "numpy", "optax")), os.getloadavg()[0]
    updates, training = (2, 2) if options.quick else (UPDATES, TRAINING)
    gains, horizons = (GAINS[:1], HORIZONS[:1]) if options.quick else (GAINS, HORIZONS)
    runs = [run(gain, horizon, updates, training) for horizon in horizons for gain in gains]
    print(shown(runs))
    if not options.quick:
        sizes = {"H": UNITS, "k": EXPONENTS, "updates": UPDATES, "learning_rate": RATE, "rows": ROWS, "every": EVERY}
        write_whole(RECORD, {"made": made, "load": load, "flossing": sizes, "runs": runs})


if __name__ == "__main__":
    main()
