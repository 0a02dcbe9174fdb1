"""One cell's backward pass in three streams: the whole adjoint, what of it came along units alone, and the rest.

    J_t     = A_t + B_t U^T                     A_t: the step with the recurrent half of every gate held fixed
    whole_t  = J_{t+1}^T whole_{t+1}  + l_t     l_t: what reads y_t
    direct_t = A_{t+1}^T direct_{t+1} + l_t     through A alone, at every step
    rest_t   = A_{t+1}^T rest_{t+1}   + U B_{t+1}^T whole_{t+1}

whole = direct + rest, yet none is a difference of the others: where two nearly cancel, each keeps all of its digits. A
stream has an exponent of its own. The three stand one after the other along the batch axis, R = 3 B rows, so that one
scan takes all of them back.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._forms import Carry
from gatedrnn._jax import scan
from gatedrnn._segments import over_segments
from gatedrnn._step import restart, select
from gatedrnn.flow._backward import SEGMENT, Ran, broken, log10_rows, receive
from gatedrnn.flow._scaled import Scaled, align, part_norms, rescale

STREAMS = 3
"""whole, direct, rest."""


class Streams(NamedTuple):
    """What a backward pass finds, in the order in which the steps were run.

    Attributes:
        norms: log10 of the norm of each stream, of each part of the carry and of all, [T + 1, parts + 1, 3, B].
        units: log10 of the size of every number of each stream in chosen rows, [N, 3, B, H] for each part; or None.
        read: dL/dxs by stream, with an exponent for every step: [T, B, D] and [T, B] each; or None.
    """

    norms: Array
    units: list[Array] | None
    read: list[Scaled] | None


def split_backward(
    run: Ran, dys: list[Scaled] | None, dcarry: Carry, places: Array | None, count: int, own: bool, reads: bool
) -> Streams:
    """Takes the three streams back through a cell in three-function form.

    Args:
        run: the cell and its steps.
        dys: dL/dys of every stream in the order of the steps, [T, B, H] and [T, B] each; or None.
        dcarry: dL/dcarry_T, [B, ...] each.
        places: for each row 0..T, in that order, its place among the rows whose units are kept, [T + 1]; N for none.
        count: N.
        own: whether row t + 1 counts what reads `ys[t]`; else row t does, as in `backward`.
        reads: whether dL/dxs is wanted.
    """
    cell, params, sequence = run.cell, run.params, run.sequence
    batch = sequence.xs.shape[1]
    unit = params.spread(sequence.carry.h)

    def back(state: Scaled, inputs: Any) -> tuple[Scaled, Any]:
        before, halves, (x, mask, reset), dy, bad = inputs
        arriving = state
        state, _ = receive(True, state, dy)
        if bad is not None:
            state = state._replace(mantissa=broken(jnp.tile(bad, STREAMS), state.mantissa))
        row = state if own else arriving
        given = _apart(state.mantissa, batch)  # [3, B, H] each
        run_here = _rows(mask, given, jax.tree.map(jnp.zeros_like, given))
        _, pull = jax.vjp(lambda *values: cell.pointwise(*values, *unit), *halves, before)
        gates_x, gates_h, held = jax.vmap(pull)(run_here)
        _, heard = jax.vjp(lambda h: cell.halves(params, x, h)[1], before.h)
        (through,) = heard(jax.tree.map(lambda a: a[0], gates_h))  # [B, H], of the whole
        kept = _rows(mask, held, given)
        if reset is not None:
            kept = _rows(reset if mask is None else reset & mask, jax.tree.map(jnp.zeros_like, kept), kept)
            through = select(reset, jnp.zeros_like(through), through)
        after = rescale(_joined(kept, through, state.exponent))
        row_units = row.mantissa if places is not None else None
        read = (gates_x, state.exponent) if reads else None
        return after, ((part_norms(row.mantissa), row.exponent), row_units, read)

    def segment(given: tuple[Scaled, Any], inputs: Any, _: None) -> tuple[Any, tuple[Array, Any], None]:
        state, units = given
        before, (xs, mask, reset), dys, bad, place = inputs
        began = before
        if reset is not None:
            began = jax.vmap(lambda fresh, carry: restart(fresh, sequence.initial, carry))(reset, before)
        halves = cell.halves(params, xs, began.h)
        steps = (began, halves, (xs, mask, reset), dys, bad)
        state, (rows, rows_units, read) = scan(back, state, steps, reverse=True)
        if place is not None:
            units = _placed(units, place, Scaled(rows_units, rows[1]))
        found = None
        if read is not None:
            gates_x, exponent = read  # [K, 3, B, H] each, [K, 3 B]
            _, pull = jax.vjp(lambda xs: cell.project(params.input, xs), xs)
            (dxs,) = jax.vmap(pull, in_axes=1, out_axes=1)(gates_x)  # [K, 3, B, D]
            found = (dxs, exponent.reshape(-1, STREAMS, batch))
        return (state, units), (log10_rows(*rows), found), None

    nothing = jax.tree.map(jnp.zeros_like, dcarry)
    rows = jax.tree.map(lambda a, zero: jnp.concatenate([a, a, zero]), dcarry, nothing)
    state = rescale(Scaled(rows, jnp.zeros(STREAMS * batch, jnp.int32)))
    units = None if places is None else [jnp.zeros((count, *a.shape), a.dtype) for a in jax.tree.leaves(rows)]
    per_step = (
        run.before,
        (sequence.xs, sequence.mask, sequence.reset),
        None if dys is None else jax.tree.map(lambda *each: jnp.concatenate(each, axis=1), *dys),
        sequence.poisoned,
        None if places is None else places[1:],
    )
    (first, units), (found, read), _ = over_segments(segment, (state, units), per_step, (None, None), SEGMENT, True)
    row = log10_rows([norm[None] for norm in part_norms(first.mantissa)], first.exponent[None])
    if places is not None:
        units = _placed(units, places[:1], jax.tree.map(lambda a: a[None], first))
    norms = jnp.concatenate([row, found])
    return Streams(
        norms.reshape(*norms.shape[:2], STREAMS, batch),
        None if units is None else [a.reshape(count, STREAMS, batch, *a.shape[2:]) for a in units],
        None if read is None else [Scaled(read[0][:, i], read[1][:, i]) for i in range(STREAMS)],
    )


def _apart(tree: Carry, batch: int) -> Carry:
    """[3 B, ...] each -> [3, B, ...]."""
    return jax.tree.map(lambda a: a.reshape(STREAMS, batch, *a.shape[1:]), tree)


def _rows(flag: Array | None, chosen: Any, otherwise: Any) -> Any:
    """`select` of every stream: flag [B], [3, B, ...] each."""
    if flag is None:
        return chosen
    return jax.vmap(select, in_axes=(None, 0, 0))(flag, chosen, otherwise)


def _joined(kept: Carry, through: Array, exponent: Array) -> Scaled:
    """The streams before a step: what was kept, [3, B, ...] each, and what came through U, of the whole [B, H].

    It belongs to the whole, and to the rest, whose exponent is another one.
    """
    batch = through.shape[0]
    whole, direct, rest = (jax.tree.map(lambda a, i=i: a[i], kept) for i in range(STREAMS))
    exponents = exponent.reshape(STREAMS, batch)
    alien = jax.tree.map(jnp.zeros_like, rest)._replace(h=through)
    rest, alien = align(Scaled(rest, exponents[2]), Scaled(alien, exponents[0]))
    streams = (
        whole._replace(h=whole.h + through),
        direct,
        rest.mantissa._replace(h=rest.mantissa.h + alien.mantissa.h),
    )
    mantissa = jax.tree.map(lambda *each: jnp.concatenate(each), *streams)
    return Scaled(mantissa, jnp.concatenate([*exponents[:2], rest.exponent]))


def _placed(units: list[Array], place: Array, rows: Scaled) -> list[Array]:
    """The kept rows, [N, 3 B, H] each, with those of a segment whose place is below N."""
    exponent = rows.exponent[:, :, None]
    logs = (
        jnp.log10(jnp.abs(a)) + exponent.astype(a.dtype) * jnp.asarray(math.log10(2), a.dtype)
        for a in jax.tree.leaves(rows.mantissa)
    )
    return [kept.at[place].set(log, mode="drop") for kept, log in zip(units, logs, strict=True)]
