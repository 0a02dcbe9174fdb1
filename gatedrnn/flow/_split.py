"""One cell's backward pass in three streams: the whole adjoint, what of it came along units alone, and the rest.

    J_t      = A_t + B_t U^T                     A_t: the step with the recurrent half of every gate held fixed
    whole_t  = J_{t+1}^T whole_{t+1}  + l_t      l_t: what reads y_t
    direct_t = A_{t+1}^T direct_{t+1} + l_t      through A alone, at every step
    rest_t   = A_{t+1}^T rest_{t+1}   + U B_{t+1}^T whole_{t+1}

whole = direct + rest, yet none is a difference of the others: where two nearly cancel, each keeps all of its digits.
Whole and rest have an exponent for each row, one after the other on the batch axis; the direct stream, in which no unit
sees another, has one for each unit, which may be thousands of decades apart.
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
from gatedrnn.flow._scaled import Scaled, align, part_norms, rescale, times_power_of_two

KINDS = ("whole", "direct", "rest")


class Streams(NamedTuple):
    """What a backward pass finds, in the order in which the steps were run; each by kind.

    Attributes:
        norms: log10 of the norm, of each part of the carry and of all, [T + 1, parts + 1, 3, B].
        units: log10 of the size of every number in chosen rows, [N, 3, B, H] for each part; or None.
        read: dL/dxs, with an exponent for every step: [T, B, D] and [T, B] each; or None.
    """

    norms: Array
    units: list[Array] | None
    read: list[Scaled] | None


class _State(NamedTuple):
    """The streams at a step: whole and rest, [2 B, H] and [2 B]; direct, a row for each unit, [B H, 1] and [B H]."""

    mixed: Scaled
    alone: Scaled


def split_backward(
    run: Ran, dys: list[Any] | None, dcarry: Carry, places: Array | None, count: int, own: bool, reads: bool
) -> Streams:
    """Takes the three streams back through a cell in three-function form.

    Args:
        run: the cell and its steps.
        dys: dL/dys of every kind in the order of the steps, `Scaled` [T, B, H] and [T, B] each, None for a rest of
            nothing; or None.
        dcarry: dL/dcarry_T, [B, ...] each.
        places: for each row 0..T, in that order, its place among the rows whose units are kept, [T + 1]; N for none.
        count: N.
        own: whether row t + 1 counts what reads `ys[t]`; else row t does, as in `backward`.
        reads: whether dL/dxs is wanted.
    """
    cell, params, sequence = run.cell, run.params, run.sequence
    batch, width = dcarry.h.shape
    unit = params.spread(sequence.carry.h)

    def back(state: _State, inputs: Any) -> tuple[_State, Any]:
        before, halves, (x, mask, reset), dy, bad = inputs
        arriving, state = state, _received(state, dy, bad)
        row = state if own else arriving
        given = _stacked(state)  # [3, B, H] each: whole, rest, direct
        _, pull = jax.vjp(lambda *values: cell.pointwise(*values, *unit), *halves, before)
        gates_x, gates_h, held = jax.vmap(pull)(_rows(mask, given, jax.tree.map(jnp.zeros_like, given)))
        _, heard = jax.vjp(lambda h: cell.halves(params, x, h)[1], before.h)
        (through,) = heard(jax.tree.map(lambda a: a[0], gates_h))  # [B, H], of the whole
        kept = _rows(mask, held, given)
        if reset is not None:  # at a masked step, where it does nothing, there is none
            kept = _rows(reset, jax.tree.map(jnp.zeros_like, kept), kept)
            through = select(reset, jnp.zeros_like(through), through)
        read = None
        if reads:
            top, below = _tops(state)
            lift = times_power_of_two(jnp.ones((batch * width, 1), through.dtype), below).reshape(batch, width)
            lifted = jax.tree.map(lambda a: a.at[2].multiply(lift.astype(a.dtype)), gates_x)
            read = (lifted, jnp.concatenate([state.mixed.exponent, top]))
        level = _level(row)
        found = (part_norms(level.mantissa), level.exponent)
        return _moved(kept, through, state), (found, row if places is not None else None, read)

    def segment(given: tuple[_State, Any], inputs: Any, _: None) -> tuple[Any, tuple[Array, Any], None]:
        state, units = given
        before, (xs, mask, reset), dys, bad, place = inputs
        began = before
        if reset is not None:
            began = jax.vmap(lambda fresh, carry: restart(fresh, sequence.initial, carry))(reset, before)
        steps = (began, cell.halves(params, xs, began.h), (xs, mask, reset), dys, bad)
        state, (rows, kept, read) = scan(back, state, steps, reverse=True)
        if place is not None:
            units = _placed(units, place, kept)
        dxs = None
        if read is not None:
            gates_x, exponent = read  # [K, 3, B, H] each, [K, 3 B]
            pull = jax.vjp(lambda xs: cell.project(params.input, xs), xs)[1]
            (read_by,) = jax.vmap(pull, in_axes=1, out_axes=1)(gates_x)  # [K, 3, B, D]
            dxs = (read_by, exponent.reshape(len(exponent), len(KINDS), batch))
        return (state, units), (log10_rows(*rows), dxs), None

    plain = jnp.zeros(batch, jnp.int32)
    nothing = jax.tree.map(jnp.zeros_like, dcarry)
    both = jax.tree.map(lambda a, zero: jnp.concatenate([a, zero]), dcarry, nothing)
    state = _State(rescale(Scaled(both, jnp.tile(plain, 2))), rescale(_by_unit(Scaled(dcarry, plain))))
    parts = jax.tree.leaves(dcarry)
    units = None if places is None else [jnp.zeros((count, len(KINDS), *a.shape), a.dtype) for a in parts]
    per_step = (
        run.before,
        (sequence.xs, sequence.mask, sequence.reset),
        dys,
        sequence.poisoned,
        None if places is None else places[1:],
    )
    (first, units), (found, read), _ = over_segments(segment, (state, units), per_step, (None, None), SEGMENT, True)
    level = _level(first)
    row = log10_rows([norm[None] for norm in part_norms(level.mantissa)], level.exponent[None])
    if places is not None:
        units = _placed(units, places[:1], jax.tree.map(lambda a: a[None], first))
    norms = jnp.concatenate([row, found])
    norms = norms.reshape(*norms.shape[:2], len(KINDS), batch)[:, :, _ORDER]
    return Streams(norms, units, None if read is None else [Scaled(read[0][:, i], read[1][:, i]) for i in _ORDER])


_ORDER = (0, 2, 1)
"""Where each kind stands in a step's arrays: whole, rest, direct."""


