"""The passes of a segment: everything that need not wait for the carry becomes one product per segment, both ways.

Forward, per segment of K steps: `project` the segment, then scan `recur` + `pointwise`. Kept for the backward pass: the
outputs, and the carry at each segment's start.

Backward, segments from last to first. With every h known, `gates_h = recur(h)` is one product. `pointwise` is
elementwise, so one `jax.vjp` per carry part j, seeded with ones, gives the diagonal Jacobian blocks of the whole
segment, each [K, B, H], by the values that the part reads: gates, the carry before the step, and parts after it. What
remains of the reverse loop is, per step,
    dcarry[i] += block[j][after i] * dcarry[j]               where part j reads part i, as the LSTM's h' reads c'
    dgates[g]  = sum_j block[j][gate g] * dcarry[j]
    dcarry'[i] = sum_j block[j][before i] * dcarry[j]        (+ dgates U^T for h)
(dgates through the transposed derivative of `norm` first, where there is one: of each step, made for the whole segment)
where U^T, the transpose of the linear part of `recur`, is laid out once for the whole sequence: a product that
transposes as it goes takes up to twice as long. The loop hands out dcarry, the smallest that dgates follow from:
they are computed again for the whole segment, and all weight gradients are one product per segment.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry
from gatedrnn._jacobian import gate_cotangents, jacobian_blocks, replay, weigh
from gatedrnn._jax import is_static, scan, varying_alike
from gatedrnn._pointwise import take_apart, values_of
from gatedrnn._primitives import linear_call
from gatedrnn._segments import first_of_segments, over_segments
from gatedrnn._step import guarded_step, restart
from gatedrnn.linear import accumulation_dtype
from gatedrnn.methods._gradients import (
    Normed,
    normed_gates,
    recurrent_gradient,
    rows_of,
    unit_gradient,
    weight_gradient,
)
from gatedrnn.methods._loops import Kept, Loops, Pulls, Scans, damping, read_inputs


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2, 3, 4))
def segmented(
    cell: Cell,
    loops: Loops,
    length: int,
    reverse: bool,
    clip: float | None,
    params: Any,
    xs: Array,  # [T, B, D], or [T, D] for one sequence; and so everywhere below
    carry: Carry,
    initial: Carry,
    mask: Array | None,  # [T, B]
    reset: Array | None,  # [T, B]
) -> tuple[Carry, Array]:
    if loops.plain:
        return _placed(scan(guarded_step(cell, params, initial), carry, (xs, mask, reset), reverse=reverse))
    end, steps, _ = _run(cell, loops, length, reverse, False, params, xs, carry, initial, mask, reset)
    found = (end, steps.parts[0])
    return _placed(found) if loops.runs_once(carry, False) else found


@functools.partial(segmented.defjvp, symbolic_zeros=True)
def _tangents(
    cell: Cell, loops: Loops, length: int, reverse: bool, clip: float | None, primals: Any, tangents: Any
) -> tuple[Any, Any]:
    """The tangents of the results as a linear function, whose transpose is the backward pass."""
    end, steps, starts = _run(cell, loops, length, reverse, True, *primals)

    def forward(residuals: Any, tangents: Any) -> tuple[Carry, Array]:
        moving, still = residuals[0][:4], residuals[0][4:]
        plain = functools.partial(_run, cell, Scans(), length, reverse, False)
        _, (dend, dsteps, _) = jax.jvp(lambda *moving: plain(*moving, *still), moving, tangents)
        return dend, dsteps.parts[0]

    backward = functools.partial(_backward, cell, loops, length, reverse, clip)
    found = (end, steps.parts[0])
    found = _placed(found) if loops.plain or loops.runs_once(primals[2], False) else found
    return found, linear_call(forward, backward, found, (primals, steps, starts), tangents[:4])


def _run(
    cell: Cell,
    loops: Loops,
    length: int,
    reverse: bool,
    kept: bool,
    params: Any,
    xs: Array,
    carry: Carry,
    initial: Carry,
    mask: Array | None,
    reset: Array | None,
) -> tuple[Carry, Kept, Any]:
    """The last carry, h after every step, [T, B, H] (and, as `loops` keep them, more), and segments' starts."""
    weights, once = loops.weights(cell, params, carry.h), loops.runs_once(carry, kept)

    def segment(start: Carry, inputs: Any, _: None) -> tuple[Carry, Kept, Carry]:
        read = inputs if once and loops.plain else read_inputs(cell, params, *inputs)
        end, steps = loops.forward(cell, weights, start, initial, read, reverse, kept)
        return end, steps, start

    if not once:
        return over_segments(segment, carry, (xs, mask, reset), (None, None), length, reverse)
    end, steps, _ = segment(carry, (xs, mask, reset), None)
    if not kept:
        return end, steps, None
    starts = [first_of_segments(*part, length, reverse) for part in zip(carry, steps.parts, strict=True)]
    return end, steps, tuple(type(carry)(*parts) for parts in zip(*starts, strict=True))


