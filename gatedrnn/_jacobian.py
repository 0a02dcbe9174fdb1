"""The Jacobian of a step, for a whole segment at once: diagonal blocks of `pointwise`, and U of `recur`.

    J_t = diag(before_t) + sum_g diag(gate_t[g]) U_g^T
    block[j][value] = d part_j / d value, [K, B, H]      for every part j of the carry and every value that it reads

B is absent where one sequence runs without a batch axis.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._elementwise import mixing
from gatedrnn._forms import Carry, Gates, Params, PerHead
from gatedrnn._jax import matrix_met, scan
from gatedrnn._pointwise import Part, Value
from gatedrnn._step import restart, select


class Blocks(NamedTuple):
    """Diagonal derivative of one carry part after a step by everything that it reads; None for what it does not.

    Attributes:
        gates: by the recurrent half of every gate, G arrays [K, B, H].
        before: by the parts of the carry before the step.
        after: by the other parts after it.
        apart: by the input's half of those gates whose two halves do not enter as a sum (where they do, transposition
            gives both one and the same array), and by what `project` gives beyond the gates.
        unit: by every leaf of `params.unit`.
    """

    gates: tuple[Array | None, ...]
    before: tuple[Array | None, ...]
    after: tuple[Array | None, ...]
    apart: dict[int, Array | None]
    unit: tuple[Array | None, ...]


def jacobian_blocks(parts: list[Part], values: dict[Value, Array], mask: Array | None) -> list[Blocks]:
    """The diagonal blocks of `pointwise`, one `Blocks` per part of the carry; a masked step is the identity.

    Args:
        parts: as `take_apart` gives them.
        values: what they read, [K, B, H] each, as `values_of` gives them.
        mask: bool [K, B], or None.
    """
    values = dict(values)
    by_part: dict[int, dict[Value, Array]] = {}
    for part in parts:
        values["after", part.place], by_part[part.place] = part.pull(values)
    gates, places, units = (range(sum(kind == name for kind, _ in values)) for name in ("h", "before", "unit"))
    found = [by_part[j] for j in places]
    inputs = range(sum(kind == "x" for kind, _ in values))
    untied = [g for g in inputs if any(block.get(("x", g)) is not block.get(("h", g)) for block in found)]
    untied += [g for g in inputs[len(gates) :] if g not in untied]
    blocks = []
    for j, block in enumerate(found):
        if mask is not None:
            block.setdefault(("before", j), jnp.zeros_like(values["before", 0]))  # but the identity where masked
        blocks.append(
            Blocks(
                tuple(_held(mask, block.get(("h", g)), 0) for g in gates),
                tuple(_held(mask, block.get(("before", i)), i == j) for i in places),
                tuple(_held(mask, block.get(("after", i)), 0) for i in places),
                {g: _held(mask, block.get(("x", g)), 0) for g in untied},
                tuple(_held(mask, block.get(("unit", i)), 0) for i in units),
            )
        )
    return blocks


def _held(mask: Array | None, block: Array | None, value: float) -> Array | None:
    return block if mask is None or block is None else jnp.where(mask[..., None], block, jnp.full_like(block, value))


def kept(cell: Cell, gates_x: Gates, gates_h: Gates, carry: Carry, unit: tuple[Any, ...]) -> Array:
    """d after / d before of the carry's last part, its memory, with the gates' halves held fixed: [..., H].

    The forget gate f of the LSTM, the update gate z of the GRU, 0 for the Elman network.
    """
    after, pull = jax.vjp(lambda carry: cell.pointwise(gates_x, gates_h, carry, *unit), carry)
    seed = after._make([*map(jnp.zeros_like, after[:-1]), jnp.ones_like(after[-1])])
    return pull(seed)[0][-1]


def replay(
    cell: Cell,
    parts: list[Part],
    values: dict[Value, Array],
    start: Carry,
    initial: Carry,
    unit: tuple[Any, ...],
    mask: Array | None,
    reset: Array | None,
    reverse: bool,
) -> dict[Value, Array]:
    """`values` with the carry before each step of a segment, [K, B, H] each, of which only h is known.

    The rest is an elementwise scan. A part that is affine in its own past, c' = a c + b, has its a and b for the whole
    segment at once.
    """
    if len(start) == 1:
        return values
    counts = [sum(kind == name for kind, _ in values) for name in "xh"]
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
        pairs = zip("xh", counts, strict=True)
        halves = [tuple(values[kind, gate] for gate in range(count)) for kind, count in pairs]
        inputs = (*halves, values["before", 0], mask, reset)

        def step(rest: tuple[Array, ...], inputs: Any) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
            gates_x, gates_h, before_h, mask, reset = inputs
            before = restart(reset, tuple(initial[1:]), rest)
            here = jax.tree.map(lambda a: a[0], unit)  # spread along the segment, where every step has the same
            after = cell.pointwise(gates_x, gates_h, start._make((before_h, *before)), *here)
            return select(mask, tuple(after[1:]), rest), before

    _, rest_before = scan(step, tuple(start[1:]), inputs, reverse=reverse)
    return values | {("before", i + 1): part for i, part in enumerate(rest_before)}


def _affine(part: Part, values: dict[Value, Array]) -> bool:
    """Whether a part is a c + b of its own past, with a and b known once h is."""
    own = ("before", part.place)
    unknown = {value for value in part.reads if value[0] == "after" or (value[0] == "before" and value[1] > 0)}
    return unknown == {own} and part.affine_in(own, values)


def through(order: list[int], blocks: list[Blocks], dcarry: Carry) -> Carry:
    """The cotangent of the carry, with what each part passes on to those that it read."""
    total = list(dcarry)
    for j in reversed(order):
        for i, block in enumerate(blocks[j].after):
            if block is not None:
                total[i] = total[i] + block * total[j]
    return dcarry._make(total)


def gate_cotangents(blocks: list[Blocks], dcarry: Carry) -> list[Array]:
    """That of the recurrent half of every gate, from the carry's after the step: G arrays, shaped as its parts."""
    return [weigh(column, dcarry) for column in zip(*(block.gates for block in blocks), strict=True)]


