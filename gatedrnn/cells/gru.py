"""Gated recurrent unit: an update gate mixes the old state with a candidate; a reset gate limits what that sees.

r  = sigmoid(x W_r + b_r + h U_r)                    reset
z  = sigmoid(x W_z + b_z + h U_z)                    update
n  = tanh(x W_n + b_n + r * (h U_n + b_hn))          candidate, reset after the product
h' = (1 - z) n + z h
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
from gatedrnn.linear import add_bias, affine, product, split, zeros

BLOCKS = Blocks(3, keeps=1, writes=None, candidate=2, shows=0)


@serialisable
class GRUState(NamedTuple):
    """Carry of the GRU.

    Attributes:
        h: output and memory in one, [B, H], in (-1, 1).
    """

    h: Array


class GRUGates(NamedTuple):
    """The gates' values, in the order of their blocks in the weights.

    Attributes:
        reset: [..., H], in (0, 1).
        update: [..., H], in (0, 1); 1 keeps the state.
        candidate: [..., H], in (-1, 1).
    """

    reset: Array
    update: Array
    candidate: Array


def reset_gate(x_r: Array, h_r: Array) -> Array:
    """How much of the old state the candidate may look at: 0 makes it start afresh, 1 shows it everything.

    Args:
        x_r: the input's part of the pre-activation, [..., H].
        h_r: the state's part, [..., H].

    Returns:
        [..., H], in (0, 1).

    References:
        Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
        2014, https://arxiv.org/abs/1406.1078. The same in torch.nn.GRU, keras GRU, flax GRUCell, equinox and haiku.
    """
    return jax.nn.sigmoid(x_r + h_r)


def update_gate(x_z: Array, h_z: Array) -> Array:
    """How much of the old state stays: 1 keeps the unit as it was, 0 replaces it by the candidate.

    Args:
        x_z: the input's part of the pre-activation, [..., H].
        h_z: the state's part, [..., H].

    Returns:
        [..., H], in (0, 1).

    References:
        As in torch.nn.GRU, keras GRU, flax GRUCell and equinox. Cho et al. 2014 print it so too; haiku and Chung et
        al. 2014 write 1 - z for it.
    """
    return jax.nn.sigmoid(x_z + h_z)


def candidate(x_n: Array, h_n: Array, reset: Array) -> Array:
    """What the unit would become if nothing were kept: a squashed mixture of the input and what the reset gate shows.

    Args:
        x_n: the input's part of the pre-activation, [..., H].
        h_n: the state's part, its bias included, [..., H].
        reset: value of the reset gate, [..., H].

    Returns:
        [..., H], in (-1, 1).

    References:
        The gate stands after the product, as in cuDNN, torch.nn.GRU, keras GRU (`reset_after=True`), flax and equinox;
        Cho et al. 2014 and haiku set it before, as `gr.gru_before`. flax nnx and haiku have no bias inside the gated
        term.
    """
    return jnp.tanh(x_n + reset * h_n)


def init(
    key: Array,
    input_size: int,
    hidden_size: int,
    *,
    recurrent_init: Initializer = orthogonal(),
    input_init: Initializer = gaussian(),
    update_bias: ArrayLike = 0.0,
    chrono: float | None = None,
    writable: Writable | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Draws the weights; biases are zero but for the update gate's.

    Args:
        key: a `jax.random.key`.
        input_size: D.
        hidden_size: H.
        recurrent_init: draws each gate's block of U, [H, H].
        input_init: draws each gate's block of W, [D, H].
        update_bias: bias of the update gate, a number or [H]; at rest the unit keeps sigmoid(update_bias) of itself per
            step.
        chrono: longest dependency expected, in steps; draws the update bias from log U(1, chrono - 1) instead.
        writable: `gr.initializers.writable(units, horizon)`: units that one direction of the input writes and that keep
            it, whatever the seed; None for none. The other units are drawn as the other options say.
        dtype: of every weight.

    Returns:
        `Params`: input `w [D, 3 * H]`, `b [3 * H]`; recurrent `w [H, 3 * H]`, `b [H]` (the candidate's, inside the
        reset). Blocks in the order reset, update, candidate.

    Raises:
        ValueError: a size is not a whole number of at least 1, `dtype` is not a floating type, `chrono` is not above 2,
            a bias is not finite, or `writable` asks for more units than there are.

    References:
        Tallec, Ollivier, "Can recurrent neural networks warp time?", 2018, https://arxiv.org/abs/1804.11188
    """
    key_weights, key_bias = jax.random.split(check_key("key", key))
    params = gate_weights(
        key_weights, 3, input_size, hidden_size, input_init=input_init, recurrent_init=recurrent_init, dtype=dtype
    )
    bias = update_bias if chrono is None else chrono_init(chrono)(key_bias, (hidden_size,), dtype)
    params = fill_bias(params, 3, 1, bias, "update_bias")
    params = params if writable is None else made_writable(params, BLOCKS, writable)
    return params._replace(recurrent={**params.recurrent, "b": jnp.zeros(hidden_size, dtype)})


def initial_carry(params: Params, batch_size: int | None = None) -> GRUState:
    """A zero state, [B, H] or [H]."""
    w = params.recurrent["w"]
    return GRUState(zeros(w.shape[0], w.dtype, batch_size))


def project(params: dict[str, Array], xs: Array) -> Gates:
    """x W + b: xs [..., D] -> reset, update, candidate, [..., H] each."""
    return affine(params, xs, 3)


def recur(params: dict[str, Array], h: Array) -> Gates:
    """h U, the candidate's with its bias: h [..., H] -> reset, update, candidate, [..., H] each."""
    reset, update, candidate = split(product(h, params["w"]), 3)
    return reset, update, add_bias(candidate, params["b"])


def activations(gates_x: Gates, gates_h: Gates, _: GRUState) -> GRUGates:
    """The gates' values under their names, [..., H] each."""
    reset = reset_gate(gates_x[0], gates_h[0])
    return GRUGates(reset, update_gate(gates_x[1], gates_h[1]), candidate(gates_x[2], gates_h[2], reset))


def pointwise(gates_x: Gates, gates_h: Gates, carry: GRUState) -> GRUState:
    """(1 - z) n + z h, written n + z (h - n): one product less."""
    _, update, candidate = activations(gates_x, gates_h, carry)
    return GRUState(candidate + update * (carry.h - candidate))


cell: Cell[GRUState, Params] = Cell(
    *("gru", GRUGates._fields, init, initial_carry, project, recur, pointwise, activations),
    keeps="update",
    horizon_option="chrono",
    doc=__doc__,
)