def _backward(
    cell: Cell, loops: Loops, length: int, reverse: bool, clip: float | None, saved: Any, cotangents: Any
) -> tuple[Any, ...]:
    (params, xs, _, initial, mask, reset), kept, starts = saved
    dcarry, dhs = cotangents
    adjoint = loops.adjoint(cell, params, kept.parts[0])  # laid out once for the whole sequence

    def segment(state: Any, inputs: Any, start: Carry) -> tuple[Any, Array, None]:
        dcarry, dinitial, dparams = state
        x, kept, dh, mask, reset = inputs  # [K, B, ...] each
        known = [_restart_all(reset, *at, reverse) for at in zip(initial, start, kept.parts, strict=False)]
        before_h = known[0]  # [K, B, H]
        damp = damping(cell, params, x)  # [K, B, H]
        heard = before_h if damp is None else before_h * damp
        rows_x = rows_of(x)  # [K * B, D]
        found_x, project_vjp = jax.vjp(functools.partial(cell.project, params.input), rows_x)
        gates_x = tuple(gate.reshape(before_h.shape) for gate in found_x)
        normed = Normed(kept.gates, (), None) if kept.gates else normed_gates(cell, params, heard)
        before = start._make((*known, *(jnp.zeros_like(before_h) for _ in start[len(known) :])))
        unit = params.spread(before_h)
        values = values_of(gates_x, normed.gates, before, unit)
        parts = take_apart(cell, values, start, unit)
        order = [part.place for part in parts]
        if len(known) < len(start):
            values = replay(cell, parts, values, start, initial, unit, mask, reset, reverse)
        blocks = jacobian_blocks(parts, values, mask)
        in_loop = [block._replace(apart={}, unit=()) for block in blocks]
        pulls = Pulls(dh, in_loop, normed.pull, damp, None if clip is None else mask, reset)
        dcarry, dinitial, dcarries = loops.backward(order, clip, adjoint, dcarry, dinitial, pulls, not reverse)
        dgates_h = gate_cotangents(blocks, dcarries)
        dgates_x = [rows_of(dgate) for dgate in (*dgates_h, *dgates_h[:1] * cell.extra)]  # those beyond stand apart
        for gate in blocks[0].apart:
            dgates_x[gate] = rows_of(weigh([block.apart[gate] for block in blocks], dcarries))
        (dx,) = project_vjp(tuple(dgates_x))
        dsegment = recurrent_gradient(cell, params, heard, normed, dgates_h)._replace(
            input=weight_gradient(cell.project, params.input, rows_x, dgates_x),
            unit=unit_gradient(params.unit, blocks, dcarries),
        )
        return (
            (dcarry, dinitial, jax.tree.map(lambda a, b: a + b.astype(a.dtype), dparams, dsegment)),
            dx.reshape(x.shape),
            None,
        )

    wide = jax.tree.map(lambda p: jnp.zeros_like(p, dtype=accumulation_dtype(p.dtype)), params)
    state, per_step = (dcarry, jax.tree.map(jnp.zeros_like, initial), wide), (xs, kept, dhs, mask, reset)
    state, per_step = varying_alike((state, per_step))
    (dcarry, dinitial, dparams), dxs, _ = over_segments(segment, state, per_step, starts, length, not reverse)
    return jax.tree.map(lambda d, p: d.astype(p.dtype), dparams, params), dxs, dcarry, dinitial


def _placed(tree: Any) -> Any:
    """The same arrays; under `jax.vmap` with the mapped axis first, as a reshape leaves it.

    JAX takes it for granted that a function and its derivative's rule leave that axis in one place.
    """
    return jax.tree.map(lambda a: lax.reshape(lax.reshape(a, (a.size,)), a.shape), tree)


def _restart_all(reset: Array | None, initial: Array, start: Array, after: Array, reverse: bool) -> Array:
    """A part of the carry before every step of a segment: after [K, B, H], start and initial [B, H]."""
    before = _shift(after, start, reverse)
    return restart(reset, jnp.broadcast_to(initial, before.shape), before)


def _shift(hs: Array, start: Array, reverse: bool) -> Array:
    """What stood before each step: hs [K, B, H] moved by one in the direction of processing, `start [B, H]` first."""
    pieces = [hs[1:], start[None]] if reverse else [start[None], hs[:-1]]
    if not all(map(is_static, hs.shape)):
        return jnp.concatenate(pieces)
    return jnp.concatenate(list(map(rows_of, pieces))).reshape(hs.shape)  # as products read it
