"""Cells of one unit whose numbers can be followed by hand, and a plain training step of them."""

import jax
import jax.numpy as jnp

import gatedrnn as gr


def start(params, batch_size=None):
    """One unit, from 1."""
    return gr.RNNState(jnp.ones((1,) if batch_size is None else (batch_size, 1), params.dtype))


def own(name, function):
    """A cell of one unit, h' = function(a, h, x)."""

    def step(params, carry, x):
        h = function(jnp.broadcast_to(params, carry.h.shape), carry.h, x)
        return gr.RNNState(h), h

    return gr.Cell.from_step(name, step, init=None, initial_carry=start)


PRODUCT = own("product", lambda a, h, x: a * h * x)
ROOT = own("root", lambda a, h, x: 1 + jnp.sqrt(a * h * x))
ADDED = own("added", lambda a, h, x: 0.5 * h + jnp.sqrt(a * x))
A, XS = jnp.ones(1, "float32"), jnp.ones((6, 2, 1), "float32")


def descend(cell, loss=jnp.mean):
    """A plain step `(params, xs) -> (params, value)`, and its probe."""

    @jax.jit
    def step(params, xs):
        value, gradient = jax.value_and_grad(lambda p: loss(gr.unroll(cell, p, xs)[1]))(params)
        return jax.tree.map(lambda p, g: p - 0.01 * g, params, gradient), value

    return step, lambda params, xs: (cell, params, xs, loss)
