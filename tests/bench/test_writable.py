"""The units that marks can write are counted as a plain reading of the weights counts them."""

import re

import jax
import numpy as np
import pytest

import gatedrnn as gr

T = 100_000


def count(init, seed):
    """Units, and the best ratio of signal to noise: float64, one unit and one value at a time, from the equations."""
    options = {"chrono": T, **init}
    setup = gr.train.Setup(gr.tasks.adding, gr.lstm, T, 32, 4, cell_options=options)
    cell = jax.tree.map(lambda a: np.asarray(a[0], np.float64), gr.train.init(setup, (seed,)).params.cell)
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    units, best = 0, 0.0
    for unit in range(32):
        w, b = cell.input["w"][:, unit::32], cell.input["b"][unit::32]  # [2, 4], [4]: input, forget, candidate, output
        marked, unmarked, logs = [], [], []
        for value in np.linspace(0, 1, 1_001):
            for mark, into in ((0, unmarked), (1, marked)):
                i, f, g, _ = value * w[0] + mark * w[1] + b
                into.append(sigmoid(i) * np.tanh(g))
                if not mark:
                    logs.append(np.log(sigmoid(f)))
        ratio = np.std(marked) / (np.sqrt(T) * np.std(unmarked))
        if np.exp(T / 2 * np.mean(logs)) > 0.1:
            units, best = units + (ratio > 1), max(best, ratio)
    return units, best


@pytest.mark.slow
def test_units_are_counted(run):
    """Every seed, from the narrow and from the wide input layer."""
    done = run("-m", "benchmarks.learning.writable")
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    found = {name: cells for horizon, name, *cells in rows if horizon == f"{T:,}"}
    inits = {"lstm chrono": {}, "lstm chrono, wide input": {"input_init": gr.initializers.gaussian(8.0)}}
    made = {name: found.pop(name) for name in ("lstm writable", "gru writable")}
    assert all(cell.startswith("8 (") for cells in made.values() for cell in cells)
    assert found.keys() == inits.keys()
    for name, init in inits.items():
        for seed, cell in enumerate(found[name]):
            units, best = re.fullmatch(r"(\d+) \((.+)\)", cell).groups()
            expected = count(init, seed)
            assert (int(units), float(best)) == (expected[0], pytest.approx(expected[1], rel=0.06))
