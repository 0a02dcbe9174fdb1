"""What is measured of trained weights, beside their tests."""

import inspect
import math

import jax

import gatedrnn as gr
from benchmarks.shared import Row
from benchmarks.speed.costs import step_cost


def costs(setup: gr.train.Setup, params: gr.models.ModelParams) -> Row:
    """Lines of equations, and what a step costs, with as many inputs as the task has; params [S, ...]."""
    equations = inspect.getdoc(inspect.getmodule(setup.cell.initial_carry)) or ""
    weights = jax.tree.map(lambda a: a[0], params.cell)
    lines = {"equations": sum(" = " in line for line in equations.splitlines())}
    return lines | step_cost(setup.cell, weights, setup.task.input_size)


def reach(setup: gr.train.Setup, params: gr.models.ModelParams) -> Row:
    """How far back the gradient of the last prediction reaches in held-out text, per seed; params [S, ...]."""
    batch = setup.task.held_out(jax.random.key(0), 4, 2_000)
    found = []
    for seed in range(len(jax.tree.leaves(params)[0])):
        one = jax.tree.map(lambda a, seed=seed: a[seed], params)
        profile = gr.flow.adjoint(setup.cell, one.cell, setup.model.features(one, batch.xs))
        decay = gr.flow.decay(profile.log10_norm["state"])
        reached = {name: float(getattr(decay, name)) for name in ("lag_below_1e3", "half_life")}
        found.append({name: value if math.isfinite(value) else None for name, value in reached.items()})
    return {"reach": found}
