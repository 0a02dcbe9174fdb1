"""The gradients of a training's batches: how large they are, and how much of them all batches agree on.

signal      |mean of g| / sd of g over batches of B, for each leaf                       the mean's own noise taken off
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gatedrnn._method import Method
from gatedrnn.models import Model, ModelParams
from gatedrnn.tasks import Task
from gatedrnn.train._losses import evaluate
from gatedrnn.train._setup import Setup
from gatedrnn.train._state import NOISE

SEED = 2**31 - 2  # of the batches; no training has it, and no test
FEWEST, MOST = 4, 16  # batches
STEPS = 2_000_000  # of sequences, in all batches


def gradients(setup: Setup, params: ModelParams) -> tuple[tuple[float, ...], dict[str, float | None]]:
    """Norms of batches [N], and what of each leaf's gradient is signal."""
    number = max(FEWEST, min(MOST, STEPS // (setup.horizon * setup.batch)))
    sizes = setup.batch, setup.horizon, number
    mean, squares, norms = _gradients(setup.task, setup.model, setup.method, params, *sizes)
    means = [float(np.square(np.asarray(leaf, np.float64)).sum()) for leaf in jax.tree.leaves(mean)]
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree.leaves_with_path(mean)]
    totals = [float(total) for total in jax.tree.leaves(squares)]
    found = {name: _signal(*each, number) for name, each in zip(names, zip(means, totals, strict=True), strict=True)}
    return tuple(float(norm) for norm in norms), found


def _signal(mean: float, squares: float, number: int) -> float | None:
    """Of |mean|^2 and the mean square: the mean's own noise, variance / N, is taken off."""
    variance = (squares - mean) * number / (number - 1)
    if not variance > 0:
        return None if not mean > 0 else math.inf
    return math.sqrt(max(0.0, mean - variance / number) / variance)


@functools.partial(jax.jit, static_argnums=(1, 2, 4, 5, 6))
def _gradients(
    task: Task, model: Model, method: Method, params: ModelParams, batch: int, horizon: int, number: int
) -> tuple[ModelParams, ModelParams, Array]:
    """The mean over batches, the mean square of each leaf, and norms [N]."""

    def add(total: Any, key: Array) -> tuple[Any, Array]:
        drawn = task.draw(key, batch, horizon)
        loss = lambda params: evaluate(model, task, params, drawn, method, jax.random.fold_in(key, NOISE)).loss
        found = jax.tree.map(lambda a: a.astype(jnp.float32), jax.grad(loss)(params))
        squares = jax.tree.map(lambda a: jnp.square(a).sum(), found)
        norm = jnp.sqrt(jnp.stack(jax.tree.leaves(squares)).sum())
        return jax.tree.map(jnp.add, total, (found, squares)), norm

    wide = jax.tree.map(lambda a: jnp.zeros(a.shape, jnp.float32), params)
    start = (wide, jax.tree.map(lambda a: jnp.zeros((), jnp.float32), params))
    total, norms = lax.scan(add, start, jax.random.split(jax.random.key(SEED), number))
    mean, squares = jax.tree.map(lambda a: a / number, total)
    return mean, squares, norms