def weigh(column: Sequence[Array | None], dcarry: Carry) -> Array:
    """sum_j column[j] * dcarry[j]."""
    terms = [block * part for block, part in zip(column, dcarry, strict=True) if block is not None]
    return functools.reduce(operator.add, terms) if terms else jnp.zeros_like(dcarry[0])


class Recurrence(NamedTuple):
    """The linear part of `recur`, as data.

    Attributes:
        u: one array per gate: dense, [H, H], as in h U; diagonal, [H]; block-diagonal, [N, H / N, H / N].
        laid_out: U^T of all gates in one array, [G * H, H], where U is dense.
    """

    u: tuple[Array, ...]
    laid_out: Array | None

    @property
    def kind(self) -> str:
        """`diagonal`, `dense` or `block-diagonal`."""
        return {1: "diagonal", 2: "dense", 3: "block-diagonal"}[self.u[0].ndim]

    def transposed(self, dgates: Sequence[Array]) -> Array:
        """dgates U^T: G arrays [..., H] -> [..., H]."""
        if self.laid_out is not None:
            return jnp.concatenate(dgates, axis=-1) @ self.laid_out
        if self.kind == "diagonal":
            return functools.reduce(
                operator.add, (d * jnp.broadcast_to(u, d.shape) for d, u in zip(dgates, self.u, strict=True))
            )
        heads = self.u[0].shape[0]
        apart = [d.reshape(*d.shape[:-1], heads, d.shape[-1] // heads) for d in dgates]
        terms = [jnp.einsum("...nj,nij->...ni", d, u) for d, u in zip(apart, self.u, strict=True)]
        return functools.reduce(operator.add, terms).reshape(dgates[0].shape)


def recurrence(cell: Cell, params: Params, h: Array) -> Recurrence:
    """U of a cell whose `recur` is affine, with its kind, for methods that build on it.

    Diagonal where every equation of `recur` is elementwise in h, block-diagonal where it is a `PerHead`; else dense.
    The entries are the exact tangents along unit vectors (of every head at once; along ones, where U is diagonal).

    Args:
        cell: in three-function form.
        params: its weights.
        h: [..., H], of which only the width and the dtype matter.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.lstm.init(jax.random.key(0), 8, 16)
        >>> found = gr.recurrence(gr.lstm, params, gr.lstm.initial_carry(params).h)
        >>> found.kind, len(found.u), found.u[0].shape
        ('dense', 4, (16, 16))
    """
    width = h.shape[-1]
    row = jnp.zeros_like(h, shape=(width,))
    closed = jax.make_jaxpr(lambda h: cell.recur(params.recurrent, h))(row)
    if mixing(closed.jaxpr, closed.jaxpr.invars) is None:
        return Recurrence(_tangents(cell, params, jnp.ones_like(row)), None)
    if cell.block_diagonal:
        heads = PerHead.heads(params.recurrent)
        size = width // heads
        unit = jnp.tile(jnp.eye(size, dtype=h.dtype), (1, heads))  # [H / N, H]
        rows = _tangents(cell, params, unit)  # G x [H / N, H]
        return Recurrence(tuple(a.reshape(size, heads, size).transpose(1, 0, 2) for a in rows), None)
    met = matrix_met(closed)
    if met is None:  # a CPU has no product of U^T in bfloat16, which XLA would make of this one and its transpose
        u = lax.optimization_barrier(_tangents(cell, params, jnp.eye(width, dtype=h.dtype)))
    else:
        u = _of_rows(*met)
    return Recurrence(u, jnp.concatenate([a.T for a in u]))


def _of_rows(matrix: Array, behind: Callable[..., list[Array]]) -> Gates:
    """The tangents along unit vectors, whose products with the matrix are its rows."""
    zero = jnp.zeros_like(matrix[0])
    return tuple(jax.vmap(lambda row: jax.jvp(behind, (zero,), (row,))[1])(matrix))


def _tangents(cell: Cell, params: Params, directions: Array) -> Gates:
    return jax.jvp(lambda h: cell.recur(params.recurrent, h), (jnp.zeros_like(directions),), (directions,))[1]
