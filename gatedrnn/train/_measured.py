"""What weights are like on batches of their own task: does gradient arrive, can a unit be written, how noisy is it.

gradient    median over rows of log10 |dL/dcarry| at the lag, less that at lag 0         of a loss at the last output
signal      |mean of g| / sd of g over batches of B, for each leaf                       the mean's own noise taken off
"""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gatedrnn import flow
from gatedrnn._method import Method
from gatedrnn._unroll import gate_activations
from gatedrnn.flow.adjoint import lagged
from gatedrnn.models import Model, ModelParams
from gatedrnn.tasks import Task
from gatedrnn.tasks._marks import Marks, marks
from gatedrnn.train._losses import evaluate
from gatedrnn.train._setup import Setup
from gatedrnn.train._state import NOISE, TEST_SEED

SEED = 2**31 - 2  # of the batches; no training has it, and no test
CLOSE = 0.01  # of a gate to 0 or 1, at which it counts as saturated
FEWEST, MOST = 4, 16  # batches
STEPS = 2_000_000  # of sequences, in all batches
GATE_STEPS = 20_000  # the first ones, of which gates are looked at


class Sequences(NamedTuple):
    """Some of the task, for measures that need no loss.

    Attributes:
        xs: as they are drawn, [N, R, D] or symbols [N, R].
        marks: the steps that matter; None where none stands out.
        lag: the median of their lags; half of the task's memory where none stands out and the loss is at the end; None
            where it is at every step, so that there is much to learn nearby.
        rows: how many of them gradients and gates are measured on.
    """

    xs: Any
    marks: Marks | None
    lag: int | None
    rows: int


class Measured(NamedTuple):
    """One set of weights.

    Attributes:
        gradient: decades between the gradient at the lag and at lag 0; None where there is no such lag.
        reach: the first lag at which it is below a thousandth; inf where there is none.
        scales: units' time scales, median and longest, in steps; None where no gate keeps.
        units: how many can be written by the steps that matter, and last; None where that is not known.
        ratio: the best of those that last, 1 being what counts.
        norms: of the gradients of batches, before clipping, [N].
        signal: of each leaf, 0 where the mean is not told from noise; None where there is no gradient at all.
        saturated: of each gate, the share of its values within 0.01 of 0 or 1.
        frozen: of each gate, the share of units where all are.
        weight: the median size of the cell's weights.
    """

    gradient: float | None
    reach: float
    scales: tuple[float, float] | None
    units: int | None
    ratio: float | None
    norms: tuple[float, ...]
    signal: Mapping[str, float | None]
    saturated: Mapping[str, float]
    frozen: Mapping[str, float]
    weight: float

    @property
    def norm(self) -> float:
        """The median of the norms."""
        return float(np.median(self.norms))


