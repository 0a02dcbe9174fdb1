"""flax's cells that compute another function, and variables that are none: refused by name."""

import flax.linen as nn
import jax.numpy as jnp
import pytest
from flax import nnx
from flax_cells import D, H, linen_of, nnx_of

from gatedrnn.interop import flax as interop


def test_other_variables_refused():
    """No layers, a layer without a kernel, and a layer of nnx that is another."""
    module, variables = linen_of(nn.GRUCell)
    for bad in (None, [1], {"params": 3}):
        with pytest.raises(ValueError, match="^`variables` must be {"):
            interop.from_linen(module, bad)
    del variables["params"]["hn"]["kernel"]
    with pytest.raises(ValueError, match=r"^`variables` must be layers of a 'kernel', .*; got \['bias'\]"):
        interop.from_linen(module, variables)
    other = nnx_of(nnx.GRUCell)
    other.dense_i = nnx.LinearGeneral(D, 3 * H, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="^`module` must be one whose dense_i is an nnx.Linear .*; got LinearGeneral"):
        interop.from_nnx(other)


def one(key, shape, dtype):
    """A first carry that is not zero."""
    return jnp.ones(shape, dtype)


OPTIONS = [  # cell, option, its value, how it must be, how it is told
    ("SimpleCell", "residual", True, "False", "True"),
    ("SimpleCell", "activation_fn", nn.relu, "tanh", "relu"),
    ("GRUCell", "gate_fn", nn.hard_sigmoid, "sigmoid", "hard_sigmoid"),
    ("LSTMCell", "activation_fn", nn.relu, "tanh", "relu"),
    ("OptimizedLSTMCell", "gate_fn", nn.hard_sigmoid, "sigmoid", "hard_sigmoid"),
]
each_option = pytest.mark.parametrize(("kind", "option", "value", "want", "got"), OPTIONS)


@each_option
def test_linen_option_refused(kind, option, value, want, got):
    """Each option that makes another function, by name."""
    module, variables = linen_of(getattr(nn, kind), **{option: value})
    with pytest.raises(ValueError, match=f"^`{option}` must be {want} to make gatedrnn.*; got {got}"):
        interop.from_linen(module, variables)


@each_option
def test_nnx_option_refused(kind, option, value, want, got):
    """Each option that makes another function, by name."""
    module = nnx_of(getattr(nnx, kind), **{option: value})
    with pytest.raises(ValueError, match=f"^`{option}` must be {want} to make gatedrnn.*; got {got}"):
        interop.from_nnx(module)


def test_first_carry_refused():
    """`unroll` begins from zeros."""
    with pytest.raises(ValueError, match="^`carry_init` must be zeros to make gatedrnn.gru; got one"):
        interop.from_linen(*linen_of(nn.GRUCell, carry_init=one))
    module = nnx_of(nnx.GRUCell)
    module.carry_init = one
    with pytest.raises(ValueError, match="^`carry_init` must be None to make gatedrnn.gru; got one"):
        interop.from_nnx(module)


def test_other_modules_refused():
    """Other cells, and variables of another cell."""
    module, variables = linen_of(nn.MGUCell)
    with pytest.raises(ValueError, match="^`module` must be one of .*, OptimizedLSTMCell; got MGUCell"):
        interop.from_linen(module, variables)
    with pytest.raises(ValueError, match="^`module` must be one of .*, OptimizedLSTMCell; got Linear"):
        interop.from_nnx(nnx.Linear(D, H, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r'^`variables` must be {"params": {...}} with the layers .*; got \[\'hn\', '):
        interop.from_linen(nn.LSTMCell(H), linen_of(nn.GRUCell)[1])
