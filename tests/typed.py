"""What a type checker knows of a user's program; nothing here runs."""

from typing import Any, assert_type

import jax
import jax.numpy as jnp

import gatedrnn as gr

assert_type(gr.lstm, gr.Cell[gr.LSTMState, gr.Params])
assert_type(gr.cells.lem.with_dt(0.5), gr.Cell[gr.LEMState, gr.Params])
params = gr.gru.init(jax.random.key(0), 1, 2)
assert_type(params, gr.Params)
carry, ys = gr.unroll(gr.gru, params, jnp.ones((3, 1, 1)))
assert_type(carry, gr.GRUState)
assert_type(carry.h, jax.Array)
carry, y = gr.gru.step(params, carry, jnp.ones((1, 1)))
assert_type((carry, y), tuple[gr.GRUState, jax.Array])


def decay(a: jax.Array, carry: gr.RNNState, x: jax.Array) -> tuple[gr.RNNState, jax.Array]:
    """A step of one's own."""
    h = a * carry.h + x
    return gr.RNNState(h), h


def ones(key: jax.Array, input_size: int, hidden_size: int) -> jax.Array:
    """Its weights."""
    return jnp.ones(hidden_size)


def begin(a: jax.Array, batch_size: int | None = None) -> gr.RNNState:
    """Its first carry."""
    return gr.RNNState(gr.linear.zeros(a.size, a.dtype, batch_size))


own = gr.Cell.from_step("decay", decay, init=ones, initial_carry=begin)
assert_type(own, gr.Cell[gr.RNNState, jax.Array])
any_cell: gr.Cell = own
assert_type(any_cell, gr.Cell[Any, Any])