def sequences(setup: Setup) -> Sequences:
    """Drawn with a key that no training and no test has."""
    task, horizon = setup.task, setup.horizon
    width = 1 if task.symbols else task.input_size
    drawn = task(jax.random.key(SEED), max(2, min(64, 2 * STEPS // (horizon * width))), horizon)
    found = None if task.symbols else marks(task, np.asarray(drawn.xs))
    lag = None
    if found is not None:
        lag = int(np.median(np.minimum(found.lags, task.memory(horizon))))
    elif task.at_end:
        lag = task.memory(horizon) // 2
    return Sequences(drawn.xs, found, lag, max(1, min(8, STEPS // 10 // horizon)))


def measured(setup: Setup, params: ModelParams, on: Sequences) -> Measured:
    """All measures of the weights of one seed."""
    xs = setup.model.features(params, on.xs[:, : on.rows])
    gradient, reach = arriving(setup, params, on)
    units, ratio = writable(setup, params, on)
    saturated, frozen = _gates(setup, params, xs[:GATE_STEPS])
    norms, signal = gradients(setup, params)
    weight = float(np.median(np.abs(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params.cell)]))))
    scales = _scales(setup, params, xs[:GATE_STEPS])
    return Measured(gradient, reach, scales, units, ratio, norms, signal, saturated, frozen, weight)


def arriving(setup: Setup, params: ModelParams, on: Sequences) -> tuple[float | None, float]:
    """Decades of gradient at the lag, and the lag at which a thousandth is left."""
    xs = setup.model.features(params, on.xs[:, : on.rows])
    norms = np.median(np.asarray(lagged(setup.cell, params.cell, xs), np.float64), axis=1)  # [N + 1]
    reach = float(flow.decay(norms[::-1]).lag_below_1e3)
    if on.lag is None:
        return None, reach
    start = int(np.argmax(np.isfinite(norms)))  # the first that the output has, of a cell with `step` alone the second
    return float(norms[min(start + on.lag, len(norms) - 1)] - norms[start]), reach


def writable(setup: Setup, params: ModelParams, on: Sequences) -> tuple[int | None, float | None]:
    """How many units, and the best ratio."""
    cell, found = setup.cell, on.marks
    if found is None or on.lag is None or not (cell.factored and cell.keeps):
        return None, None
    if len(found.marked) < 2 or not len(found.unmarked):  # of very short sequences
        return None, None
    rows = jnp.asarray(found.marked), jnp.asarray(found.unmarked)
    written = flow.writable(cell, params.cell, *rows, horizon=setup.horizon, lag=on.lag)
    return int(written.number), float(written.best)


def keeping_bias(setup: Setup, params: ModelParams, on: Sequences) -> float | None:
    """The bias of the gate that keeps at which a tenth of the gradient arrives; None where there is none such."""
    if on.lag is None or not setup.cell.keeps:
        return None
    xs = setup.model.features(params, on.xs[:, : on.rows])
    start = float(np.median(np.asarray(lagged(setup.cell, params.cell, xs), np.float64)[0]))
    try:
        change, most = flow.keeping_bias(setup.cell), math.log(100 * max(on.lag, 1))
        return flow.solve_horizon(
            setup.cell, params.cell, xs, start - 1, change=change, bracket=(0.0, most), lag=on.lag, tolerance=0.05
        ).value
    except (ValueError, KeyError, AttributeError):  # none between these ends, or biases elsewhere
        return None


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


def _scales(setup: Setup, params: ModelParams, xs: Array) -> tuple[float, float] | None:
    try:
        found = jax.tree.leaves(flow.timescales(setup.cell, params.cell, xs))
    except ValueError:  # no gates to read them off
        return None
    scales = np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in found])
    return (float(np.median(scales)), float(scales.max())) if scales.any() else None


def _gates(setup: Setup, params: ModelParams, xs: Array) -> tuple[dict[str, float], dict[str, float]]:
    """Shares of saturated values and of frozen units, of gates between 0 and 1."""
    try:
        gates = gate_activations(setup.cell, params.cell, xs)._asdict()
    except (ValueError, AttributeError):  # the cell names none, or has some for each of its layers
        return {}, {}
    saturated, frozen = {}, {}
    for name, values in gates.items():
        if name != "candidate" and isinstance(values, Array) and values.min() >= 0 and values.max() <= 1:
            near = (values < CLOSE) | (values > 1 - CLOSE)  # [N, R, H]
            saturated[name] = float(near.mean())
            frozen[name] = float(near.all((0, 1)).mean())
    return saturated, frozen


def without_memory(setup: Setup, batches: int) -> float:
    """The loss of the best constant answer on the tests of a training: chance, but for what these draws are by luck.

    Of classes it is chance: a constant answer to equally likely ones has the same loss on all draws.
    """
    task = setup.task
    if task.classes:
        return task.chance(setup.horizon)
    return float(_constant(task, setup.batch, setup.horizon, batches))


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _constant(task: Task, batch: int, horizon: int, batches: int) -> Array:
    def moments(task: Task, seed: int, number: int) -> Any:
        def on(key: Array) -> Any:
            found = task.draw(key, batch, horizon)
            values = found.targets if found.targets.ndim == 3 else found.targets[..., None]
            asked = found.mask[..., None].astype(values.dtype)
            return [(asked * values**power).sum((0, 1)) for power in range(3)]  # [O] each

        return [total.sum(0) for total in lax.map(on, jax.random.split(jax.random.key(seed), number))]

    count, total, _ = moments(task, SEED, 4 * MOST)
    answer = total / jnp.maximum(count, 1)
    count, total, squares = moments(task.held_out, TEST_SEED, batches)
    return ((squares - 2 * answer * total) / jnp.maximum(count, 1) + answer**2).mean()
