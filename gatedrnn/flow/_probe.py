"""The loss that is measured where none is given: one of gradient norm 1, which looks at the last output only."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry
from gatedrnn._sequence import Sequence
from gatedrnn._step import select


def default_probe(cell: Cell, params: Any, sequence: Sequence) -> tuple[Array | None, Carry]:
    """The default loss as `dys` and `dcarry`: gradient 1 in norm, the same on every unit of each row's last output."""
    nothing = jax.tree.map(jnp.zeros_like, sequence.carry)
    if cell.factored:  # h is the output, and masked steps hand it on: at the end it says the same without any `dys`
        return None, nothing._replace(h=unit_cotangent(nothing.h))
    y = output_of(cell, params, sequence)
    steps, batch = sequence.xs.shape[:2]
    mask = jnp.ones((steps, batch), bool) if sequence.mask is None else sequence.mask
    last = mask & (lax.cumsum(mask.astype(jnp.int32), reverse=True) == 1)  # [T, B]
    dys = jnp.broadcast_to(unit_cotangent(y)[None], (steps, *y.shape))
    return select(last, dys, jnp.zeros_like(dys)), nothing


def unit_cotangent(like: Any) -> Array:
    """Norm 1 in each row [B, ...], the same on every unit."""
    return jnp.full(like.shape, 1 / math.sqrt(max(math.prod(like.shape[1:]), 1)), like.dtype)


def output_of(cell: Cell, params: Any, sequence: Sequence) -> jax.ShapeDtypeStruct:
    """Shape and dtype of one step's output, [B, ...]."""
    x = jax.ShapeDtypeStruct(sequence.xs.shape[1:], sequence.xs.dtype)
    return jax.eval_shape(cell.step, params, sequence.carry, x)[1]
