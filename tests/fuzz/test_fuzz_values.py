"""Values and gradients of random problems, and random cells whose laws may be broken.

Of the kinds of faults that were found from outside, these would have shown: laws of a cell that are trusted, so that a
gradient is silently wrong; masked steps that count in one place (`outputs="last"`); an empty batch that is a division
by zero; a mesh that refuses what fits; wide inputs or carries beside narrow weights; a method that takes what it should
refuse.
"""

import dataclasses
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from fuzz_settings import bounded
from hypothesis import strategies as st
from jax.sharding import Mesh
from stranger_cells import STRANGERS

import gatedrnn as gr

SHAPES = [(0, 2, 2, 2), (1, 0, 1, 2), (1, 1, 1, 2), (5, 1, 3, 4), (6, 3, 2, 4), (8, 2, 1, 2)]  # T, B, D, H
TOLERANCE = {"float64": 1e-10, "float32": 2e-4, "bfloat16": 8e-2}  # of the largest entry
CELLS = {**gr.cells.CLASSICS, **STRANGERS}

sigma = lambda a: 1 / (1 + np.exp(-a))


def columns(params, index=0):
    """The blocks of a stranger's dense weights: of the input, its biases, of the state."""
    w, b, u = params.input["w"], params.input["b"], params.recurrent["w"]
    gates = w.shape[1] // u.shape[0]
    return lambda x, h: [a + h @ c for a, c in zip(np.split(x @ w + b, gates), np.split(u, gates, 1), strict=True)]


def mgu(params):
    """h' = (1 - f) h + f tanh(x + f U h)."""
    w, b, u = params.input["w"], params.input["b"], np.split(params.recurrent["w"], 2, 1)

    def step(x, h):
        a, n = np.split(x @ w + b, 2)
        f = sigma(a + h @ u[0])
        return ((1 - f) * h + f * np.tanh(n + f * (h @ u[1])),), {}

    return step


def coupled(params):
    """c' = f c + (1 - f) g."""
    gates = columns(params)

    def step(x, h, c):
        f, g, o = gates(x, h)
        c = sigma(f) * c + (1 - sigma(f)) * np.tanh(g)
        return (sigma(o) * np.tanh(c), c), {}

    return step


def peephole(params):
    """Gates that see the cell state."""
    gates, p = columns(params), params.unit

    def step(x, h, c):
        i, f, g, o = gates(x, h)
        new = sigma(f + p["f"] * c) * c + sigma(i + p["i"] * c) * np.tanh(g)
        return (sigma(o + p["o"] * new) * np.tanh(new), new), {}

    return step


def indrnn(params):
    """h' = max(0, x + u h)."""
    w, b, u = params.input["w"], params.input["b"], params.recurrent["u"]
    return lambda x, h: ((np.maximum(x @ w + b + u * h, 0),), {})


def two_heads(params):
    """An LSTM whose U has two blocks on its diagonal."""
    w, b, u = params.input["w"], params.input["b"], params.recurrent

    def step(x, h, c):
        seen = [np.split(part @ block, 4) for part, block in zip(np.split(h, 2), u, strict=True)]
        parts = (np.concatenate(pair) for pair in zip(*seen, strict=True))
        i, f, g, o = (a + part for a, part in zip(np.split(x @ w + b, 4), parts, strict=True))
        c = sigma(f) * c + sigma(i) * np.tanh(g)
        return (sigma(o) * np.tanh(c), c), {}

    return step


STEPS = {"mgu": mgu, "coupled": coupled, "peephole": peephole, "indrnn": indrnn, "two heads": two_heads}


def looped(cell, params, xs, carry, mask, reset, reverse):
    """The last carry and the outputs, in float64."""
    params, xs, carry = jax.tree.map(lambda a: np.asarray(a, np.float64), (params, xs, carry))
    if cell.name in reference.LOOPS:
        return reference.LOOPS[cell.name](params, xs, carry, mask, reset, reverse)[:2]
    step = STEPS[cell.name](params)
    return reference.loop(step, len(carry), carry[0].shape[1], xs, carry, mask, reset, reverse)[:2]