def _received(state: _State, dys: list[Any] | None, bad: Array | None) -> _State:
    """With what reads the output of the step; NaN where its values are none."""
    mixed, alone = state
    if dys is not None:
        whole, direct, rest = dys
        rest = jax.tree.map(jnp.zeros_like, whole) if rest is None else rest
        mixed, _ = receive(True, mixed, jax.tree.map(lambda *each: jnp.concatenate(each), whole, rest))
        alone, _ = receive(True, alone, _by_unit(direct))
    if bad is not None:
        wide = jnp.repeat(bad, len(alone.exponent) // max(len(bad), 1))
        mixed = mixed._replace(mantissa=broken(jnp.tile(bad, 2), mixed.mantissa))
        alone = alone._replace(mantissa=broken(wide, alone.mantissa))
    return _State(mixed, alone)


def _by_unit(value: Scaled) -> Scaled:
    """[B, H] each and [B] -> a row for each unit: [B H, 1] and [B H]."""
    width = jax.tree.leaves(value.mantissa)[0].shape[-1]
    return Scaled(jax.tree.map(lambda a: a.reshape(-1, 1), value.mantissa), jnp.repeat(value.exponent, width))


def _stacked(state: _State) -> Carry:
    """The mantissas of whole, rest and direct, [3, B, H] each."""
    shape = _shape(state)
    join = lambda a, b: jnp.concatenate([a.reshape(2, *shape), b.reshape(1, *shape)])
    return jax.tree.map(join, state.mixed.mantissa, state.alone.mantissa)


def _shape(state: _State) -> tuple[int, int]:
    """B and H."""
    rows, width = jax.tree.leaves(state.mixed.mantissa)[0].shape
    return rows // 2, width


def _tops(state: _State) -> tuple[Array, Array]:
    """The largest exponent of each row of the direct stream, [B], and by how much each unit lies below it, [B H]."""
    _, alone = state
    alive = jnp.stack([a[:, 0] != 0 for a in jax.tree.leaves(alone.mantissa)]).any(0)
    lowest = jnp.iinfo(jnp.int32).min // 2
    top = jnp.where(alive, alone.exponent, lowest).reshape(_shape(state)).max(1)
    top = jnp.where(top == lowest, 0, top)
    return top, jnp.where(alive, alone.exponent - jnp.repeat(top, _shape(state)[1]), 0)


def _level(state: _State) -> Scaled:
    """Whole, rest and direct with an exponent for each row, [3 B, H] each and [3 B]."""
    mixed, alone = state
    top, below = _tops(state)
    row = times_power_of_two(alone.mantissa, below)
    mantissa = jax.tree.map(lambda a, b: jnp.concatenate([a, b.reshape(_shape(state))]), mixed.mantissa, row)
    return Scaled(mantissa, jnp.concatenate([mixed.exponent, top]))


def _rows(flag: Array | None, chosen: Any, otherwise: Any) -> Any:
    """`select` of every stream: flag [B], [3, B, ...] each."""
    if flag is None:
        return chosen
    return jax.vmap(select, in_axes=(None, 0, 0))(flag, chosen, otherwise)


def _moved(kept: Carry, through: Array, state: _State) -> _State:
    """The streams before a step: what was kept, [3, B, H] each, and what came through U, of the whole [B, H].

    It belongs to the whole, and to the rest, whose exponent is another one.
    """
    whole, rest, direct = (jax.tree.map(lambda a, i=i: a[i], kept) for i in range(len(KINDS)))
    exponent, other = jnp.split(state.mixed.exponent, 2)
    alien = jax.tree.map(jnp.zeros_like, rest)._replace(h=through)
    settled, alien = align(Scaled(rest, other), Scaled(alien, exponent))
    rest = settled.mantissa._replace(h=settled.mantissa.h + alien.mantissa.h)
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), whole._replace(h=whole.h + through), rest)
    alone = jax.tree.map(lambda a: a.reshape(-1, 1), direct)
    mixed = Scaled(both, jnp.concatenate([exponent, settled.exponent]))
    return _State(rescale(mixed), rescale(Scaled(alone, state.alone.exponent)))


def _placed(units: list[Array], place: Array, rows: _State) -> list[Array]:
    """The kept rows, [N, 3, B, H] each, with those of a segment whose place is below N."""

    def logs(a: Array, exponent: Array) -> Array:  # [K, R, ...], [K, R]
        return jnp.log10(jnp.abs(a)) + exponent.astype(a.dtype)[..., None] * jnp.asarray(math.log10(2), a.dtype)

    found = []
    for kept, both, direct in zip(units, *map(jax.tree.leaves, (rows.mixed[0], rows.alone[0])), strict=True):
        steps, shape = len(both), kept.shape[2:]
        whole, rest = jnp.split(logs(both, rows.mixed.exponent).reshape(steps, 2, *shape), 2, axis=1)
        row = jnp.concatenate([whole, logs(direct, rows.alone.exponent).reshape(steps, 1, *shape), rest], axis=1)
        found.append(kept.at[place].set(row, mode="drop"))
    return found
