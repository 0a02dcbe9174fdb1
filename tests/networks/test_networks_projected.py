"""A projected cell: its equations by hand, every method alike, and what cannot be projected."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr

T, B, D, H, P = 6, 2, 3, 5, 2
LENGTH = T * (D + H + P)
CELL = gr.projected(gr.lstm)


def weights(dtype="float32"):
    """Random ones, and inputs."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: CELL.init(key, D, H, projected_size=P), jax.random.key(0))
    params = jax.tree.map(lambda a: jnp.asarray(0.5 * rng.normal(size=a.shape), dtype), shapes)
    return params, jnp.asarray(rng.normal(size=(T, B, D)), dtype)


def test_by_hand():
    """h = (o tanh c) P, and U reads h; over masked and begun anew steps."""
    params, xs = weights()
    mask, reset = np.ones((T, B), bool), np.zeros((T, B), bool)
    mask[2, 0], mask[5, 1], reset[3, 1] = False, False, True
    (w, b), u = (np.asarray(params.cell.input[name]) for name in "wb"), np.asarray(params.cell.recurrent["w"])
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    h, c, ys = np.zeros((B, P)), np.zeros((B, H)), []
    for x, there, anew in zip(np.asarray(xs), mask, reset, strict=True):
        before = h * ~anew[:, None], c * ~anew[:, None]
        i, f, g, o = np.split(x @ w + b + before[0] @ u, 4, axis=-1)
        after = sigmoid(f) * before[1] + sigmoid(i) * np.tanh(g)
        shown = (sigmoid(o) * np.tanh(after)) @ np.asarray(params.projection)
        h, c = np.where(there[:, None], shown, h), np.where(there[:, None], after, c)
        ys.append(np.where(there[:, None], shown, 0))
    carry, got = gr.unroll(CELL, params, xs, mask=jnp.array(mask), reset=jnp.array(reset))
    assert_close((got, tuple(carry)), (np.stack(ys), (h, c)), "float32", LENGTH)


@pytest.mark.parametrize("method", [gr.Autodiff(), gr.Checkpointed()], ids=lambda method: type(method).__name__)
def test_methods_agree(method):
    """Values and gradients, alone and in a stack."""
    params, xs = weights()

    def loss(params, method):
        carry, ys = gr.unroll(CELL, params, xs, method=method, reverse=True)
        return jnp.sin(ys).sum() + jnp.cos(carry.c).sum()

    want, got = (jax.value_and_grad(loss)(params, one) for one in (gr.Segmented(), method))
    assert_close(got, want, "float32", LENGTH)


def test_init():
    """Sizes, options of the cell's own, 16 bits; in a stack, the next layer reads P numbers."""
    deep = gr.stack(CELL, layers=2)
    params = deep.init(jax.random.key(0), D, H, projected_size=P, forget_bias=2.0, dtype=jnp.bfloat16)
    assert params.layers[1].cell.input["w"].shape == (P, 4 * H) and params.layers[1].projection.shape == (H, P)
    assert {a.dtype for a in jax.tree.leaves(params)} == {jnp.dtype(jnp.bfloat16)}
    assert float(params.layers[0].cell.input["b"][H]) == 2
    carry, ys = gr.unroll(deep, params, jnp.ones((T, B, D), jnp.bfloat16))
    assert ys.shape == (T, B, P) and ys.dtype == jnp.float32 and carry[1].c.shape == (B, H)
    with pytest.raises(ValueError, match="^`projected_size` must be .*; got 6"):
        CELL.init(jax.random.key(0), D, H, projected_size=H + 1)


def test_a_learned_carry():
    """Of a cell that begins from weights of its own, the first P outputs."""
    cell = gr.projected(gr.learned_carry(gr.lstm))
    params = cell.init(jax.random.key(0), D, H, projected_size=P)
    gradient = jax.grad(lambda params: gr.unroll(cell, params, jnp.ones((T, B, D)))[1].sum())(params)
    assert jnp.count_nonzero(gradient.cell.initial.h) == P and jnp.all(gradient.cell.initial.c != 0)


@pytest.mark.parametrize("cell", [gr.gru, gr.rnn, gr.stack(gr.lstm), CELL], ids=lambda cell: cell.name)
def test_refused(cell):
    """Units that read their own output, cells without a memory, networks."""
    with pytest.raises(ValueError, match="^`cell` must be a cell with a memory beside h, .*; got "):
        gr.projected(cell)
