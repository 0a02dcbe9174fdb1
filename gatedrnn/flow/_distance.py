"""How far weights have to move until what a marked step writes stands out in the memory at the end.

S_k = std over marked steps of written * mean over lags of kept(lag)             signal of unit k
N_k = std over unmarked steps of written * sqrt(sum over t < T of kept(t)^2)     noise
kept(t) = exp(t * mean ln f) of unmarked steps; the adjoint's norm at lag t where no gate keeps
R   = sqrt(sum over k of S_k^2 / (N_k^2 + FLOOR^2))                          what a readout of all units can tell apart

distance = the smallest d with R >= TOLD, while every input weight and bias of a unit moves by d along the sign of the
derivative of its own S_k / sqrt(N_k^2 + FLOOR^2): as Adam moves it by its learning rate an update, if it knew the way.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._jacobian import kept
from gatedrnn._jax import gathered
from gatedrnn._sequence import Sequence, check_sequence

FLOOR = 0.1
"""The least noise: below it, what is in a unit does not show."""
TOLD = 0.5
"""R at which a quarter as much is told as is not: where the loss is about a quarter down."""
MOVED = 0.01 * 1.12 ** np.arange(70)
"""The distances that are tried, up to 25."""
ROWS, LAGS = 100, 50
LEAST, LOGS = 1e-30, (-600.0, 300.0)


def distance(
    cell: Cell, params: Any, marked: np.ndarray, unmarked: np.ndarray, lags: np.ndarray, norms: np.ndarray
) -> float:
    """The distance d in units of a weight: MOVED[0] where R is there almost at once, MOVED[-1] where it never is.

    Args:
        cell: a cell in three-function form.
        params: its weights.
        marked: inputs of steps that matter, [N, D].
        unmarked: inputs of the others, [M, D].
        lags: steps between the marked ones and the loss, [L].
        norms: log10 of the adjoint's norm by lag, [T + 1].
    """
    parts = [_evenly(params, cell, rows) for rows in (marked, unmarked)]
    middle = np.quantile(lags, (np.arange(LAGS) + 0.5) / LAGS)
    log = np.clip(norms * np.log(10), *LOGS)
    arrives = np.log(np.exp(log[lags] - log[lags].max()).mean()) + log[lags].max()
    noise = np.logaddexp.reduce(2 * log[:-1])
    ratios = _ratios(
        cell, params, *parts, jnp.asarray(middle, jnp.float32), float(len(norms) - 1), float(arrives), float(noise)
    )
    logs = np.maximum.accumulate(np.log(np.maximum(np.asarray(ratios, np.float64), LEAST)))
    if logs[-1] < np.log(TOLD):
        return float(MOVED[-1])
    return float(np.exp(np.interp(np.log(TOLD), *_rising(logs, np.log(MOVED)))))


def _rising(logs: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where it rises, since `np.interp` wants an order without ties."""
    first = np.concatenate([[True], np.diff(logs) > 0])
    return logs[first], moved[first]


def _evenly(params: Any, cell: Cell, rows: np.ndarray) -> Sequence:
    """So many rows, evenly taken, some of them twice where there are fewer: sequences of one step."""
    places = np.linspace(0, len(rows) - 1, ROWS).round().astype(int)
    return check_sequence(cell, params, rows[places][None], None)


@functools.partial(jax.jit, static_argnums=0)
@gathered(1)
def _ratios(
    cell: Cell,
    params: Any,
    marked: Sequence,
    unmarked: Sequence,
    lags: Array,
    horizon: Array,
    arrives: Array,
    noisy: Array,
) -> Array:
    """R at every distance of MOVED, [70].

    `arrives` and `noisy` are ln of what is kept of a signal, and of the sum of squares, where no gate keeps.
    """

    def stepped(params: Any, sequence: Sequence) -> tuple[Array, Array]:
        """What each of the steps writes, and ln of the factor by which it keeps, [N, H] each."""
        carry = sequence.carry
        gates_x, gates_h = cell.halves(params, sequence.xs[0], carry.h)
        unit = params.spread(carry.h)
        written = cell.pointwise(gates_x, gates_h, carry, *unit)[-1] - carry[-1]
        return written, jnp.log(jnp.abs(kept(cell, gates_x, gates_h, carry, unit)) + LEAST)

    def log_ratio(inputs: Any) -> Array:
        """ln of a unit's signal over its noise, [H]."""
        moved = params._replace(input=inputs)
        (signal, _), (noise, factor) = stepped(moved, marked), stepped(moved, unmarked)
        log_kept, log_steps = arrives, noisy
        if cell.keeps:
            mean = jnp.minimum(factor.mean(0), -1e-7)
            log_kept = jax.nn.logsumexp(jnp.outer(lags, mean), axis=0) - jnp.log(float(LAGS))
            log_steps = jnp.log(jnp.expm1(2 * horizon * mean) / jnp.expm1(2 * mean))  # a geometric sum
        log_noise = jnp.logaddexp(2 * _log_deviation(noise) + log_steps, 2 * math.log(FLOOR))
        return _log_deviation(signal) + log_kept - 0.5 * log_noise

    def move(inputs: Any, by: Array) -> tuple[Any, Array]:
        slope = jax.grad(lambda inputs: log_ratio(inputs).sum())(inputs)
        inputs = jax.tree.map(lambda p, g: p + by.astype(p.dtype) * jnp.sign(g), inputs, slope)
        return inputs, jnp.exp(0.5 * jax.nn.logsumexp(2 * log_ratio(inputs)))

    steps = jnp.asarray(np.diff(MOVED, prepend=0), jnp.float32)
    return lax.scan(move, params.input, steps)[1]


def _log_deviation(values: Array) -> Array:
    """ln of the standard deviation over rows, [N, H] -> [H]; differentiable where it is 0."""
    return 0.5 * jnp.log(jnp.square(values - values.mean(0, keepdims=True)).mean(0) + LEAST)
