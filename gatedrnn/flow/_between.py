"""A cotangent on its way back through the cells of a network, and through what lies between them.

What lies between cells, such as a merge or a norm, sees one step of one row; so its transpose, which is linear, takes a
power of two for each step and row along.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence
from gatedrnn._visit import visit
from gatedrnn.flow._backward import Ran, Traced, backward, ran
from gatedrnn.flow._order import turned
from gatedrnn.flow._scaled import Scaled, align
from gatedrnn.linear import accumulation_dtype


class Between(NamedTuple):
    """What lies between the cells of a network, transposed; all in the order of time.

    Attributes:
        direct: what the loss sends to the outputs of every cell, [T, B, H] each, not by way of other cells.
        inputs: what it sends to the network's inputs so, [T, B, D].
        onward: `(i, dL/d what the cell i has read)` -> what of it reaches the outputs of every cell, and the inputs.
    """

    direct: list[Scaled]
    inputs: Scaled
    onward: Callable[[int, Scaled], tuple[list[Scaled], Scaled]]


def through_cells(
    cell: Cell,
    outputs: Outputs,
    params: Any,
    sequence: Sequence,
    dys: Array | None,
    dcarry: Carry,
    inputs: bool = False,
    kept: int = 0,
) -> tuple[list[Ran], list[Traced], Scaled | None]:
    """The backward passes of all cells, each after those that read it.

    Args:
        cell: what is run.
        outputs: what the loss reads.
        params: the weights.
        sequence: over what.
        dys: dL/d what `outputs` gives, or None.
        dcarry: dL/dcarry_T.
        inputs: whether dL/dxs is wanted.
        kept: as in `backward`.

    Returns:
        The cells as they were run, what was traced of each, and dL/dxs in the order of time, or None.
    """
    found, _ = visit(cell, params, sequence, outputs, ran)
    runs: list[Ran] = jax.tree.leaves(found)
    parts = dealt(dcarry, runs)
    between = between_cells(cell, outputs, params, sequence, dys, runs)
    arriving: list[Scaled | None] = [*between.direct] if dys is not None or len(runs) > 1 else [None]
    traced: list[Traced] = []  # of the cells from the i-th on
    total = None if cell.network is None else between.inputs  # a single cell shows no input by another way
    for i in reversed(range(len(runs))):
        run = runs[i]
        reads = inputs or i > 0
        traced.insert(0, backward(run, turned(run.reverse, arriving[i]), parts[i], cell.factored, reads, kept))
        if traced[0].read is not None:
            passed, reached = between.onward(i, turned(run.reverse, traced[0].read))
            arriving = [summed(one, other) for one, other in zip(arriving[:i], passed, strict=False)]
            total = summed(total, reached)
    return runs, traced, total if inputs else None


def dealt(dcarry: Carry, runs: list[Ran]) -> list[Carry]:
    """The part of every cell's carry in the network's."""
    leaves: Iterator[Array] = iter(jax.tree.leaves(dcarry))
    return [jax.tree.map(lambda _: next(leaves), run.sequence.carry) for run in runs]


def between_cells(
    cell: Cell,
    outputs: Outputs,
    params: Any,
    sequence: Sequence,
    dys: Array | None,
    runs: list[Ran],
    apart: bool = False,
) -> Between:
    """What lies between the cells that were run; `apart` as in `visit`."""

    def between(given: list[Array], xs: Array) -> tuple[list[Array], Array]:
        """The outputs of every cell, and the inputs -> what every cell reads, and what is shown."""
        each = iter(given)
        steps = replace(sequence, xs=xs)
        read, part = visit(cell, params, steps, outputs, lambda _cell, _params, steps: (steps.xs, next(each)), apart)
        return jax.tree.leaves(read), outputs.value(part)

    (xs, shown), pull = jax.vjp(between, [run.ys for run in runs], sequence.xs)
    nothing, unread = [jnp.zeros_like(x) for x in xs], jnp.zeros_like(shown)
    direct, inputs = pull((nothing, unread if dys is None else dys))
    if len(runs) > 1:  # most of it is zero: XLA would take seconds to fold long arrays of zeros
        direct, inputs = lax.optimization_barrier((direct, inputs))
    plain = jnp.zeros(sequence.xs.shape[:2], jnp.int32)
    wide = lambda a: a.astype(accumulation_dtype(a.dtype))  # inputs may have 16 bits, in which no mantissa is kept

    def onward(i: int, read: Scaled) -> tuple[list[Scaled], Scaled]:
        passed, reached = pull(([*nothing[:i], read.mantissa.astype(xs[i].dtype), *nothing[i + 1 :]], unread))
        return [Scaled(each, read.exponent) for each in passed], Scaled(wide(reached), read.exponent)

    return Between([Scaled(each, plain) for each in direct], Scaled(wide(inputs), plain), onward)


def summed(one: Scaled | None, other: Scaled) -> Scaled:
    """Of cotangents with an exponent for every step, [T, B, ...] and [T, B]."""
    if one is None:
        return other
    one, other = jax.vmap(align)(one, other)
    return Scaled(one.mantissa + other.mantissa, one.exponent)


def together(norms: list[Array]) -> Array:
    """log10 of the norm of all cells, [T + 1, B], of each one's norms [T + 1, parts + 1, B], the last of its whole."""
    rows = [each[:, -1] for each in norms]
    if len(rows) == 1:
        return rows[0]
    top = functools.reduce(jnp.maximum, rows)
    base = jnp.where(jnp.isneginf(top), 0, top)
    return base + jnp.log10(functools.reduce(jnp.add, [10 ** (2 * (row - base)) for row in rows])) / 2


def named_parts(carry: Carry) -> list[str]:
    """The places of a carry's parts, such as `h` or `1.forward.h`."""
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree.leaves_with_path(carry)]


def by_part(norms: dict[str, Array], carry: Carry) -> dict[str, Array]:
    """The same in the order of the carry, its `state` last: a compiled program gives back what has names sorted."""
    return {name: norms[name] for name in (*named_parts(carry), "state") if name in norms}
