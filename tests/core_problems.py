"""What several files of tests/core must have at import: they are parametrised by it, or it is traced as a value.

Sizes, a foreign cell, orders of differentiation and functions of readouts; everything else is a fixture of theirs.
"""

import jax
import jax.numpy as jnp

import gatedrnn as gr

T, B, D, H = 11, 3, 3, 4
LENGTH = T * (D + H)  # additions behind the last output
FOREIGN = gr.Cell.from_step("lstm", gr.lstm.step, init=gr.lstm.init, initial_carry=gr.lstm.initial_carry)
ORDERS = {  # a scalar function and its argument, differentiated otherwise than once in reverse
    "jvp": lambda f, x: jax.jvp(f, (x,), (x,)),
    "jacfwd": lambda f, x: jax.jacfwd(f)(x),
    "linearize": lambda f, x: jax.linearize(f, x)[1](x),
    "grad of grad": lambda f, x: jax.grad(lambda x: jnp.vdot(jax.grad(f)(x), x))(x),
    "jvp of grad": lambda f, x: jax.jvp(jax.grad(f), (x,), (x,)),
    "hessian": lambda f, x: jax.hessian(f)(x),
}


def losses(weights, ys, targets):
    """A pytree of [K, B] and [K, B, 2]; the other shapes of `ys` may be anything."""
    read = ys @ weights["w"] + jnp.broadcast_to(weights["b"], (*ys.shape[:-1], 2))
    return {"squares": jnp.square(read - targets["pair"]), "product": (read[..., 0] * targets["one"],)}


def error(weights, ys, targets):
    """Squares, NaN where a target is."""
    return jnp.square((ys @ weights)[..., 0] - targets)


def late(weights, ys, targets):
    """Squares of the outputs where a target is True."""
    return jnp.square(jnp.where(targets[..., None], ys @ weights, 0)).sum(-1)
