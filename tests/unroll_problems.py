"""What the tests of `unroll` share: problems and their gradients, a foreign cell, a spy, and higher orders."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

import gatedrnn as gr
from gatedrnn._contract import check_fit, check_laws

T, B, D, H = 11, 3, 3, 4
LENGTH = T * (D + H)  # additions behind the last output
FOREIGN = gr.Cell.from_step("lstm", gr.lstm.step, init=gr.lstm.init, initial_carry=gr.lstm.initial_carry)

each_cell = pytest.mark.parametrize("cell", [gr.rnn, gr.gru, gr.lstm], ids=lambda cell: cell.name)


class Problem(NamedTuple):
    """What `unroll` takes, and cotangents of what it returns."""

    params: gr.Params
    xs: np.ndarray  # [T, B, D]
    carry: tuple  # [B, H] each
    flags: dict  # mask and reset, [T, B]
    cotangents: tuple  # of the carry, [B, H] each, and of ys, [T, B, H]


def problem(cell, dtype="float32", T=T, B=B, D=D, H=H, seed=0):
    """Random numbers; row 1 is padded, row 2 empty, and resets stand at the first step and at masked ones.

    The carry and the cotangents of a 16-bit problem are float32.
    """
    rng = np.random.default_rng(seed)
    mask, reset = rng.random((T, B)) < 0.8, rng.random((T, B)) < 0.3
    mask[T // 2 :, 1:2], mask[:, 2:3], reset[:1, :1] = False, False, True
    flags = {"mask": jnp.asarray(mask), "reset": jnp.asarray(reset)}
    with jax.enable_x64(dtype == "float64"):
        narrow, wide = (functools.partial(jnp.asarray, dtype=d) for d in (dtype, max(dtype, "float32", key=width)))
        params = jax.tree.map(narrow, gr.Params(*reference.weights(cell.name, D, H, rng)))
        state = lambda: jax.tree.map(lambda a: wide(rng.normal(size=a.shape)), cell.initial_carry(params, B))
        cotangents = state(), wide(rng.normal(size=(T, B, H)))
        return Problem(params, narrow(rng.normal(size=(T, B, D))), state(), flags, cotangents)


def width(dtype):
    """Bytes of a number."""
    return jnp.dtype(dtype).itemsize


@functools.partial(jax.jit, static_argnames="reverse")
def gradient(cell, method, params, xs, carry, flags, weights, reverse):
    """Outputs where `weights [T, B, H]` are not zero, the last carry, and the gradients of their weighted sum."""

    def loss(params, xs, carry):
        end, ys = gr.unroll(cell, params, xs, carry, **flags, reverse=reverse, method=method)
        ys = jnp.where(weights != 0, ys, 0)
        return sum(map(jnp.sum, end)) + jnp.sum(weights * ys), (end, ys)

    return jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(params, xs, carry)


def spied(cell):
    """The cell, its laws proved already, and the list of the shapes of h at which its `recur` is traced."""
    shapes = []

    def recur(params, h):
        shapes.append(h.shape)
        return cell.recur(params, h)

    spy, params, xs = dataclasses.replace(cell, recur=recur), problem(cell).params, jnp.ones((1, D))
    check_fit(spy, params, xs)
    check_laws(spy, params, xs)
    shapes.clear()
    return spy, shapes


ORDERS = {  # a scalar function and its argument, differentiated as Segmented does not allow
    "jvp": lambda f, x: jax.jvp(f, (x,), (x,)),
    "jacfwd": lambda f, x: jax.jacfwd(f)(x),
    "linearize": lambda f, x: jax.linearize(f, x)[1](x),
    "grad of grad": lambda f, x: jax.grad(lambda x: jnp.vdot(jax.grad(f)(x), x))(x),
    "jvp of grad": lambda f, x: jax.jvp(jax.grad(f), (x,), (x,)),
    "hessian": lambda f, x: jax.hessian(f)(x),
}
