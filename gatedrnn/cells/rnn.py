"""Elman network: the next state is a squashed mixture of the input and the state.

    h' = tanh(x W + b + h U)

No gate: what is kept of the past is decided by U alone, the same at every step.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import check_key
from gatedrnn._forms import Gates, Params, serialisable
from gatedrnn.initializers import Initializer, gate_weights, gaussian, orthogonal
from gatedrnn.linear import affine, product, zeros


@serialisable
class RNNState(NamedTuple):
    """Carry of the Elman network, and of its variants.

    Attributes:
        h: output, [B, H], in (-1, 1); with a relu, at least 0.
    """

    h: Array


class RNNGates(NamedTuple):
    """What the cell computes at a step; with no gate, the candidate alone.

    Attributes:
        candidate: [..., H], in (-1, 1); with a relu, at least 0.
    """

    candidate: Array


def candidate(x: Array, h: Array) -> Array:
    """What the unit becomes: tanh(x + h), always, since nothing gates it.

    Args:
        x: the input's part of the pre-activation, [..., H].
        h: the state's part, [..., H].

    Returns:
        [..., H], in (-1, 1).

    References:
        Elman, "Finding structure in time", Cognitive Science 14, 1990, https://doi.org/10.1207/s15516709cog1402_1.
        The same in torch.nn.RNN (two biases, which add up), keras SimpleRNN and flax SimpleCell; haiku's VanillaRNN
        has a relu, as `gr.relu_rnn`.
    """
    return jnp.tanh(x + h)


def init(
    key: Array,
    input_size: int,
    hidden_size: int,
    *,
    recurrent_init: Initializer = orthogonal(),
    input_init: Initializer = gaussian(),
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Draws the weights; the bias is zero.

    Args:
        key: a `jax.random.key`.
        input_size: D.
        hidden_size: H.
        recurrent_init: draws U [H, H].
        input_init: draws W [D, H].
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


def initial_carry(params: Params, batch_size: int | None = None) -> RNNState:
    """A zero state, [B, H] or [H]."""
    w = params.recurrent["w"]
    return RNNState(zeros(w.shape[0], w.dtype, batch_size))


def project(params: dict[str, Array], xs: Array) -> Gates:
    """x W + b: xs [..., D] -> one array [..., H]."""
    return affine(params, xs, 1)


def recur(params: dict[str, Array], h: Array) -> Gates:
    """h U: h [..., H] -> one array [..., H]."""
    return (product(h, params["w"]),)


def activations(gates_x: Gates, gates_h: Gates, _: RNNState) -> RNNGates:
    """The candidate under its name, [..., H]."""
    return RNNGates(candidate(gates_x[0], gates_h[0]))


def pointwise(gates_x: Gates, gates_h: Gates, carry: RNNState) -> RNNState:
    """The candidate becomes the state."""
    return RNNState(activations(gates_x, gates_h, carry).candidate)


cell: Cell[RNNState, Params] = Cell(
    "rnn", RNNGates._fields, init, initial_carry, project, recur, pointwise, activations, doc=__doc__
)