def close(got, want, tolerance):
    """Leaf by leaf, as a share of the largest entry."""
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        one, other = (np.asarray(a, np.float64) for a in (one, other))
        assert one.shape == other.shape
        assert np.isfinite(one).all()
        assert np.abs(one - other).max(initial=0) <= tolerance * max(1, np.abs(other).max(initial=0))


def squares(scale, ys, targets):
    """A readout: a number per row."""
    return scale * jnp.square(ys).sum(-1) - targets


METHODS = [gr.Segmented(), gr.Segmented(1), gr.Segmented(3), gr.Autodiff(), gr.Autodiff(2), gr.Checkpointed()]
METHODS += [gr.Checkpointed(3), gr.Truncated(8), "sharded"]


@pytest.mark.slow
@bounded(20)
def test_values_and_gradients(data):
    """Against a loop in float64, and against JAX's own gradients."""
    seed = data.draw(st.integers(0, 2**64 - 1))  # one choice: of several, many examples would share most
    rng, choose = np.random.default_rng(seed), random.Random(seed).choice
    cell, (T, B, D, H) = choose([*CELLS.values()]), choose(SHAPES)
    dtype = choose([*TOLERANCE][: 2 if cell.name == "indrnn" else 3])  # its U is multiplied as it is
    method, outputs = choose(METHODS), choose(["all", "last", "last", "readout"])
    reverse, masked, restarted, begun = (choose([False, True, True]) for _ in range(4))
    with jax.enable_x64(dtype == "float64"):
        if method == "sharded":
            method = gr.Sharded(Mesh(np.array(jax.devices()[:1]), ("batch",)))
        params = cell.init(jax.random.key(int(rng.integers(2**31))), D, H)
        params = jax.tree.map(
            lambda a: (a + 0.2 * jnp.asarray(rng.normal(size=a.shape), a.dtype)).astype(dtype), params
        )
        xs = jnp.asarray(rng.normal(size=(T, B, D)), dtype)
        carry = cell.initial_carry(params, B)
        first = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape) * begun, a.dtype), carry)
        mask, reset = rng.random((T, B)) < 0.7 if masked else None, rng.random((T, B)) < 0.3 if restarted else None
        wide = carry.h.dtype
        targets, scale = jnp.asarray(rng.normal(size=(T, B)), wide), jnp.asarray(0.5, wide)
        shape = {"all": (T, B, H), "last": (B, H), "readout": (B,)}[outputs]
        weights = jnp.asarray(rng.normal(size=shape), wide)

        def loss(params, xs, first, method):
            asked = gr.Readout(squares, scale, targets) if outputs == "readout" else outputs
            given = first if begun else None
            end, found = gr.unroll(
                cell, params, xs, given, mask=mask, reset=reset, reverse=reverse, method=method, outputs=asked
            )
            return (found * weights).sum() + sum(leaf.sum() for leaf in end), (end, found)

        both = lambda *of: [jax.grad(loss, (0, 1, 2), has_aux=True)(*of, m) for m in (method, gr.Autodiff())]
        (gradients, (end, found)), (wanted, _) = jax.jit(both)(params, xs, first)
    last, ys = looped(cell, params, xs, first, mask, reset, reverse)
    ran = np.ones((T, B), bool) if mask is None else mask
    if outputs == "last":
        kept = ys * ran[..., None]
        ys = np.zeros((B, H))
        for t in reversed(range(T)) if reverse else range(T):
            ys = np.where(ran[t][:, None], kept[t], ys)
    elif outputs == "readout":
        totals = 0.5 * np.square(ys).sum(-1) - np.asarray(targets, np.float64)
        ys = np.where(ran, totals, 0).sum(0)
    close((tuple(end), found), (last, ys), TOLERANCE[dtype])
    close(gradients, wanted, TOLERANCE[dtype])


