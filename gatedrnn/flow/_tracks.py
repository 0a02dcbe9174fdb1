"""One backward pass along several tracks at once, each cut at steps of its own, and the weights' gradient on each.

    lambda_{t-1} = 0 where the track is cut at step t, else (d carry_t / d carry_{t-1})^T lambda_t + what y_t adds
    dL/dparams   = sum_t (d step_t / d params)^T (lambda_t, dL/dy_t)

The steps of a segment wait for each other in lambda alone: with the carries and lambda known, the weights' gradient of
a segment is one transposed product. Everything is mantissa * 2^exponent, so gradients of 10^4000 are numbers here.

Dimension letters: W tracks.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._forms import Carry
from gatedrnn._jax import scan
from gatedrnn._segments import nearest_divisor, over_segments
from gatedrnn._step import guarded_step
from gatedrnn.flow._backward import Ran
from gatedrnn.flow._scaled import Scaled, align, largest, rescale, times_power_of_two
from gatedrnn.linear import accumulation_dtype

SEGMENT = 100  # steps whose share of the weights' gradient is one product


class Tracks(NamedTuple):
    """What `backward_along` finds.

    Attributes:
        gradient: dL/dparams, with a first axis of the W tracks, and an exponent for each.
        rows: dL/dcarry before every step, in the order in which they were run, [T, W, B, ...] each, with exponents
            [T, W, B]; None where it was not asked for.
    """

    gradient: Scaled
    rows: Scaled | None


def backward_along(run: Ran, dys: Array, cuts: Array, learns: bool, kept: bool) -> Tracks:
    """The gradient of a loss of the outputs in a cell's weights, along W tracks.

    Args:
        run: the cell and its steps.
        dys: dL/dys in the order in which they were run, [T, B, H]; zero at masked steps.
        cuts: bool [T, W]: the steps from which a track hands nothing on to the one run before.
        learns: whether the carry before the first step is `cell.initial_carry`, and so a function of the weights.
        kept: whether the rows are wanted.
    """
    cell, sequence = run.cell, run.sequence
    steps, batch = dys.shape[:2]
    tracks = cuts.shape[1]

    def back(state: Scaled, inputs: Any) -> tuple[Scaled, Any]:
        before, forced, dy, cut = inputs
        state, own = jax.vmap(align, in_axes=(0, None))(state, Scaled(_wide(dy), jnp.zeros(batch, jnp.int32)))
        step = guarded_step(cell, run.params, sequence.initial)
        (after, y), pull = jax.vjp(lambda carry: step(carry, forced), before)
        cotangent = _like(state.mantissa, after), own.mantissa.astype(y.dtype)  # [W, B, ...] each
        (mantissa,) = _wide(jax.vmap(pull)(cotangent))
        passed = jax.vmap(rescale)(Scaled(mantissa, state.exponent))
        stopped = jax.tree.map(lambda a: _where(cut, jnp.zeros_like(a), a), passed.mantissa)
        return Scaled(stopped, passed.exponent), (
            Scaled((state.mantissa, own.mantissa), state.exponent),
            passed if kept else None,
        )

    def segment(held: tuple[Scaled, Scaled], inputs: Any, _: None) -> tuple[Any, Scaled | None, None]:
        state, total = held
        state, (arriving, rows) = scan(back, state, inputs, reverse=True)
        return (state, _plus(total, _share(run, inputs[0], inputs[1], arriving))), rows, None

    zeros = lambda a: jnp.zeros((tracks, *a.shape), accumulation_dtype(a.dtype))
    nothing, *none = jax.tree.map(zeros, (sequence.carry, run.params, sequence.initial))
    none = lax.optimization_barrier(tuple(none))  # else XLA takes seconds to find out the largest of so many zeros
    held = Scaled(nothing, jnp.zeros((tracks, batch), jnp.int32)), Scaled(none, jnp.zeros(tracks, jnp.int32))
    inputs = (run.before, (sequence.xs, sequence.mask, sequence.reset), dys, cuts)
    (first, total), rows, _ = over_segments(segment, held, inputs, (None, None), nearest_divisor(steps, SEGMENT), True)
    if learns:
        common = _common(first)
        total = _plus(total, Scaled((none[0], common.mantissa), common.exponent))
    return Tracks(_through_initial(run, total), rows)


def _share(run: Ran, before: Carry, forced: Any, arriving: Scaled) -> Scaled:
    """A segment's part of the gradient in the weights and in the initial carry: exponents [W]."""

    def steps(params: Any, initial: Carry) -> Any:
        return jax.vmap(guarded_step(run.cell, params, initial))(before, forced)

    ahead = jax.tree.map(lambda a: jnp.moveaxis(a, 1, 0), arriving)  # [W, K, B, ...]
    common = _common(ahead)
    found, pull = jax.vjp(steps, run.params, run.sequence.initial)
    return Scaled(_wide(jax.vmap(pull)(_like(common.mantissa, found))), common.exponent)


def _common(value: Scaled) -> Scaled:
    """The same value at one exponent per track, the largest: mantissas [W, ...], exponents [W, ...] -> [W]."""
    lead = value.exponent.shape
    flat = jax.tree.map(lambda a: a.reshape(lead[0], -1, *a.shape[len(lead) :]), value)
    size = jax.vmap(largest)(flat.mantissa)  # [W, N]
    lowest = jnp.iinfo(jnp.int32).min // 2
    top = jnp.where(size != 0, flat.exponent, lowest).max(1, initial=lowest)
    top = jnp.where(top == lowest, 0, top)
    mantissa = jax.vmap(times_power_of_two)(flat.mantissa, flat.exponent - top[:, None])
    return Scaled(jax.tree.map(lambda a, like: a.reshape(like.shape), mantissa, value.mantissa), top)


def _plus(one: Scaled, other: Scaled) -> Scaled:
    one, other = align(one, other)
    return rescale(Scaled(jax.tree.map(jnp.add, one.mantissa, other.mantissa), one.exponent))


def _through_initial(run: Ran, total: Scaled) -> Scaled:
    """The gradient in the weights, with what comes through the initial carry, where that is learned."""
    dparams, dinitial = total.mantissa
    batch = run.sequence.xs.shape[1]
    like, pull = jax.vjp(lambda params: run.cell.initial_carry(params, batch), run.params)
    (through,) = jax.vmap(pull)(_like(dinitial, like))
    return rescale(Scaled(jax.tree.map(jnp.add, dparams, _wide(through)), total.exponent))


def _wide(tree: Any) -> Any:
    """At least float32, which a mantissa is kept in."""
    return jax.tree.map(lambda a: a.astype(accumulation_dtype(a.dtype)), tree)


def _like(tree: Any, like: Any) -> Any:
    return jax.tree.map(lambda a, b: a.astype(b.dtype), tree, like)


def _where(flag: Array, chosen: Array, otherwise: Array) -> Array:
    """Track by track, [W]."""
    return jnp.where(flag.reshape(flag.shape + (1,) * (chosen.ndim - 1)), chosen, otherwise)
