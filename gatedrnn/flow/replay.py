"""Whether a policy's rollout and its training run the same recurrence: step by step, where they part, and why.

The rollout's own carries say what it did at each step t, whatever came before:

    carry_t = step(carry_{t-1}, x_t)      it went on
    carry_t = step(initial, x_t)          it began anew
    neither                               other weights, other inputs, or another first carry
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_number
from gatedrnn._forms import Carry
from gatedrnn._jax import gathered
from gatedrnn._sequence import Sequence, check_history, check_sequence
from gatedrnn._step import select
from gatedrnn.flow._room import check_room


class Replay(NamedTuple):
    """Result of `replay`.

    Attributes:
        cause: `"none"` where rollout and training agree, or

            - `"reset late"`: the rollout begins anew one step after training does
            - `"reset early"`: one step before
            - `"no reset in the rollout"`, `"no reset in training"`
            - `"other resets"`: that differ otherwise
            - `"first carry"`: the rollout did not begin from the carry that training begins from
            - `"other steps"`: weights or inputs are others, or a carry was replaced between two steps
        parted: the first step of each row at which they part, int [B] (or []); T where they never do.
        reset: where the rollout began anew, bool [T, B] or [T].
        unexplained: where it neither went on nor began anew, bool [T, B] or [T].
    """

    cause: str
    parted: np.ndarray
    reset: np.ndarray
    unexplained: np.ndarray


def replay(
    cell: Cell,
    params: Any,
    xs: Array,
    carries: Carry,
    carry: Carry | None = None,
    *,
    mask: Array | None = None,
    reset: Array | None = None,
    tolerance: float = 1e-3,
) -> Replay:
    """Compares the carries that a policy had while it acted with what training makes of the same data.

    Args:
        cell: the recurrence.
        params: its weights at the time of the rollout.
        xs: what it read, [T, B, D] or [T, D].
        carries: what the rollout held after each step, [T, B, H] each (or [T, H]), structured as the cell's carry.
        carry: the carry that training begins from; by default `cell.initial_carry`.
        mask: as training gives it to `unroll`; a masked step holds the carry.
        reset: as training gives it to `unroll`: True at the first step of an episode. (A `done` that is True at the
            last step of an episode is one step early.)
        tolerance: how far carries may be apart that count as equal, of the largest number of their part of the carry.

    Returns:
        `Replay`: where they part and why. Nothing is passed on from step to step, so one fault hides no other.

    Raises:
        ValueError: an argument has the wrong rank, width, dtype or structure, or memory does not do.

    Example:
        >>> import jax, jax.numpy as jnp, gatedrnn as gr
        >>> params, xs = gr.gru.init(jax.random.key(0), 3, 8), jax.random.normal(jax.random.key(1), (20, 2, 3))
        >>> done = jnp.zeros((20, 2), bool).at[9].set(True)  # the episode ends with step 9
        >>> h, hs = jnp.zeros((2, 8)), []
        >>> for x, over in zip(xs, done):
        ...     h = gr.gru.step(params, gr.GRUState(h), x)[0].h
        ...     hs.append(h)
        ...     h = jnp.where(over[:, None], 0, h)
        >>> stacked = gr.GRUState(jnp.stack(hs))
        >>> gr.flow.replay(gr.gru, params, xs, stacked, reset=done).cause
        'reset late'
        >>> gr.flow.replay(gr.gru, params, xs, stacked, reset=jnp.roll(done, 1, 0)).cause
        'none'

    References:
        Kapturowski et al., "Recurrent experience replay in distributed reinforcement learning", 2019,
        https://openreview.net/forum?id=r1lyTjAqYX
    """
    tolerance = check_number("tolerance", tolerance, above=0.0)
    sequence = check_sequence(cell, params, xs, carry, mask, reset)
    batched = np.ndim(xs) == 3
    steps = sequence.xs.shape[0]
    check_room("xs", sequence, per_step=4)  # the carries before, after, and of both steps
    held = check_history("carries", carries, sequence.initial, steps, batched)
    residuals = _residuals(cell, params, sequence, held) if steps else (sequence.xs[..., 0],) * 2
    went_on, anew = (np.asarray(found) for found in residuals)  # [T, B]
    run = np.ones(went_on.shape, bool) if sequence.mask is None else np.asarray(sequence.mask)
    asked = np.zeros(went_on.shape, bool) if sequence.reset is None else np.asarray(sequence.reset) & run
    is_on, is_new = went_on <= tolerance, anew <= tolerance  # False for NaN
    both = is_on & is_new  # a step from the initial carry: then a reset there changes nothing
    found = np.where(both, asked, is_new & ~is_on) & run
    unexplained = ~(is_on | is_new & run)
    differ = (found != asked) | unexplained
    parted = np.where(differ.any(0), differ.argmax(0) if steps else 0, steps)
    cause = _cause(asked & ~both, found & ~both, unexplained)
    rows = (parted, found, unexplained)
    return Replay(cause, *(rows if batched else (parted[0], found[:, 0], unexplained[:, 0])))


@functools.partial(jax.jit, static_argnums=0)
@gathered(1)
def _residuals(cell: Cell, params: Any, sequence: Sequence, held: Carry) -> tuple[Array, Array]:
    """How far each carry is from that of a step that went on, and of one that began anew: [T, B] each."""
    before = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest[:-1]]), sequence.carry, held)
    sound = jax.tree.map(lambda a: jnp.where(jnp.isfinite(a), jnp.abs(a), jnp.zeros_like(a)), held)
    largest = jax.tree.map(lambda a: jnp.maximum(a.max(initial=0), 1e-6), sound)

    def apart(after: Carry) -> Array:
        off = jax.tree.map(
            lambda a, b, most: (jnp.abs(a - b) / jnp.full_like(a, most)).max(tuple(range(2, a.ndim))),
            after,
            held,
            largest,
        )
        return functools.reduce(jnp.maximum, jax.tree.leaves(off))

    step = jax.vmap(lambda carry, x: cell.step(params, carry, x)[0])
    after = step(before, sequence.xs)
    if sequence.mask is not None:
        after = jax.vmap(select)(sequence.mask, after, before)
    fresh = jax.vmap(lambda x: cell.step(params, sequence.initial, x)[0])(sequence.xs)
    return apart(after), apart(fresh)


def _cause(asked: np.ndarray, found: np.ndarray, unexplained: np.ndarray) -> str:
    """The one word for all rows.

    Args:
        asked: the resets that training asks for, bool [T, B], but for those that change nothing.
        found: those that the rollout made.
        unexplained: as in `Replay`.
    """
    if unexplained[1:].any():
        return "other steps"
    differ = asked != found
    if unexplained.any() or (differ.any() and not differ[1:].any()):
        return "first carry"
    if not differ.any():
        return "none"
    if not found.any():
        return "no reset in the rollout"
    if not asked.any():
        return "no reset in training"
    if (found[1:] == asked[:-1]).all():
        return "reset late"
    if (found[:-1] == asked[1:]).all():
        return "reset early"
    return "other resets"