UNARY = [jnp.tanh, jax.nn.sigmoid, jnp.cos, jax.nn.softplus, lambda a: a * 0.5 + 1, lambda a: jnp.where(a > 0, a, -a)]
UNARY += [lambda a: jax.lax.fori_loop(0, 2, lambda _, b: jnp.tanh(b), a), jax.lax.stop_gradient, jax.jit(jnp.sin)]
UNARY += [lambda a: a.reshape(a.shape).astype("float16").astype(a.dtype), lambda a: jax.nn.relu(a) + jnp.exp(-a * a)]
MIXING = [jax.nn.softmax, lambda a: a[..., ::-1], lambda a: jnp.cumsum(a, -1), lambda a: jnp.roll(a, 1, -1)]
MIXING += [lambda a: a - a.mean(-1, keepdims=True), lambda a: jnp.sort(a, -1), lambda a: a / (1 + jnp.square(a).sum())]
MIXING += [lambda a: a - a.mean(0, keepdims=True), lambda a: a @ jnp.ones((a.shape[-1],) * 2, a.dtype)]
MIXING += [lambda a: jax.lax.cond(a.sum() > 0, jnp.tanh, jnp.cos, a), lambda a: jnp.where(a.max() > 1, a, jnp.sin(a))]
MIXING += [lambda a: jnp.cumsum(a.ravel()).reshape(a.shape), lambda a: a.at[..., 0].set(0), lambda a: a * a[..., :1]]
MIXING += [lambda a: jnp.fft.ifft(jnp.fft.fft(a) * 2).real.astype(a.dtype), lambda a: jax.lax.top_k(a, a.shape[-1])[0]]
BINARY = [jnp.add, jnp.multiply, jnp.subtract, jnp.maximum, lambda a, b: jnp.where(a > b, a, b * b)]


def expressions(leaves, mixing):
    """Functions of `(x, h, carry)` made of some of the operations."""

    def grow(below):
        one = lambda f, a: lambda *of: f(a(*of))
        two = lambda f, a, b: lambda *of: f(a(*of), b(*of))
        return st.builds(one, st.sampled_from(UNARY + mixing), below) | st.builds(
            two, st.sampled_from(BINARY), below, below
        )

    return st.recursive(st.sampled_from(leaves), grow, max_leaves=5)


LEAVES = [lambda x, h, c: x[0], lambda x, h, c: h[0], lambda x, h, c: c.h, lambda x, h, c: x[0] + h[0]]


def same_or_refused(cell):
    """The gradient by default is that of Autodiff, or the cell is refused."""
    params = gr.rnn.init(jax.random.key(0), 2, 3)
    xs = jax.random.normal(jax.random.key(1), (4, 2, 2))

    def loss(params, xs, method):
        end, ys = gr.unroll(cell, params, xs, method=method)
        return jnp.square(ys).sum() + end.h.sum()

    of = lambda method: jax.jit(lambda: jax.grad(loss, (0, 1))(params, xs, method))()
    try:
        got = of(gr.Segmented(2))
    except ValueError as error:
        refused = str(error)
    else:
        close(got, of(gr.Autodiff()), 1e-3)
        return
    assert refused.startswith("`cell` must be ") and "\n" not in refused


@pytest.mark.slow
@bounded(14)
def test_random_pointwise(data):
    """Elementwise or not: never another gradient."""
    new = data.draw(expressions(LEAVES, data.draw(st.sampled_from([[], MIXING]))))
    pointwise = lambda x, h, c: gr.RNNState(jnp.tanh(new(x, h, c) + 0.3 * x[0]))
    same_or_refused(dataclasses.replace(gr.rnn, name="any", pointwise=pointwise))


@bounded(14)
def test_random_recur(data):
    """Affine or not: never another gradient."""
    leaf = [lambda w, h: h, lambda w, h: gr.linear.product(h, w["w"]), lambda w, h: h * w["w"][0]]
    new = data.draw(expressions(leaf, [lambda a: 2 * a, *MIXING, *[lambda a: -a] * 4]))
    recur = lambda w, h: (new(w, h),)
    same_or_refused(dataclasses.replace(gr.rnn, name="any", recur=recur))
