"""The diagonal derivatives of `pointwise` for a whole segment, and what the loops do with them.

block[j][value] = d part_j / d value, [K, B, H]      for every part j of the carry and every value that it reads

B is absent where one sequence runs without a batch axis.
"""

import functools
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._cell import Carry, Cell, Gates
from gatedrnn._step import restart, select
from gatedrnn.methods._parts import Part, Value


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


def jacobian_blocks(
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


def replay(
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
