"""What the layers for flax's two APIs share: flax's cells, run by `unroll`, its carries and its dtypes.

flax's carry is h, the LSTM's (c, h)
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax.nnx.nn import dtypes
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import fail, shown
from gatedrnn._forms import Params
from gatedrnn._method import Method
from gatedrnn.cells import gru, lstm, rnn
from gatedrnn.modules._edge import Layout, run


def run_flax(
    cell: Cell,
    params: Params,
    inputs: Any,
    carry: Any,
    layout: Layout,
    *,
    dtype: Any,
    method: Method,
    seq_lengths: Any,
    reverse: bool,
    keep_order: bool,
) -> tuple[Any, Array]:
    """A cell over inputs in flax's layout, from and to flax's carry.

    Args:
        cell: `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`.
        params: its weights.
        inputs: [*batch, T, D] or [T, *batch, D], any numbers.
        carry: flax's, [*batch, H] each; it keeps its dtypes, as it must in flax's scan.
        layout: that of the inputs.
        dtype: in which flax computes; None for what inputs and weights have in common.
        method: as in `unroll`.
        seq_lengths: whole numbers [*batch], or None.
        reverse: as in flax.
        keep_order: as in flax.
    """
    leaves = jax.tree.leaves(params)
    dtype = dtypes.canonicalize_dtype(inputs, *leaves, dtype=dtype)
    params, inputs = jax.tree.map(lambda a: a.astype(dtype), (params, jnp.asarray(inputs)))
    end, ys = run(
        cell,
        params,
        inputs,
        _ours(cell, carry),
        layout,
        method=method,
        seq_lengths=seq_lengths,
        reverse=reverse,
        keep_order=keep_order,
    )
    first = jax.tree.leaves(carry)
    end = jax.tree.map(lambda a, b: a.astype(jnp.asarray(b).dtype), _theirs(cell, end), carry)
    return end, ys.astype(jnp.promote_types(dtype, jnp.asarray(first[-1]).dtype))


def _ours(cell: Cell, carry: Any) -> Any:
    """flax's carry as the house's, h first."""
    if cell == lstm.cell:
        if not isinstance(carry, tuple | list) or len(carry) != 2:
            raise fail("initial_carry", "(c, h), as the cell's `initialize_carry` gives it", shown(carry))
        return lstm.LSTMState(h=carry[1], c=carry[0])
    if not jax.tree_util.all_leaves([carry]):
        raise fail("initial_carry", "one array, as the cell's `initialize_carry` gives it", shown(carry))
    return (gru.GRUState if cell == gru.cell else rnn.RNNState)(h=carry)


def _theirs(cell: Cell, carry: Any) -> Any:
    return (carry.c, carry.h) if cell == lstm.cell else carry.h
