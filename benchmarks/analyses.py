"""What is measured of trained weights, beside their tests."""

import math
import statistics
import sys
import time
from typing import Any

import jax

import gatedrnn as gr


def costs(setup: gr.train.Setup, params: Any) -> dict[str, Any]:
    """What a step costs, forward and back: 32 sequences of 1,000 steps, as many inputs as the task has."""
    cell, steps, batch = setup.cell, 1_000, 32
    weights = jax.tree.map(lambda a: a[0], params.cell)
    xs = jax.random.normal(jax.random.key(0), (steps, batch, setup.task.input_size))
    loss = lambda weights, xs: jax.numpy.mean(gr.unroll(cell, weights, xs)[1] ** 2)
    gradient = jax.jit(jax.grad(loss)).lower(weights, xs).compile()
    jax.block_until_ready(gradient(weights, xs))
    taken = []
    for _ in range(9):
        began = time.perf_counter()
        jax.block_until_ready(gradient(weights, xs))
        taken.append(time.perf_counter() - began)
    memory: Any = gradient.memory_analysis()
    equations = sys.modules[cell.initial_carry.__module__].__doc__ or ""
    return {
        "equations": sum(" = " in line for line in equations.splitlines()),
        "multiplications_per_step": sum(leaf.size for leaf in jax.tree.leaves(weights) if leaf.ndim == 2),
        "microseconds_per_step": statistics.median(taken) / steps * 1e6,
        "bytes": memory.temp_size_in_bytes,
        "sizes": {"B": batch, "T": steps, "D": setup.task.input_size},
    }


def reach(setup: gr.train.Setup, params: Any) -> dict[str, Any]:
    """How far back the gradient of the last prediction reaches in held-out text, per seed."""
    batch = setup.task.held_out(jax.random.key(0), 4, 2_000)
    found = []
    leaves, structure = jax.tree.flatten(params)
    for seed in range(len(leaves[0])):
        one = jax.tree.unflatten(structure, [leaf[seed] for leaf in leaves])
        profile = gr.flow.adjoint(setup.cell, one.cell, setup.model.features(one, batch.xs))
        decay = gr.flow.decay(profile.log10_norm["state"])
        reached = {name: float(getattr(decay, name)) for name in ("lag_below_1e3", "half_life")}
        found.append({name: value if math.isfinite(value) else None for name, value in reached.items()})
    return {"reach": found}
