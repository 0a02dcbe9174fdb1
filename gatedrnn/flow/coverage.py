"""State coverage: how far the carries of long sequences leave those that training has seen.

    z_u(t)      = (carry_u(t) - mean_u) / std_u             mean and spread of the unit u over the trained steps
    distance(t) = sqrt(mean over u of z_u(t)^2)             1 among trained carries
    outside(t)  = share of units beyond their own trained quantiles

The distance is Mahalanobis's with a diagonal covariance: that of all S numbers, estimated from the few and correlated
carries of a trained length, would be singular. It is blind to units that change together while each keeps its range.
The share is of ranks, so that a heavy tail or a saturated unit does not pass for a departure.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_number, check_size, fail, shown
from gatedrnn._forms import Carry
from gatedrnn._jax import concrete, gathered, scan
from gatedrnn._sequence import Sequence, check_carry, check_sequence, poison, quarantine
from gatedrnn._step import guarded_step
from gatedrnn.flow._order import in_order
from gatedrnn.flow._room import check_room


class Coverage(NamedTuple):
    """Result of `coverage`.

    Attributes:
        distance: root mean square over the carry's numbers of their deviation from the trained mean, in trained
            standard deviations, after each step, [T, B] or [T]; nan at masked steps. inf where a number moves that
            never did in training.
        outside: the share of the carry's numbers outside their trained central range, [T, B] or [T].
        distance_trained: mean of `distance` over the trained steps.
        distance_beyond: over those after them; nan without any.
        outside_trained: mean of `outside` over the trained steps: about 1 - level.
        outside_beyond: over those after them: as large where the carries stay among the trained ones.
        noised: the same run held against what training from noised first carries would see; None without.
    """

    distance: Array
    outside: Array
    distance_trained: Array
    distance_beyond: Array
    outside_trained: Array
    outside_beyond: Array
    noised: "Coverage | None" = None


def coverage(
    cell: Cell,
    params: Any,
    xs: Array,
    length: int,
    carry: Carry | None = None,
    *,
    noised: Carry | None = None,
    level: float = 0.99,
    mask: Array | None = None,
    reset: Array | None = None,
) -> Coverage:
    """How far the carries of a long run leave those of its first `length` steps, unit by unit.

    A network that fails beyond its trained length often meets carries that it has never been trained from. Whether it
    does is seen from one run over, say, 10 times that length. The cure that has been found is to begin training
    sequences from noise, or from where another sequence ended: with `noised`, the same run is held against the carries
    that a training from such first carries would see. Where `noised.outside_beyond` has fallen to about 1 - level,
    they cover it. (It is the weights as they are that are run: what training would make of them is not known.)

    Args:
        cell: any cell that is run step by step, `Cell.from_step` ones and stacks included.
        params: its weights, as trained.
        xs: inputs of the long run, [T, B, D] or [T, D].
        length: the trained length, steps, 1 to T; the first `length` steps stand for training.
        carry: the carry before the first step; by default `cell.initial_carry`.
        noised: other first carries to train from, like `carry`, such as it with Gaussian noise, or the last carries of
            other sequences.
        level: which share of the trained carries is a unit's central range, above 0, at most 1 (then the whole range).
        mask: bool [T, B] or [T], as in `unroll`; a masked step is not counted.
        reset: bool [T, B] or [T], as in `unroll`.

    Returns:
        `Coverage`, dimensionless. Memory: the trained carries, [length, B, S], and [T, B].

    Raises:
        ValueError: no trained step is run, memory does not do, or an argument is out of range or has the wrong rank,
            width, dtype or structure.

    Example:
        >>> import jax, jax.numpy as jnp, gatedrnn as gr
        >>> params = gr.lstm.init(jax.random.key(0), 1, 8, forget_bias=9.0)  # c adds up, far beyond 20 steps' worth
        >>> xs = jax.random.normal(jax.random.key(1), (200, 16, 1))
        >>> first = gr.LSTMState(*10 * jax.random.normal(jax.random.key(2), (2, 16, 8)))
        >>> found = gr.flow.coverage(gr.lstm, params, xs, 20, noised=first)
        >>> bool(found.outside_beyond > 20 * found.outside_trained), bool(found.noised.outside_beyond < 0.2)
        (True, True)

    References:
        Buitrago Ruiz, Gu, "Understanding and improving length generalization in recurrent models", 2025,
        https://arxiv.org/abs/2507.02782; Mahalanobis, "On the generalised distance in statistics", 1936.
    """
    sequence = check_sequence(cell, params, xs, carry, mask, reset)
    steps, batched = sequence.xs.shape[0], np.ndim(xs) == 3
    length = check_size("length", length, most=steps)
    check_room("length", sequence, at_once=length)
    level = check_number("level", level, above=0.0, most=1.0)
    if sequence.mask is not None and concrete(sequence.mask) and not sequence.mask[:length].any():
        raise fail("mask", f"True at one of the first {length} steps", shown(mask))
    other = None if noised is None else check_carry("noised", noised, sequence.initial, batched)
    found = _coverage(cell, length, params, sequence, sequence.carry, level)
    if other is not None:
        found = found._replace(noised=_coverage(cell, length, params, sequence, other, level))
    return found if batched else _only_row(found)


def _only_row(found: Coverage) -> Coverage:
    noised = None if found.noised is None else _only_row(found.noised)
    return found._replace(distance=found.distance[:, 0], outside=found.outside[:, 0], noised=noised)


class _Trained(NamedTuple):
    """What the trained carries say of every number, [S] each."""

    mean: Array
    std: Array
    low: Array
    high: Array


@functools.partial(jax.jit, static_argnums=(0, 1))
@gathered(2)
def _coverage(cell: Cell, length: int, params: Any, sequence: Sequence, first: Carry, level: Array) -> Coverage:
    """The run of `sequence` held against its first `length` steps from the carry `first`."""
    sequence = in_order(quarantine(sequence))
    step = guarded_step(cell, params, sequence.initial)
    inputs = (sequence.xs, sequence.mask, sequence.reset)

    def seen(carry: Carry, forced: Any) -> tuple[Carry, Array]:
        after, _ = step(carry, forced)
        return after, _flat(after)

    _, carries = scan(seen, first, jax.tree.map(lambda a: a[:length], inputs))  # [length, B, S]
    ran = jnp.ones(sequence.xs.shape[:2], bool) if sequence.mask is None else sequence.mask  # [T, B]
    trained = _described(carries, ran[:length], level)

    def held(carry: Carry, forced: Any) -> tuple[Carry, tuple[Array, Array]]:
        after, _ = step(carry, forced)
        flat = _flat(after)  # [B, S]
        each = jax.tree.map(lambda a: jnp.broadcast_to(a[None], flat.shape), trained)
        off = jnp.abs(flat - each.mean)
        z = jnp.where(off > 0, off / each.std, 0)
        beyond = ((flat < each.low) | (flat > each.high)).astype(flat.dtype)
        return after, (jnp.sqrt(jnp.square(z).mean(1)), poison(jnp.isnan(flat).any(1), beyond.mean(1)))

    _, rows = scan(held, sequence.carry, inputs)
    distance, outside = (jnp.where(ran, poison(sequence.poisoned, row), jnp.nan) for row in rows)
    early, late = ran.at[length:].set(False), ran.at[:length].set(False)
    mean = lambda row, part: jnp.where(part, row, 0).sum() / part.sum().astype(row.dtype)
    summary = (mean(distance, early), mean(distance, late), mean(outside, early), mean(outside, late))
    return Coverage(distance, outside, *summary)


def _flat(carry: Carry) -> Array:
    """[B, ...] each -> [B, S]."""
    rows = [part.reshape(part.shape[0], math.prod(part.shape[1:])) for part in jax.tree.leaves(carry)]
    return jnp.concatenate(rows, axis=1)


def _described(carries: Array, ran: Array, level: Array) -> _Trained:
    """Mean, spread and central range of carries [K, B, S], of the steps that are run, bool [K, B]."""
    kept = jnp.where(ran[..., None], carries, jnp.nan).reshape(-1, carries.shape[-1])
    tail = (1 - level) / 2
    low, high = jnp.nanquantile(kept, jnp.stack([tail, 1 - tail]).astype(kept.dtype), axis=0)
    return _Trained(jnp.nanmean(kept, 0), jnp.nanstd(kept, 0), low, high)
