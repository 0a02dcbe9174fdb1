"""The GRU as it was published: the reset gate hides part of the state before the candidate's product, not after it.

r  = sigmoid(x W_r + b_r + h U_r)        reset
z  = sigmoid(x W_z + b_z + h U_z)        update
n  = tanh(x W_n + b_n + (r * h) U_n)     candidate, reset before the product
h' = (1 - z) n + z h

The product waits for a gate, and (r * h) U_n is not affine in h: the cell has `step` alone.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._forms import Params
from gatedrnn.cells.gru import (
    GRUGates,
    GRUState,
    init as gru_init,
    initial_carry,
    project,
    reset_gate,
    update_gate,
)
from gatedrnn.initializers import Initializer, gaussian, orthogonal
from gatedrnn.linear import product, split


def candidate(x_n: Array, h_n: Array) -> Array:
    """What the unit would become if nothing were kept: a squashed mixture of the input and of what the reset gate left.

    Args:
        x_n: the input's part of the pre-activation, [..., H].
        h_n: that of the state, of which the reset gate was taken before the product: (r * h) U_n, [..., H].

    Returns:
        [..., H], in (-1, 1).

    References:
        Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
        2014, https://arxiv.org/abs/1406.1078, eq. 8. The same in keras GRU (`reset_after=False`), ONNX
        (`linear_before_reset=0`) and haiku GRU.
    """
    return jnp.tanh(x_n + h_n)


def init(
    key: Array,
    input_size: int,
    hidden_size: int,
    *,
    recurrent_init: Initializer = orthogonal(),
    input_init: Initializer = gaussian(),
    update_bias: ArrayLike = 0.0,
    chrono: float | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Draws the weights, the same as those of `gr.gru`; biases are zero but for the update gate's.

    Args:
        key: a `jax.random.key`.
        input_size: D.
        hidden_size: H.
        recurrent_init: draws each gate's block of U, [H, H].
        input_init: draws each gate's block of W, [D, H].
        update_bias: bias of the update gate, a number or [H]; at rest the unit keeps sigmoid(update_bias) of itself per
            step.
        chrono: longest dependency expected, in steps; draws the update bias from log U(1, chrono - 1) instead.
        dtype: of every weight.

    Returns:
        `Params`: input `w [D, 3 * H]`, `b [3 * H]`; recurrent `w [H, 3 * H]`. Blocks in the order reset, update,
        candidate; a second bias of the candidate would add to the first.

    Raises:
        ValueError: a size is not a whole number of at least 1, `dtype` is not a floating type, `chrono` is not above 2,
            or a bias is not finite.

    References:
        Tallec, Ollivier, "Can recurrent neural networks warp time?", 2018, https://arxiv.org/abs/1804.11188
    """
    params = gru_init(
        *(key, input_size, hidden_size),
        recurrent_init=recurrent_init,
        input_init=input_init,
        update_bias=update_bias,
        chrono=chrono,
        dtype=dtype,
    )
    return params._replace(recurrent={"w": params.recurrent["w"]})


def activations(params: Params, carry: GRUState, x: Array) -> GRUGates:
    """The gates' values under their names at a step from `carry`, [..., H] each; x [..., D]."""
    x_r, x_z, x_n = project(params.input, x)
    w, both = params.recurrent["w"], 2 * params.recurrent["w"].shape[0]
    h_r, h_z = split(product(carry.h, w[:, :both]), 2)
    reset = reset_gate(x_r, h_r)
    return GRUGates(reset, update_gate(x_z, h_z), candidate(x_n, product(reset * carry.h, w[:, both:])))


def step(params: Params, carry: GRUState, x: Array) -> tuple[GRUState, Array]:
    """(1 - z) n + z h, from a carry [..., H] and an input [..., D].

    References:
        z keeps the state in Cho et al. 2014, eq. 7, and in keras; haiku and Chung et al. 2014 write 1 - z for it.
    """
    _, update, candidate = activations(params, carry, x)
    h = candidate + update * (carry.h - candidate)
    return GRUState(h), h


cell: Cell[GRUState, Params] = Cell(
    "gru_before",
    GRUGates._fields,
    init,
    initial_carry,
    activations=activations,
    step=step,
    horizon_option="chrono",
    doc=__doc__,
)
