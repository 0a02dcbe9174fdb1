"""One cell's backward pass: the norm of dL/dcarry_t at every step, and what arrives at what the cell has read.

    lambda_t = J_{t+1}^T lambda_{t+1} + what y_t adds          J_t = d carry_t / d carry_{t-1}

10^-4000 is no float, so lambda is carried as mantissa * 2^exponent, one exponent per row. Multiplication by a power
of two is exact: while nothing underflows, mantissa * 2^exponent equals the plain backward pass bit for bit.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry
from gatedrnn._jax import scan
from gatedrnn._segments import over_segments
from gatedrnn._sequence import Sequence
from gatedrnn._step import guarded_step
from gatedrnn.flow._order import in_order, turned
from gatedrnn.flow._scaled import Scaled, align, part_norms, rescale

SEGMENT = 125  # steps whose norms are stacked before they are stacked again; small rows stack slowly one by one


@dataclass(frozen=True)
class Ran:
    """A cell that has been run over a sequence.

    Attributes:
        cell: it.
        params: its weights.
        sequence: the steps, in the order in which they were run.
        reverse: whether that is against time.
        before: the carries before each of them, [T, B, ...] each.
        ys: its outputs in the order of time, [T, B, H].
    """

    cell: Cell
    params: Any
    sequence: Sequence
    reverse: bool
    before: Carry
    ys: Array


class Traced(NamedTuple):
    """What a backward pass finds, in the order in which the steps were run.

    Attributes:
        norms: log10 of the norm of dL/dcarry_t, of each part of the carry and of all, [T + 1, parts + 1, B].
        first: dL/dcarry before the first step.
        read: dL/dxs, with an exponent for every step, [T, B, D] and [T, B]; None where it was not asked for.
        rows: dL/dcarry before every step, of the first rows alone, [T, kept, ...] each and [T, kept]; None where none
            was asked for.
    """

    norms: Array
    first: Scaled
    read: Scaled | None
    rows: Scaled | None


def ran(cell: Cell, params: Any, sequence: Sequence) -> tuple[Ran, Array]:
    """Runs a cell and keeps what its backward pass needs; as `visit` asks."""
    ordered = in_order(sequence)
    step = guarded_step(cell, params, ordered.initial)

    def forward(carry: Carry, forced: Any) -> tuple[Carry, tuple[Carry, Array]]:
        after, y = step(carry, forced)
        return after, (carry, y)

    forced = (ordered.xs, ordered.mask, ordered.reset)
    _, (before, ys) = scan(forward, ordered.carry, forced)
    ys = turned(sequence.reverse, ys)
    return Ran(cell, params, ordered, sequence.reverse, before, ys), ys


def after(run: Ran) -> Carry:
    """The carries after every step, [T, B, ...] each; of at least one."""
    steps = (run.before, (run.sequence.xs, run.sequence.mask, run.sequence.reset))
    end, _ = guarded_step(run.cell, run.params, run.sequence.initial)(*jax.tree.map(lambda a: a[-1], steps))
    return jax.tree.map(lambda before, end: jnp.concatenate([before[1:], end[None]]), run.before, end)


def backward(run: Ran, dys: Scaled | None, dcarry: Carry, own: bool, reads: bool, kept: int = 0) -> Traced:
    """Takes dL/dcarry_T and dL/dys back through a cell.

    Args:
        run: the cell and its steps.
        dys: dL/dys in the order of the steps, with an exponent for each, [T, B, H] and [T, B]; or None.
        dcarry: dL/dcarry_T, [B, ...] each.
        own: whether the output is the carry's h, so that row t + 1 counts what reads `ys[t]`; else row t does.
        reads: whether dL/dxs is wanted.
        kept: of how many of the first rows dL/dcarry is wanted, with its signs, before every step.
    """
    sequence = run.sequence
    step = guarded_step(run.cell, run.params, sequence.initial)

    def back(state: Scaled, inputs: Any) -> tuple[Scaled, Any]:
        before, (x, mask, reset), dy, bad = inputs
        arriving = state  # its own row; what an output apart from the carry adds belongs to the row before
        state, dy = receive(own, state, dy)
        if bad is not None:
            state = state._replace(mantissa=broken(bad, state.mantissa))
        row = state if own else arriving
        (_, y), pull = jax.vjp(lambda carry, x: step(carry, (x, mask, reset)), before, x)
        mantissa, dx = pull((state.mantissa, jnp.zeros_like(y) if dy is None else dy.astype(y.dtype)))
        read = Scaled(dx, state.exponent) if reads else None
        passed = rescale(Scaled(mantissa, state.exponent))
        shown = jax.tree.map(lambda a: a[:kept], passed) if kept else None
        return passed, ((part_norms(row.mantissa), row.exponent), read, shown)

    def segment(state: Scaled, inputs: Any, _: None) -> tuple[Scaled, tuple[Array, Scaled | None, Scaled | None], None]:
        state, (norms, read, shown) = scan(back, state, inputs, reverse=True)
        return state, (log10_rows(*norms), read, shown), None

    state = rescale(Scaled(dcarry, jnp.zeros(sequence.xs.shape[1], jnp.int32)))
    inputs = (run.before, (sequence.xs, sequence.mask, sequence.reset), dys, sequence.poisoned)
    first, (norms, read, shown), _ = over_segments(segment, state, inputs, (None, None), SEGMENT, True)
    row = log10_rows([norm[None] for norm in part_norms(first.mantissa)], first.exponent[None])
    return Traced(jnp.concatenate([row, norms]), first, read, shown)


def receive(own: bool, state: Scaled, dy: Scaled | None) -> tuple[Scaled, Array | None]:
    """Brings dL/dy_t to the adjoint's scale; where the output is the carry's h, adds it there."""
    if dy is None:
        return state, None
    wide = dy.mantissa.astype(jnp.result_type(*jax.tree.leaves(state.mantissa)))
    state, dy = align(state, dy._replace(mantissa=wide))
    if not own:
        return state, dy.mantissa
    mantissa = state.mantissa._replace(h=state.mantissa.h + dy.mantissa)
    return rescale(Scaled(mantissa, state.exponent)), None


def broken(bad: Array, mantissa: Carry) -> Carry:
    """NaN in the rows of cotangents that would pass through a step whose values are not finite."""
    return jax.tree.map(lambda a: jnp.where(bad[:, None] & (a != 0), jnp.nan, a), mantissa)


def log10_rows(norms: list[Array], exponent: Array) -> Array:
    """log10 of norm * 2^exponent for each part and for all: norms [K, B] each -> [K, parts + 1, B]."""
    largest = functools.reduce(jnp.maximum, norms)
    scale = jnp.where(largest > 0, largest, 1)
    total = largest * jnp.sqrt(functools.reduce(jnp.add, [jnp.square(norm / scale) for norm in norms]))
    rows = jnp.stack([*norms, total], axis=1)
    return jnp.log10(rows) + exponent.astype(rows.dtype)[:, None] * jnp.asarray(math.log10(2), rows.dtype)
