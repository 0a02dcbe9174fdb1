"""What the tests of gr.flow.compare share: one comparison of four cells, its input, and cells of a constant factor."""

import functools

import jax
import jax.numpy as jnp
import pytest

import gatedrnn as gr

T, B, D, H, SEEDS = 50, 2, 3, 4, 3


def residual_init(key, input_size, hidden_size, dtype=jnp.float32):
    """Weights [D + H, H] of the foreign cell."""
    return jax.random.normal(key, (input_size + hidden_size, hidden_size), dtype) / 3


def residual_step(w, carry, x):
    """A foreign recurrence that keeps half of its state: h' = h / 2 + sin([x, h] W) / 2."""
    h = 0.5 * carry.h + 0.5 * jnp.sin(jnp.concatenate([x, carry.h], -1) @ w)
    return gr.RNNState(h), h


def zero_carry(w, batch_size=None):
    """A zero carry as wide as the weights' last axis."""
    shape = w.shape[-1:] if batch_size is None else (batch_size, w.shape[-1])
    return gr.RNNState(jnp.zeros(shape, w.dtype))


RESIDUAL = gr.Cell.from_step("residual", residual_step, init=residual_init, initial_carry=zero_carry)
HALF = gr.Cell.from_step(  # forgets by a constant factor; its weights are that factor
    "half",
    lambda a, carry, x: (gr.RNNState(a * carry.h), a * carry.h),
    init=lambda key, input_size, hidden_size: jnp.full(hidden_size, 0.5),
    initial_carry=zero_carry,
)
CELLS = {"rnn": gr.rnn, "gru": gr.gru, "lstm": gr.lstm, "residual": RESIDUAL}


def driven():
    """Noise [T, B, D], the same at each call."""
    return jax.random.normal(jax.random.key(7), (T, B, D))


@pytest.fixture(scope="module")
@functools.cache  # one for all modules that take it
def result():
    """Four cells, two inputs, two initialisations, three seeds."""
    return gr.flow.compare(list(CELLS.values()), driven(), hidden_size=H, seeds=SEEDS)
