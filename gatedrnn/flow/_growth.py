"""The growth of perturbations along a sequence, summed over N blocks of steps: what Lyapunov exponents are made of.

    J_{t+q-1} ... J_t Q = Q' R,       growth_i += ln |R[i, i]|        forwards, a QR every q steps
    J_t^T ... J_{t+q-1}^T Q = Q' R                                    backwards, from the last step to the first

The Jacobians multiply in the order of time, J_T ... J_1: a reversed product has another spectrum.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry
from gatedrnn._jax import is_static, scan
from gatedrnn._segments import nearest_divisor, over_segments
from gatedrnn._sequence import Sequence, poison
from gatedrnn._step import restart, select
from gatedrnn.flow._frames import directions, linearised, widths_of
from gatedrnn.flow._order import counted_steps, turned


class How(NamedTuple):
    """How growth is measured; hashable.

    Attributes:
        k: how many directions.
        every: steps between two QRs.
        length: steps of a block, about.
        backward: whether it is the transposed Jacobians' growth, from the last step to the first.
    """

    k: int
    every: int
    length: int
    backward: bool = False


class Growth(NamedTuple):
    """Log growth of each direction over N blocks, in the order in which they are measured.

    Attributes:
        total: nats, [N, B, k].
        number: steps that count, [N, B].
        cancelled: the most that a direction lost against the others between two QRs, in nats: ln |R[:, i]| / |R[i, i]|,
            [N, B]. Near -ln eps nothing of it was left but rounding.
    """

    total: Array
    number: Array
    cancelled: Array


class _Flags(NamedTuple):
    """Of every step: bool [T, B] each, but for `turn` [T].

    Attributes:
        passed: it is run and hands perturbations on.
        moved: any of its group up to it does so.
        late: its group begins after the steps that are left out.
        bad: any of its group up to it is poisoned.
        turn: its group ends with it.
    """

    passed: Array
    moved: Array
    late: Array
    bad: Array
    turn: Array


def growth(cell: Cell, how: How, params: Any, sequence: Sequence, burn_in: Array) -> Growth:
    """Of a cell driven by what it reads; steps in the order in which they are run (`in_order`)."""
    length = nearest_divisor(sequence.xs.shape[0], how.length) if is_static(sequence.xs.shape[0]) else how.length
    size, dtype = sum(widths_of(sequence.carry)), jnp.result_type(*jax.tree.leaves(sequence.carry))
    q = jnp.broadcast_to(directions(size, how.k, dtype), (sequence.xs.shape[1], size, how.k))
    flags = _flags(sequence, how, length, burn_in)
    inputs = (sequence.xs, sequence.mask, sequence.reset, flags)
    measure = jax.checkpoint(_block(cell, how, params, sequence.initial), prevent_cse=False)

    if how.backward:
        # The carries before each block, from which the block's own are computed again.
        def run(start: Carry, inputs: Any, _: None) -> tuple[Carry, None, Carry]:
            return _carries(cell, params, sequence.initial, start, inputs)[0], None, start

        _, _, starts = over_segments(run, sequence.carry, inputs[:3], (None, None), length, False)
        state: Any = q
    else:
        starts, state = (None, None), (sequence.carry, q)
    _, _, (whole, rest) = over_segments(measure, state, inputs, starts, length, how.backward)
    if rest is None:
        found = whole
    else:
        found = jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), whole, rest)
    return turned(how.backward, found)


def _block(cell: Cell, how: How, params: Any, initial: Carry) -> Any:
    """The segment for `over_segments` that gives one block's `Growth`."""

    def renewed(q: Array, total: Array, cancelled: Array, flags: _Flags) -> tuple[Array, Array, Array]:
        """What is added at the end of a group: Q R of the directions that it pushed."""
        fresh, r = jnp.linalg.qr(q)
        diagonal = jnp.log(jnp.abs(jnp.diagonal(r, axis1=1, axis2=2)))  # [B, k]
        added = select(flags.moved & flags.late, poison(flags.bad, diagonal), jnp.zeros_like(diagonal))
        lost = lax.stop_gradient((jnp.log(jnp.square(r).sum(1)) / 2 - diagonal).max(1))  # [B]
        lost = jnp.where(flags.moved & ~jnp.isnan(lost), lost, jnp.zeros_like(lost))
        return select(flags.moved, fresh, q), total + added, jnp.maximum(cancelled, lost)

    def frame(q: Array, total: Array, cancelled: Array, flags: _Flags) -> tuple[Array, Array, Array]:
        if how.every == 1:
            return renewed(q, total, cancelled, flags)
        keep = lambda q, total, cancelled, _: (q, total, cancelled)
        return lax.cond(flags.turn, renewed, keep, q, total, cancelled, flags)

    def step(state: tuple[Carry, Any], inputs: Any) -> tuple[Any, None]:
        carry, (q, total, cancelled) = state
        x, run, fresh, flags = inputs
        before = restart(fresh, initial, carry)
        after, push = linearised(cell, params, before, x)
        return (select(run, after, carry), frame(select(flags.passed, push(q), q), total, cancelled, flags)), None

    def step_back(state: Any, inputs: Any) -> tuple[Any, None]:
        (q, total, cancelled), (carry, x, fresh, flags) = state, inputs
        _, pull = linearised(cell, params, restart(fresh, initial, carry), x, transposed=True)
        return frame(select(flags.passed, pull(q), q), total, cancelled, flags), None

    def zeros(q: Array) -> tuple[Array, Array]:
        return jnp.zeros((q.shape[0], q.shape[2]), q.dtype), jnp.zeros(q.shape[:1], q.dtype)

    def forward(state: tuple[Carry, Array], inputs: Any, _: None) -> tuple[Any, None, Growth]:
        carry, q = state
        (carry, (q, *sums)), _ = scan(step, (carry, (q, *zeros(q))), inputs)
        return (carry, q), None, _growth_of(sums, inputs[-1])

    def backward(q: Array, inputs: Any, start: Carry) -> tuple[Array, None, Growth]:
        xs, _, reset, flags = inputs
        carries = _carries(cell, params, initial, start, inputs[:3])[1]
        (q, *sums), _ = scan(step_back, (q, *zeros(q)), (carries, xs, reset, flags), reverse=True)
        return q, None, _growth_of(sums, flags)

    return backward if how.backward else forward


