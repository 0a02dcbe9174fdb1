"""The nnx modules are trained as flax's are, and their noise is for training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import gatedrnn as gr
from gatedrnn.modules import nnx as rnn

B, T, D, H = 3, 6, 3, 4


class Model(nnx.Module):
    def __init__(self, layer, rngs, width=H):
        self.layer, self.head = layer, nnx.Linear(width, 1, rngs=rngs)

    def __call__(self, xs):
        return self.head(self.layer(xs))


TRAINED = {
    "RNN": lambda rngs: rnn.RNN(rnn.LSTMCell(D, H, rngs=rngs)),
    "LSTM": lambda rngs: rnn.LSTM(D, H, layers=2, dropout=0.1, rngs=rngs),
    "Recurrent": lambda rngs: rnn.Recurrent(gr.learned_carry(gr.gru), D, H, rngs=rngs),
}


@pytest.mark.thinned(2)
@pytest.mark.parametrize("name", TRAINED)
def test_training(name, xs):
    """The loss falls under nnx.jit, by an nnx.Optimizer that is updated more than once."""
    rngs = nnx.Rngs(0)
    model = Model(TRAINED[name](rngs), rngs)
    optimiser = nnx.Optimizer(model, optax.adam(0.03), wrt=nnx.Param)
    targets = jnp.cumsum(xs[..., :1], axis=1) / 3

    @nnx.jit
    def step(model, optimiser):
        loss, gradients = nnx.value_and_grad(lambda model: jnp.square(model(xs) - targets).mean())(model)
        optimiser.update(model, gradients)
        return loss

    with jax.numpy_dtype_promotion("standard"):  # optax's Adam needs it
        losses = [float(step(model, optimiser)) for _ in range(30)]
    assert losses[-1] < 0.6 * losses[0]


def test_noise_is_for_training(xs):
    """Dropout is new at every call, and gone after `eval`."""
    layer = rnn.GRU(D, H, layers=2, dropout=0.5, rngs=nnx.Rngs(0))
    assert not jnp.array_equal(layer(xs), layer(xs))
    layer.eval()
    np.testing.assert_array_equal(layer(xs), layer(xs))
    np.testing.assert_array_equal(
        layer(xs, deterministic=False, rngs=nnx.Rngs(3)), layer(xs, deterministic=False, rngs=nnx.Rngs(3))
    )
