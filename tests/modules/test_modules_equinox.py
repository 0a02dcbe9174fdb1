"""The layer of equinox: the cell that it holds, trained by its filters; and what is imported when."""

import importlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

B, T, D, H = 3, 6, 3, 4


@pytest.fixture
def eqx():
    return pytest.importorskip("equinox")


@pytest.fixture
def recurrent(eqx):
    return importlib.import_module("gatedrnn.modules.equinox").Recurrent


def test_is_unroll(recurrent, eqx, xs):
    """One sequence, mapped over a batch; and its gradient, leaf by leaf."""
    layer = recurrent(gr.lstm, D, H, key=jax.random.key(0), forget_bias=2.0)
    carry, ys = eqx.filter_vmap(layer)(xs)
    want, wanted = gr.unroll(gr.lstm, layer.params, xs, batch_major=True)
    np.testing.assert_allclose(ys, wanted, rtol=0, atol=1e-6)
    np.testing.assert_allclose(carry.c, want.c, rtol=0, atol=1e-6)
    gradient = eqx.filter_grad(lambda layer: layer(xs[0])[1].sum())(layer)
    assert jax.tree.structure(gradient) == jax.tree.structure(layer)
    assert all(jax.tree.leaves(jax.tree.map(jnp.any, gradient)))


def test_noise_and_refusals(recurrent, eqx, xs):
    """A key is for cells that draw, and what is no cell is told so."""
    plain = recurrent(gr.gru, D, H, key=jax.random.key(0))
    np.testing.assert_array_equal(plain(xs[0], key=jax.random.key(1))[1], plain(xs[0])[1])
    noisy = recurrent(gr.stack(gr.gru, layers=2, dropout=0.5), D, H, key=jax.random.key(0))
    assert not jnp.array_equal(noisy(xs[0], key=jax.random.key(1))[1], noisy(xs[0])[1])
    with pytest.raises(ValueError, match="^`cell` must be a gatedrnn.Cell, such as gatedrnn.lstm; got "):
        recurrent(eqx.nn.LSTMCell, D, H, key=jax.random.key(0))


def test_frameworks_load_when_used():
    """The folder imports no framework."""
    program = "import sys, gatedrnn.modules; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    names = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not set(names) & {"flax", "equinox"}
