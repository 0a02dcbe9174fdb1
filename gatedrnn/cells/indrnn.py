"""Independently recurrent network: each unit sees the input and itself, and no other unit.

    h' = relu(x W + b + u * h)

Units meet between layers only. What a unit keeps per step is a number of its own, u, while it is above zero.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import check_key, check_number
from gatedrnn._forms import Gates, Params
from gatedrnn.cells.rnn import RNNGates, RNNState, project
from gatedrnn.initializers import Initializer, gate_blocks, gaussian
from gatedrnn.linear import accumulation_dtype, zeros

LARGEST_GAIN = 2.0  # of a unit over the horizon


def candidate(x: Array, h: Array) -> Array:
    """What the unit becomes: max(x + h, 0), always, since nothing gates it.

    Args:
        x: the input's part of the pre-activation, [..., H].
        h: the unit's own, u * h, [..., H].

    Returns:
        [..., H], at least 0. Its derivative is 1 above zero and 0 elsewhere, at 0, too.

    References:
        Li, Li, Cook, Zhu, Gao, "Independently recurrent neural network (IndRNN): building a longer and deeper RNN",
        2018, https://arxiv.org/abs/1803.04831, with the relu that it recommends.
    """
    return jax.nn.relu(x + h)


def init(
    key: Array,
    input_size: int,
    hidden_size: int,
    *,
    input_init: Initializer = gaussian(),
    horizon: float | None = None,
    epsilon: float = 0.5,
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Draws the weights; the bias is zero.

    Args:
        key: a `jax.random.key`.
        input_size: D.
        hidden_size: H.
        input_init: draws W [D, H].
        horizon: T, longest dependency expected, in steps; draws u from U(epsilon^(1/T), 2^(1/T)) instead of U(0, 1), so
            that over T steps an active unit keeps between `epsilon` and twice of what it holds.
        epsilon: 0.5, as the authors have it in the last layer; 0 as in those below it, which may forget.
        dtype: of every weight.

    Returns:
        `Params`: input `w [D, H]`, `b [H]`; recurrent `u [H]`.

    Raises:
        ValueError: a size is not a whole number of at least 1, `dtype` is not a floating type, `horizon` is not a
            finite number above 0, or `epsilon` is not from 0 to 2.

    References:
        Li et al. 2018, as `candidate`, section 4.1; https://github.com/Sunnydreamrain/IndRNN_pytorch
    """
    key_input, key_u = jax.random.split(check_key("key", key))
    low, high = check_number("epsilon", epsilon, least=0, most=LARGEST_GAIN), LARGEST_GAIN
    power = 1.0 if horizon is None else 1 / check_number("horizon", horizon, above=0)
    w = gate_blocks("input_init", input_init, key_input, 1, input_size, hidden_size, dtype)
    limits = (0.0, 1.0) if horizon is None else (low**power, high**power)
    u = jax.random.uniform(key_u, (hidden_size,), accumulation_dtype(dtype), *limits).astype(dtype)
    return Params({"w": w, "b": jnp.zeros(hidden_size, dtype)}, {"u": u})


def initial_carry(params: Params, batch_size: int | None = None) -> RNNState:
    """A zero state, [B, H] or [H]."""
    u = params.recurrent["u"]
    return RNNState(zeros(u.size, u.dtype, batch_size))


def recur(params: dict[str, Array], h: Array) -> Gates:
    """u * h: h [H] -> one array [H]."""
    return (params["u"].astype(h.dtype) * h,)


def activations(gates_x: Gates, gates_h: Gates, _: RNNState) -> RNNGates:
    """The candidate under its name, [..., H]."""
    return RNNGates(candidate(gates_x[0], gates_h[0]))


def pointwise(gates_x: Gates, gates_h: Gates, carry: RNNState) -> RNNState:
    """The candidate becomes the state."""
    return RNNState(activations(gates_x, gates_h, carry).candidate)


cell: Cell[RNNState, Params] = Cell(
    *("indrnn", RNNGates._fields, init, initial_carry, project, recur, pointwise, activations),
    horizon_option="horizon",
    doc=__doc__,
)
