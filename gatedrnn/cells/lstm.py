"""Long short-term memory: a cell state that a forget gate keeps, an input gate writes and an output gate reads.

i  = sigmoid(x W_i + b_i + h U_i)       input
f  = sigmoid(x W_f + b_f + h U_f)       forget
g  = tanh(x W_g + b_g + h U_g)          candidate
o  = sigmoid(x W_o + b_o + h U_o)       output
c' = f c + i g
h' = o tanh(c')
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import check_key
from gatedrnn._forms import Gates, Params, serialisable
from gatedrnn._writable import Blocks, Writable, made_writable
from gatedrnn.initializers import Initializer, chrono as chrono_init, fill_bias, gate_weights, gaussian, orthogonal
from gatedrnn.linear import affine, product, split, zeros

BLOCKS = Blocks(4, keeps=1, writes=0, candidate=2, shows=3)


@serialisable
class LSTMState(NamedTuple):
    """Carry of the LSTM.

    Attributes:
        h: output, [B, H], in (-1, 1).
        c: cell state, the memory, [B, H], unbounded.
    """

    h: Array
    c: Array


class LSTMGates(NamedTuple):
    """The gates' values, in the order of their blocks in the weights.

    Attributes:
        input: [..., H], in (0, 1).
        forget: [..., H], in (0, 1); 1 keeps the cell state.
        candidate: [..., H], in (-1, 1).
        output: [..., H], in (0, 1).
    """

    input: Array
    forget: Array
    candidate: Array
    output: Array


def input_gate(x_i: Array, h_i: Array) -> Array:
    """How much of the candidate is written into memory: 0 ignores the step, 1 takes it in whole.

    Args:
        x_i: the input's part of the pre-activation, [..., H].
        h_i: the state's part, [..., H].

    Returns:
        [..., H], in (0, 1).

    References:
        Hochreiter, Schmidhuber, "Long short-term memory", Neural Computation 9, 1997,
        https://doi.org/10.1162/neco.1997.9.8.1735. The same in torch.nn.LSTM, keras LSTM, flax, haiku and equinox.
    """
    return jax.nn.sigmoid(x_i + h_i)


def forget_gate(x_f: Array, h_f: Array) -> Array:
    """How much of the memory stays: 1 keeps the old cell state whole, 0 wipes it.

    Args:
        x_f: the input's part of the pre-activation, its bias included, [..., H].
        h_f: the state's part, [..., H].

    Returns:
        [..., H], in (0, 1).

    References:
        Gers, Schmidhuber, Cummins, "Learning to forget: continual prediction with LSTM", Neural Computation 12, 2000,
        https://doi.org/10.1162/089976600300015015. The same in torch.nn.LSTM, keras LSTM, flax and equinox; haiku adds
        a hidden 1 inside the sigmoid.
    """
    return jax.nn.sigmoid(x_f + h_f)


def candidate(x_g: Array, h_g: Array) -> Array:
    """What could be written: a squashed mixture of the input and the last output.

    Args:
        x_g: the input's part of the pre-activation, [..., H].
        h_g: the state's part, [..., H].

    Returns:
        [..., H], in (-1, 1).

    References:
        torch.nn.LSTM and flax call it g, keras c, haiku g in second place.
    """
    return jnp.tanh(x_g + h_g)


def output_gate(x_o: Array, h_o: Array) -> Array:
    """How much of the memory is shown: 0 keeps it to itself, 1 lets the rest of the network see it.

    Args:
        x_o: the input's part of the pre-activation, [..., H].
        h_o: the state's part, [..., H].

    Returns:
        [..., H], in (0, 1).

    References:
        Hochreiter, Schmidhuber 1997, as `input_gate`. The same in torch.nn.LSTM, keras LSTM, flax, haiku and equinox.
    """
    return jax.nn.sigmoid(x_o + h_o)


def init(
    key: Array,
    input_size: int,
    hidden_size: int,
    *,
    recurrent_init: Initializer = orthogonal(),
    input_init: Initializer = gaussian(),
    forget_bias: ArrayLike = 1.0,
    chrono: float | None = None,
    writable: Writable | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Draws the weights; biases are zero but for the forget gate's (and, with `chrono`, the input gate's).

    Args:
        key: a `jax.random.key`.
        input_size: D.
        hidden_size: H.
        recurrent_init: draws each gate's block of U, [H, H].
        input_init: draws each gate's block of W, [D, H].
        forget_bias: bias of the forget gate, a number or [H]; at rest the cell state keeps sigmoid(forget_bias) of
            itself per step.
        chrono: longest dependency expected, in steps; draws the forget bias from log U(1, chrono - 1) instead, and
            sets the input gate's to its negative.
        writable: `gr.initializers.writable(units, horizon)`: units that one direction of the input writes and that keep
            it, whatever the seed; None for none. The other units are drawn as the other options say.
        dtype: of every weight.

    Returns:
        `Params`: input `w [D, 4 * H]`, `b [4 * H]`; recurrent `w [H, 4 * H]`. Blocks in the order input, forget,
        candidate, output.

    Raises:
        ValueError: a size is not a whole number of at least 1, `dtype` is not a floating type, `chrono` is not above 2,
            a bias is not finite, or `writable` asks for more units than there are.

    References:
        Jozefowicz, Zaremba, Sutskever, "An empirical exploration of recurrent network architectures", 2015,
        https://proceedings.mlr.press/v37/jozefowicz15.html (forget bias 1); Tallec, Ollivier, "Can recurrent neural
        networks warp time?", 2018, https://arxiv.org/abs/1804.11188 (chrono).
    """
    key_weights, key_bias = jax.random.split(check_key("key", key))
    params = gate_weights(
        key_weights, 4, input_size, hidden_size, input_init=input_init, recurrent_init=recurrent_init, dtype=dtype
    )
    if chrono is None:
        params = fill_bias(params, 4, 1, forget_bias, "forget_bias")
    else:
        bias = chrono_init(chrono)(key_bias, (hidden_size,), dtype)  # [H]
        params = fill_bias(fill_bias(params, 4, 1, bias), 4, 0, -bias)
    return params if writable is None else made_writable(params, BLOCKS, writable)


