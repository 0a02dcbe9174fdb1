"""A first carry that is learned like any weight."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import fail, shown
from gatedrnn._forms import Carry, Params
from gatedrnn.linear import accumulation_dtype
from gatedrnn.networks._layers import check_layer


@dataclass(frozen=True)
class _Init:
    """The cell's own weights, and its own first carry to begin with."""

    cell: Cell

    def __call__(self, key: Array, input_size: int, hidden_size: int, **options: Any) -> Params:
        params = self.cell.init(key, input_size, hidden_size, **options)
        if not isinstance(params, Params):
            raise fail(
                "cell", "one whose weights are gatedrnn.Params", f"{self.cell.name!r}, of {type(params).__name__}"
            )
        dtype = jax.tree.leaves(params)[0].dtype
        return params._replace(initial=jax.tree.map(lambda a: a.astype(dtype), self.cell.initial_carry(params)))


def _initial_carry(params: Params, batch_size: int | None = None) -> Carry:
    """`params.initial`, [H] each, in every row: [B, H]."""
    rows = () if batch_size is None else (batch_size,)
    if not jax.tree.leaves(params.initial):
        raise fail("params.initial", "the learned first carry, as `init` draws it", "none")
    wide = jax.tree.map(lambda a: a.astype(accumulation_dtype(a.dtype)), params.initial)
    return jax.tree.map(lambda a: jnp.broadcast_to(a, (*rows, *a.shape)), wide)


def learned_carry(cell: Cell) -> Cell:
    """The cell with a first carry of its own, a weight like others: `params.initial`, [H] for each part of the carry.

    Sequences begin from it where `unroll` is given no carry, and so does every step that `reset` marks; gradients reach
    it from both. It begins as the cell's own, zeros.

    Args:
        cell: one whose weights are `gr.Params`; of a stack, each of its layers.

    Raises:
        ValueError: `cell` is no cell, or a network; from `init`, the cell's weights are not `Params`.

    Example:
        >>> import jax, gatedrnn as gr
        >>> cell = gr.learned_carry(gr.gru)
        >>> params = cell.init(jax.random.key(0), 3, 8)
        >>> gradient = jax.grad(lambda p: gr.unroll(cell, p, jax.numpy.ones((5, 2, 3)))[1].sum())(params)
        >>> gradient.initial.h.shape
        (8,)
    """
    cell = check_layer("cell", cell)
    if cell.network is not None:
        raise fail("cell", "a single cell: of a network, give each of its cells a learned carry", shown(cell.name))
    training = None if cell.training is None else learned_carry(cell.training)
    initial: Callable[..., Carry] = _initial_carry
    return replace(cell, name=f"learned_carry({cell.name})", init=_Init(cell), initial_carry=initial, training=training)
