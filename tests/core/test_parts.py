"""`pointwise` taken apart: what each part of the carry reads, and gradients of cells built in unusual ways."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn._pointwise import take_apart, values_of
from gatedrnn.initializers import gate_weights, gaussian, orthogonal
from gatedrnn.linear import affine, product, split, zeros

B, D, H, T = 3, 2, 4, 11


class Two(NamedTuple):
    """An output and a memory."""

    h: jax.Array
    c: jax.Array


class Three(NamedTuple):
    """An output and two memories, one behind the other."""

    h: jax.Array
    c: jax.Array
    d: jax.Array


def cell_of(name, carry, pointwise, gates=2):
    """A cell around `pointwise`, all else as usual."""

    def init(key, input_size, hidden_size):
        return gate_weights(
            key, gates, input_size, hidden_size, input_init=gaussian(), recurrent_init=orthogonal(), dtype=jnp.float32
        )

    return gr.Cell(
        name,
        tuple("abcd"[:gates]),
        init,
        lambda params, batch_size=None: carry(
            *(zeros(params.recurrent["w"].shape[0], jnp.float32, batch_size) for _ in carry._fields)
        ),
        lambda params, xs: affine(params, xs, gates),
        lambda params, h: split(product(h, params["w"]), gates),
        pointwise,
    )


def chain(x, h, before):
    """d' reads c', h' reads d' and c'."""
    c = jax.nn.sigmoid(x[0] + h[0]) * before.c + jnp.tanh(x[1] + h[1])
    d = 0.5 * before.d + jnp.sin(c)
    return Three(jnp.tanh(d) * c, c, d)


def twisted(x, h, before):
    """The memories trade places: neither is affine in its own past alone."""
    a = jax.nn.sigmoid(x[0] + h[0])
    return Three(jnp.tanh(before.c + before.d), a * before.d, jnp.sin(before.c) + x[1] * h[1])


def squashed(x, h, before):
    """Not affine in c."""
    c = jnp.tanh(jax.nn.sigmoid(x[0] + h[0]) * before.c + x[1])
    return Two(c * h[1], c)


def spike(x, h, before):
    """Affine but for a threshold, whose derivative is zero."""
    c = jax.nn.sigmoid(x[0] + h[0]) * before.c + x[1] - (before.c > 0.2).astype(jnp.float32)
    return Two(jnp.tanh(c) + h[1], c)


def wrap(x, h, before):
    """A phase."""
    c = jnp.mod(before.c + x[0] + h[0], 1.0)
    return Two(jnp.sin(c) * h[1] + x[1], c)


def straight_through(x, h, before):
    """Rounded forward, the identity back."""
    kept = before.c + jax.lax.stop_gradient(jnp.round(before.c) - before.c)
    c = jax.nn.sigmoid(x[0] + h[0]) * kept + x[1]
    return Two(jnp.tanh(c) + h[1], c)


def chosen(x, h, before):
    """Affine: a quotient, a difference, a choice by a gate."""
    c = jax.lax.select(x[0] > 0, before.c - h[0], -before.c) / (1.5 + jnp.tanh(x[1] + h[1]))
    return Two(jnp.tanh(c), c)


def passing(x, h, before):
    """One memory stays as it is, one is constant, and the output forgets."""
    return Three(jnp.tanh(x[0] + h[0]) + before.c + before.d + x[1] + h[1], before.c, jnp.ones_like(before.d))


def twin(x, h, before):
    """The output is the memory."""
    c = jax.nn.sigmoid(x[0] + h[0]) * before.c + jnp.tanh(x[1] + h[1])
    return Two(c, c)


@jax.jit
def closed(x, h, before):
    """All in one equation: nothing can be taken apart."""
    c = jax.nn.sigmoid(x[0] + h[0]) * before.c + jnp.tanh(x[1] + h[1])
    return Two(jnp.tanh(c), c)


def captured(x, h, before):
    """An array from outside."""
    slope = jnp.broadcast_to(jnp.asarray(np.linspace(0, 1, H), jnp.float32), before.c.shape)
    c = slope * before.c + jax.nn.relu(x[0] + h[0])
    return Two(jnp.tanh(c) * (x[1] + h[1]), c)


