"""Segment by segment: everything that need not wait for the carry becomes one product per segment, both ways.

Forward, per segment of K steps: `project` the segment, then scan `recur` + `pointwise`. Kept for the backward pass: the
outputs, and the carry at each segment's start.

Backward, segments from last to first. With every h known, `gates_h = recur(h)` is one product. `pointwise` is
elementwise, so one `jax.vjp` per carry part j, seeded with ones, gives the diagonal Jacobian blocks of the whole
segment, each [K, B, H], by the values that the part reads: gates, the carry before the step, and parts after it. What
remains of the reverse loop is, per step,
    dcarry[i] += block[j][after i] * dcarry[j]               where part j reads part i, as the LSTM's h' reads c'
    dgates[g]  = sum_j block[j][gate g] * dcarry[j]
    dcarry'[i] = sum_j block[j][before i] * dcarry[j]        (+ dgates U^T for h)
where U^T [G * H, H], the transpose of the linear part of `recur`, is laid out once for the whole sequence: a product
that transposes as it goes takes up to twice as long. All weight gradients are one product per segment, from the stacked
dgates.
"""

import functools
import operator
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._cell import Carry, Cell, Gates
from gatedrnn._check import check_size
from gatedrnn._linear import accumulation_dtype, split
from gatedrnn._segments import over_segments
from gatedrnn._sequence import Sequence as Steps
from gatedrnn._step import restart, select
from gatedrnn.methods._parts import Part, Value, take_apart
from gatedrnn.methods._reverse_only import once, reverse_only


class Blocks(NamedTuple):
    """Diagonal derivative of one carry part after a step by everything that it reads; None for what it does not.

    Attributes:
        gates: by the recurrent half of every gate, G arrays [K, B, H].
        before: by the parts of the carry before the step.
        after: by the other parts after it.
    """

    gates: tuple[Array | None, ...]
    before: tuple[Array | None, ...]
    after: tuple[Array | None, ...]


@jax.tree_util.register_static
@dataclass(frozen=True)
class Segmented:
    """The default: for cells in three-function form, first-order reverse mode.

    Attributes:
        length: steps per segment, K. By default, on CPU as many as keep a segment's arrays (about `6 G` of [K, B, H])
            within 512 KiB, a core's own cache, but between 25 and 200; where a device has several cores, which share
            larger products, up to 100 within 8 MiB. On other backends 256. Then the nearest divisor of T, if one lies
            within a factor of 2.

    Raises:
        ValueError: `length` is not a whole number of at least 1.
    """

    length: int | None = None

    def __post_init__(self) -> None:
        if self.length is not None:
            check_size("length", self.length)

    def __call__(self, cell: Cell, params: Any, sequence: Steps, reverse: bool) -> tuple[Carry, Array]:
        if not cell.factored:
            raise ValueError(
                f"`method` must be Autodiff() for the cell {cell.name!r}, which has `step` alone; got {self!r}, which "
                "needs `project`, `recur` and `pointwise`."
            )
        xs, carry, initial, mask, reset = sequence
        length = self.length or default_length(xs.shape[0], carry.h.size, len(cell.gates))
        params, xs, carry, initial = reverse_only((params, xs, carry, initial))
        return _segmented(cell, length, reverse, params, xs, carry, initial, mask, reset)


