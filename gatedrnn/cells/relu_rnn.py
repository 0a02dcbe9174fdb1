"""Elman network with rectified units, which starts as an adder: the next state is the state plus the input.

    h' = relu(x W + b + h U)

With U = I and no bias, what is above zero stays as it is until the input changes it.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import check_key
from gatedrnn._forms import Gates, Params
from gatedrnn.cells.rnn import RNNGates, RNNState, initial_carry, project, recur
from gatedrnn.initializers import Initializer, gate_weights, gaussian, identity


def candidate(x: Array, h: Array) -> Array:
    """What the unit becomes: max(x + h, 0), always, since nothing gates it.

    Args:
        x: the input's part of the pre-activation, [..., H].
        h: the state's part, [..., H].

    Returns:
        [..., H], at least 0. Its derivative is 1 above zero and 0 elsewhere, at 0, too: at rest no gradient passes.

    References:
        Le, Jaitly, Hinton, "A simple way to initialize recurrent networks of rectified linear units", 2015,
        https://arxiv.org/abs/1504.00941. The same in torch.nn.RNN (`nonlinearity="relu"`, two biases, which add up),
        keras SimpleRNN (`activation="relu"`) and haiku VanillaRNN.
    """
    return jax.nn.relu(x + h)


def init(
    key: Array,
    input_size: int,
    hidden_size: int,
    *,
    recurrent_init: Initializer = identity(),
    input_init: Initializer = gaussian(),
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Draws the weights; the bias is zero.

    Args:
        key: a `jax.random.key`.
        input_size: D.
        hidden_size: H.
        recurrent_init: draws U [H, H]; `identity(0.01)` forgets, as the paper has it for speech.
        input_init: draws W [D, H]; in the paper with a standard deviation of 0.001.
        dtype: of every weight.

    Returns:
        `Params`: input `w [D, H]`, `b [H]`; recurrent `w [H, H]`.

    Raises:
        ValueError: a size is not a whole number of at least 1, or `dtype` is not a floating type.
    """
    check_key("key", key)
    return gate_weights(
        key, 1, input_size, hidden_size, input_init=input_init, recurrent_init=recurrent_init, dtype=dtype
    )


def activations(gates_x: Gates, gates_h: Gates, _: RNNState) -> RNNGates:
    """The candidate under its name, [..., H]."""
    return RNNGates(candidate(gates_x[0], gates_h[0]))


def pointwise(gates_x: Gates, gates_h: Gates, carry: RNNState) -> RNNState:
    """The candidate becomes the state."""
    return RNNState(activations(gates_x, gates_h, carry).candidate)


cell: Cell[RNNState, Params] = Cell(
    "relu_rnn", RNNGates._fields, init, initial_carry, project, recur, pointwise, activations, doc=__doc__
)
