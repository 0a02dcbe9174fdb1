"""What weights are like on sequences of their own task: does gradient arrive, can a unit be written, do gates move.

gradient    median over rows of log10 |dL/dcarry| at the lag, less that at lag 0         of a loss at the last output
"""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from gatedrnn import flow
from gatedrnn._cell import Cell
from gatedrnn._sequence import check_sequence
from gatedrnn._unroll import gate_activations
from gatedrnn.flow._places import cells_of
from gatedrnn.flow.adjoint import lagged
from gatedrnn.flow.solve import NotBetween
from gatedrnn.models import ModelParams
from gatedrnn.tasks import Task
from gatedrnn.tasks._marks import Marks, marks
from gatedrnn.train._setup import Setup
from gatedrnn.train._signal import MOST, SEED, STEPS, gradients
from gatedrnn.train._state import TEST_SEED

CLOSE = 0.01  # of a gate to 0 or 1, at which it counts as saturated
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
        reach: the first lag at which it is below a thousandth; inf where there is none. None of gradients that are no
            numbers, as where the outputs overflow; then there is no `gradient` either.
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
    reach: float | None
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


def arriving(setup: Setup, params: ModelParams, on: Sequences) -> tuple[float | None, float | None]:
    """Decades of gradient at the lag, and the lag at which a thousandth is left."""
    norms, start = _by_lag(setup, params, setup.model.features(params, on.xs[:, : on.rows]))
    if np.isnan(norms).any():
        return None, None
    reach = float(flow.decay(norms[::-1]).lag_below_1e3)
    if on.lag is None:
        return None, reach
    return float(norms[min(start + on.lag, len(norms) - 1)] - norms[start]), reach


def _by_lag(setup: Setup, params: ModelParams, xs: Array) -> tuple[NDArray[np.float64], int]:
    """Medians over rows of log10 norms by lag, [N + 1], and the first that the output has.

    Of a cell with `step` alone, whose output need be no part of the carry, it is the second.
    """
    norms = np.median(np.asarray(lagged(setup.cell, params.cell, xs), np.float64), axis=1)
    return norms, int(np.argmax(np.isfinite(norms)))


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
    change = flow.keeping_bias(setup.cell)
    xs = setup.model.features(params, on.xs[:, : on.rows])
    norms, start = _by_lag(setup, params, xs)
    if not change.fits(params.cell) or not np.isfinite(norms[start]):
        return None
    lag, most = min(start + on.lag, len(norms) - 1), math.log(100 * max(on.lag, 1))
    try:
        return flow.solve_horizon(
            setup.cell,
            params.cell,
            xs,
            float(norms[start]) - 1,
            change=change,
            bracket=(0.0, most),
            lag=lag,
            tolerance=0.05,
        ).value
    except NotBetween:
        return None


def _scales(setup: Setup, params: ModelParams, xs: Array) -> tuple[float, float] | None:
    if not all(each.factored for each in _cells(setup, params, xs)):  # no gates to read them off
        return None
    found = jax.tree.leaves(flow.timescales(setup.cell, params.cell, xs))
    scales = np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in found])
    return None if np.isnan(scales).any() or not scales.any() else (float(np.median(scales)), float(scales.max()))


def _cells(setup: Setup, params: ModelParams, xs: Array) -> Iterable[Cell]:
    sequence = check_sequence(setup.cell, params.cell, xs, None, stepwise=False)
    return cells_of(setup.cell, params.cell, sequence).values()


def _gates(setup: Setup, params: ModelParams, xs: Array) -> tuple[dict[str, float], dict[str, float]]:
    """Shares of saturated values and of frozen units, of gates between 0 and 1; none of a network, of many cells."""
    if setup.cell.network is not None or setup.cell.activations is None:
        return {}, {}
    saturated, frozen = {}, {}
    for name, values in gate_activations(setup.cell, params.cell, xs)._asdict().items():
        if name != "candidate" and values.min() >= 0 and values.max() <= 1:
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