def default_length(steps: int, units: int, gates: int) -> int:
    """K for T = `steps` and B * H = `units`; see `Segmented.length`."""
    if jax.default_backend() == "cpu":
        step = 4 * 6 * gates * max(units, 1)  # bytes
        shared = min(2**23 // step, 100) if _schedulable_cores() > jax.local_device_count() else 0
        target = min(max(2**19 // step, shared, 25), 200)
    else:
        target = 256
    if steps <= target:
        return max(steps, 1)
    near = [k for k in range((target + 1) // 2, 2 * target + 1) if steps % k == 0]
    return min(near, key=lambda k: abs(k - target), default=target)


def _schedulable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _segmented(
    cell: Cell,
    length: int,
    reverse: bool,
    params: Any,
    xs: Array,  # [T, B, D]
    carry: Carry,
    initial: Carry,
    mask: Array | None,  # [T, B]
    reset: Array | None,  # [T, B]
) -> tuple[Carry, Array]:
    end, hs, _ = _run(cell, length, reverse, params, xs, carry, initial, mask, reset)
    return end, hs


def _forward(cell: Cell, length: int, reverse: bool, *arrays: Any) -> tuple[tuple[Carry, Array], Any]:
    end, hs, starts = _run(cell, length, reverse, *once(arrays))
    return (end, hs), (*arrays, hs, starts)


def _run(
    cell: Cell,
    length: int,
    reverse: bool,
    params: Any,
    xs: Array,
    carry: Carry,
    initial: Carry,
    mask: Array | None,
    reset: Array | None,
) -> tuple[Carry, Array, Any]:
    """The last carry, the outputs [T, B, H], and the carry at the start of each segment."""

    def segment(start: Carry, inputs: Any, _: None) -> tuple[Carry, Array, Carry]:
        x, mask, reset = inputs  # [K, B, D], [K, B], [K, B]

        def step(carry: Carry, inputs: Any) -> tuple[Carry, Array]:
            gates_x, mask, reset = inputs
            before = restart(reset, initial, carry)
            after = select(mask, cell.pointwise(gates_x, cell.recur(params.recurrent, before.h), before), carry)
            return after, after.h

        end, hs = lax.scan(step, start, (cell.project(params.input, x), mask, reset), reverse=reverse)
        return end, hs, start

    return over_segments(segment, carry, (xs, mask, reset), (None, None), length, reverse)


def _backward(cell: Cell, length: int, reverse: bool, saved: Any, cotangents: tuple[Carry, Array]) -> tuple[Any, ...]:
    params, xs, _, initial, mask, reset, hs, starts = saved
    dcarry, dhs = cotangents
    transposed = _transposed_recurrence(cell, params, hs)  # [G * H, H]

    def segment(state: Any, inputs: Any, start: Carry) -> tuple[Any, Array, None]:
        dcarry, dinitial, dparams = state
        x, h, dh, mask, reset = inputs  # [K, B, ...] each
        before_h = _restart_all(reset, initial.h, _shift(h, start.h, reverse))  # [K, B, H]
        gates_x, project_vjp = jax.vjp(functools.partial(cell.project, params.input), x)
        gates_h = cell.recur(params.recurrent, before_h)
        whole = start._make(jnp.broadcast_to(part, before_h.shape) for part in start)
        parts = take_apart(cell, gates_x, gates_h, whole)
        order = [part.place for part in parts]
        before = _replay(cell, parts, gates_x, gates_h, before_h, start, initial, mask, reset, reverse)
        blocks, untied = _jacobian_blocks(parts, gates_x, gates_h, before, mask)

        def step(state: tuple[Carry, Carry], inputs: Any) -> tuple[tuple[Carry, Carry], Any]:
            dcarry, dinitial = state
            dh, blocks, reset = inputs
            dcarry = _through(order, blocks, dcarry._replace(h=dcarry.h + dh))
            weighed = [_weigh([block.gates[gate] for block in blocks], dcarry) for gate in range(len(gates_h))]
            dgates = jnp.concatenate(weighed, axis=-1)  # [B, G * H]: one operand, one row to stack
            dbefore = dcarry._make(_weigh([block.before[i] for block in blocks], dcarry) for i in range(len(dcarry)))
            dbefore = dbefore._replace(h=dbefore.h + dgates @ transposed)
            if reset is not None:
                dinitial = jax.tree.map(jnp.add, dinitial, select(reset, dbefore, zeros))
            return (restart(reset, zeros, dbefore), dinitial), (dgates, dcarry if untied else None)

        zeros = jax.tree.map(jnp.zeros_like, dcarry)
        (dcarry, dinitial), (dgates, dcarries) = lax.scan(
            step, (dcarry, dinitial), (dh, blocks, reset), reverse=not reverse
        )
        dgates_h = split(dgates, len(gates_h))
        dgates_x = list(dgates_h)
        for gate, column in untied.items():
            dgates_x[gate] = _weigh(column, dcarries)
        (dx,) = project_vjp(tuple(dgates_x))
        dinput = _weight_gradient(cell.project, params.input, x, dgates_x)
        drecurrent = _weight_gradient(cell.recur, params.recurrent, before_h, dgates_h)
        dsegment = params._replace(input=dinput, recurrent=drecurrent)
        return (dcarry, dinitial, jax.tree.map(lambda a, b: a + b.astype(a.dtype), dparams, dsegment)), dx, None

    wide = jax.tree.map(lambda p: jnp.zeros(p.shape, accumulation_dtype(p.dtype)), params)
    state = (dcarry, jax.tree.map(jnp.zeros_like, initial), wide)
    per_step = (xs, hs, dhs, mask, reset)
    (dcarry, dinitial, dparams), dxs, _ = over_segments(segment, state, per_step, starts, length, not reverse)
    return jax.tree.map(lambda d, p: d.astype(p.dtype), dparams, params), dxs, dcarry, dinitial, None, None


_segmented.defvjp(_forward, _backward)


def _weight_gradient(function: Callable[..., Gates], weights: Any, x: Array, dgates: Sequence[Array]) -> Any:
    """Of `function(weights, x [K, B, D])` by the weights, for the gates' cotangents [K, B, H].

    A sum over time and batch is a product of x^T and dgates. On a CPU XLA copies dgates into the other order, unless
    x^T is there already; so x, where it is no larger, is copied first.
    """
    rows = x.reshape(-1, x.shape[-1])  # [K * B, D]
    if jax.default_backend() == "cpu" and rows.shape[-1] <= sum(d.shape[-1] for d in dgates):
        rows = lax.optimization_barrier(rows.T).T
    _, pull = jax.vjp(lambda weights: function(weights, rows), weights)
    return pull(tuple(d.reshape(-1, d.shape[-1]) for d in dgates))[0]


def _transposed_recurrence(cell: Cell, params: Any, hs: Array) -> Array:
    """U^T [G * H, H], from the gates' exact tangents along the unit vectors of h."""
    unit = jnp.eye(hs.shape[-1], dtype=hs.dtype)
    _, blocks = jax.jvp(lambda h: cell.recur(params.recurrent, h), (jnp.zeros_like(unit),), (unit,))  # G x [H, H]
    return jnp.concatenate([block.T for block in blocks])


def _jacobian_blocks(
    parts: list[Part], gates_x: Gates, gates_h: Gates, before: Carry, mask: Array | None
) -> tuple[list[Blocks], dict[int, list[Array | None]]]:
    """The diagonal blocks of `pointwise`, one `Blocks` per part of the carry.

    The second value holds, for each gate whose two halves do not enter as a sum, the derivatives by gates_x[g]. Where
    they do, transposition gives both one and the same array. A masked step is the identity: its blocks say so.
    """
    values = _values(gates_x, gates_h, before)
    by_part: dict[int, dict[Value, Array]] = {}
    for part in parts:
        values["after", part.place], by_part[part.place] = part.pull(values)
    gates, places = range(len(gates_x)), range(len(before))
    found = [by_part[j] for j in places]
    untied = {
        gate: [_held(mask, block.get(("x", gate)), 0) for block in found]
        for gate in gates
        if any(block.get(("x", gate)) is not block.get(("h", gate)) for block in found)
    }
    blocks = []
    for j, block in enumerate(found):
        if mask is not None:
            block.setdefault(("before", j), jnp.zeros_like(before.h))  # nothing, but the identity where masked
        blocks.append(
            Blocks(
                tuple(_held(mask, block.get(("h", gate)), 0) for gate in gates),
                tuple(_held(mask, block.get(("before", i)), i == j) for i in places),
                tuple(_held(mask, block.get(("after", i)), 0) for i in places),
            )
        )
    return blocks, untied


def _values(gates_x: Gates, gates_h: Gates, before: Carry) -> dict[Value, Array]:
    """What a part of the carry can read, by name."""
    named = {"x": gates_x, "h": gates_h, "before": before}
    return {(kind, i): array for kind, arrays in named.items() for i, array in enumerate(arrays)}


def _held(mask: Array | None, block: Array | None, value: float) -> Array | None:
    return block if mask is None or block is None else jnp.where(mask[..., None], block, jnp.full_like(block, value))


def _replay(
    cell: Cell,
    parts: list[Part],
    gates_x: Gates,
    gates_h: Gates,
    before_h: Array,
    start: Carry,
    initial: Carry,
    mask: Array | None,
    reset: Array | None,
    reverse: bool,
) -> Carry:
    """The carry before each step of a segment, [K, B, H] each; h is known, the rest is an elementwise scan.

    A part that is affine in its own past, c' = a c + b, has its a and b for the whole segment at once.
    """
    if len(start) == 1:
        return start._make((before_h,))
    zeros = start._make((before_h, *(jnp.zeros_like(before_h) for _ in start[1:])))
    values = _values(gates_x, gates_h, zeros)
    rest = sorted((part for part in parts if part.place), key=lambda part: part.place)
    inputs: Any
    if all(_affine(part, values) for part in rest):
        pulled = [(part.place, *part.pull(values)) for part in rest]
        slopes = tuple(_held(mask, found["before", j], 1) for j, _, found in pulled)
        offsets = tuple(_held(mask, out, 0) for _, out, _ in pulled)
        inputs = (slopes, offsets, reset)

        def step(rest: tuple[Array, ...], inputs: Any) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
            slopes, offsets, reset = inputs
            before = restart(reset, tuple(initial[1:]), rest)
            return tuple(a * c + b for a, c, b in zip(slopes, before, offsets, strict=True)), before

    else:
        inputs = (gates_x, gates_h, before_h, mask, reset)

        def step(rest: tuple[Array, ...], inputs: Any) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
            gates_x, gates_h, before_h, mask, reset = inputs
            before = restart(reset, tuple(initial[1:]), rest)
            after = cell.pointwise(gates_x, gates_h, start._make((before_h, *before)))
            return select(mask, tuple(after[1:]), rest), before

    _, rest_before = lax.scan(step, tuple(start[1:]), inputs, reverse=reverse)
    return start._make((before_h, *rest_before))


def _affine(part: Part, values: dict[Value, Array]) -> bool:
    """Whether a part is a c + b of its own past, with a and b known once h is."""
    own = ("before", part.place)
    unknown = {value for value in part.reads if value[0] == "after" or (value[0] == "before" and value[1] > 0)}
    return unknown == {own} and part.affine_in(own, values)


def _restart_all(reset: Array | None, initial: Array, before: Array) -> Array:
    """`restart` for every step of a segment: before [K, B, H], initial [B, H]."""
    return restart(reset, jnp.broadcast_to(initial, before.shape), before)


def _shift(hs: Array, start: Array, reverse: bool) -> Array:
    """What stood before each step: hs [K, B, H] moved by one in the direction of processing, `start [B, H]` first."""
    pieces = [hs[1:], start[None]] if reverse else [start[None], hs[:-1]]
    return jnp.concatenate(pieces)


def _through(order: list[int], blocks: list[Blocks], dcarry: Carry) -> Carry:
    """The cotangent of the carry, with what each part passes on to those that it read."""
    total = list(dcarry)
    for j in reversed(order):
        for i, block in enumerate(blocks[j].after):
            if block is not None:
                total[i] = total[i] + block * total[j]
    return dcarry._make(total)


def _weigh(column: Sequence[Array | None], dcarry: Carry) -> Array:
    """sum_j column[j] * dcarry[j]."""
    terms = [block * part for block, part in zip(column, dcarry, strict=True) if block is not None]
    return functools.reduce(operator.add, terms) if terms else jnp.zeros_like(dcarry[0])