def _growth_of(sums: Any, flags: _Flags) -> Growth:
    total, cancelled = sums
    return Growth(total, (flags.passed & flags.late).sum(0).astype(total.dtype), cancelled)


def _carries(cell: Cell, params: Any, initial: Carry, start: Carry, inputs: Any) -> tuple[Carry, Carry]:
    """The carry after the last step of a block, and those before each of its steps."""

    def step(carry: Carry, inputs: Any) -> tuple[Carry, Carry]:
        x, run, fresh = inputs
        return select(run, cell.step(params, restart(fresh, initial, carry), x)[0], carry), carry

    return scan(step, start, inputs)


def _flags(sequence: Sequence, how: How, length: int, burn_in: Array) -> _Flags:
    """Groups are counted within blocks, in the order of the measurement; so are the steps that are left out."""
    steps = sequence.xs.shape[0]
    order = jnp.arange(steps)
    start = order // length * length if is_static(steps) else jnp.zeros_like(order)
    last = jnp.minimum(start + length, steps) - 1 if is_static(steps) else jnp.full_like(order, steps - 1)
    place = last - order if how.backward else order - start  # of a step in its block
    turn = ((place + 1) % how.every == 0) | (place == last - start)
    passed, ran = (counted_steps(sequence.mask, reset, sequence.xs) for reset in (sequence.reset, None))
    bad = jnp.zeros_like(passed) if sequence.poisoned is None else sequence.poisoned & passed
    place, passed, ran, bad = turned(how.backward, (place, passed, ran, bad))
    first = order - place % how.every  # of each step's group
    late = (jnp.cumsum(ran, 0) - ran.astype(int))[first] >= burn_in  # steps that are run before the group
    moved, worse = (flag if how.every == 1 else _since(flag, first) for flag in (passed, bad))
    passed, moved, late, worse = turned(how.backward, (passed, moved, late, worse))
    return _Flags(passed, moved, late, worse, turn)


def _since(flag: Array, first: Array) -> Array:
    """Whether any step from `first[t]` to t is marked: bool [T, B]."""
    number = jnp.cumsum(flag, 0)
    return number > (number - flag.astype(int))[first]