def initial_carry(params: Params, batch_size: int | None = None) -> LSTMState:
    """A zero output and a zero cell state, [B, H] or [H] each."""
    w = params.recurrent["w"]
    h, c = (zeros(w.shape[0], w.dtype, batch_size) for _ in range(2))  # two buffers, each of which can be donated
    return LSTMState(h, c)


def project(params: dict[str, Array], xs: Array) -> Gates:
    """x W + b: xs [..., D] -> input, forget, candidate, output, [..., H] each."""
    return affine(params, xs, 4)


def recur(params: dict[str, Array], h: Array) -> Gates:
    """h U: h [..., H] -> input, forget, candidate, output, [..., H] each."""
    return split(product(h, params["w"]), 4)


def activations(gates_x: Gates, gates_h: Gates, _: LSTMState) -> LSTMGates:
    """The gates' values under their names, [..., H] each."""
    return LSTMGates(
        input_gate(gates_x[0], gates_h[0]),
        forget_gate(gates_x[1], gates_h[1]),
        candidate(gates_x[2], gates_h[2]),
        output_gate(gates_x[3], gates_h[3]),
    )


def pointwise(gates_x: Gates, gates_h: Gates, carry: LSTMState) -> LSTMState:
    """Keeps and writes the cell state, then shows it: c' = f c + i g, h' = o tanh(c')."""
    input, forget, candidate, output = activations(gates_x, gates_h, carry)
    c = forget * carry.c + input * candidate
    return LSTMState(output * jnp.tanh(c), c)


cell: Cell[LSTMState, Params] = Cell(
    *("lstm", LSTMGates._fields, init, initial_carry, project, recur, pointwise, activations),
    keeps="forget",
    horizon_option="chrono",
    doc=__doc__,
)