CELLS = {
    pointwise.__name__: cell_of(pointwise.__name__, carry, pointwise)
    for pointwise, carry in (
        (chain, Three),
        (twisted, Three),
        (squashed, Two),
        (passing, Three),
        (twin, Two),
        (closed, Two),
        (captured, Two),
        (spike, Two),
        (wrap, Two),
        (straight_through, Two),
        (chosen, Two),
    )
}


def parts_of(cell):
    """The parts of a cell, and a carry of the same shapes."""
    gates, like = len(cell.gates), jnp.ones((T, B, H))
    carry = jax.tree.map(lambda _: like, cell.initial_carry(cell.init(jax.random.key(0), D, H), B))
    return take_apart(cell, values_of((like,) * gates, (like,) * gates, carry, ()), carry, ()), carry


def both(*gates):
    """Both halves of some gates."""
    return {(kind, gate) for kind in "xh" for gate in gates}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (gr.rnn, {0: both(0)}),
        (gr.gru, {0: {*both(0, 1, 2), ("before", 0)}}),
        (gr.lstm, {0: {*both(3), ("after", 1)}, 1: {*both(0, 1, 2), ("before", 1)}}),
        (
            CELLS["chain"],
            {0: {("after", 1), ("after", 2)}, 1: {*both(0, 1), ("before", 1)}, 2: {("before", 2), ("after", 1)}},
        ),
        (CELLS["passing"], {0: {*both(0, 1), ("before", 1), ("before", 2)}, 1: {("before", 1)}, 2: set()}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_a_part_reads(cell, expected):
    """As the equations say, and every part after those that it reads."""
    parts, _ = parts_of(cell)
    assert {part.place: set(part.reads) for part in parts} == expected
    for i, part in enumerate(parts):
        assert {at for kind, at in part.reads if kind == "after"} <= {earlier.place for earlier in parts[:i]}


AFFINE = {"lstm", "chain", "passing", "twin", "captured", "chosen"}


@pytest.mark.parametrize("cell", [gr.lstm, *CELLS.values()], ids=lambda cell: cell.name)
def test_affine_in_its_past(cell):
    """c' = a c + b is seen; a tanh or a threshold of c, or what hides in one equation, is not."""
    parts, carry = parts_of(cell)
    values = {(kind, i): carry.h for kind in ("x", "h", "before", "after") for i in range(4)}
    (part,) = (part for part in parts if part.place == 1)
    own = ("before", 1)
    assert (own in part.reads and part.affine_in(own, values)) == (cell.name in AFFINE)


@pytest.mark.thinned(9)
@pytest.mark.parametrize("flags", ["", "mask", "reset", "mask reset"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=lambda cell: cell.name)
def test_gradients_equal_those_of_jax(cell, flags):
    """Weights, inputs and first carry, both directions, with a cotangent in every part of the last carry."""
    key = jax.random.key(1)
    params = cell.init(key, D, H)
    xs = jax.random.normal(key, (T, B, D))
    carry = jax.tree.map(lambda a: a + 0.3, cell.initial_carry(params, B))
    options = {name: jax.random.bernoulli(jax.random.key(len(name)), 0.7, (T, B)) for name in flags.split()}

    def loss(method, reverse, *arguments):
        last, ys = gr.unroll(cell, *arguments, method=method, reverse=reverse, **options)
        return jnp.sum(jnp.sin(ys)) + sum(jnp.sum(jnp.cos(part + i)) for i, part in enumerate(last))

    @jax.jit
    def gradients(*arguments):
        of = lambda method, reverse: jax.grad(loss, argnums=(2, 3, 4))(method, reverse, *arguments)
        return [[of(method, reverse) for reverse in (False, True)] for method in (gr.Segmented(4), gr.Autodiff())]

    for got, want in zip(*gradients(params, xs, carry), strict=True):
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * max(1.0, float(jnp.abs(b).max())))
