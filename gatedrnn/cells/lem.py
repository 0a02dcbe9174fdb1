"""Long expressive memory: a memory and an output, each of which moves towards its candidate by a learned time step.

s  = dt sigmoid(x W_s + b_s + h U_s)     step of the memory
t  = dt sigmoid(x W_t + b_t + h U_t)     step of the output
m  = tanh(x W_m + b_m + h U_m)           candidate of the memory
z' = (1 - s) z + s m
n  = tanh(x W_n + b_n + z' U_n)          candidate of the output
h' = (1 - t) h + t n

The last product waits for the memory of the same step: the cell has `step` alone. In `gr.lem` dt = 1; `with_dt` makes
the cell of another dt. Published as y and z, where y is our h.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import check_key, check_number
from gatedrnn._forms import Params, serialisable
from gatedrnn.initializers import Initializer, chrono as chrono_init, fill_bias, gate_weights, gaussian, orthogonal
from gatedrnn.linear import affine, product, split, zeros


@serialisable
class LEMState(NamedTuple):
    """Carry of the long expressive memory.

    Attributes:
        h: output, [B, H], in (-1, 1).
        z: memory, [B, H], in (-1, 1).
    """

    h: Array
    z: Array


class LEMGates(NamedTuple):
    """The values of time steps and candidates, in the order of their blocks in the weights.

    Attributes:
        memory_step: [..., H], in (0, dt); 0 keeps the memory.
        output_step: [..., H], in (0, dt); 0 keeps the output.
        memory: its candidate, [..., H], in (-1, 1).
        output: its candidate, [..., H], in (-1, 1).
    """

    memory_step: Array
    output_step: Array
    memory: Array
    output: Array


def memory_step(x_s: Array, h_s: Array, dt: float = 1.0) -> Array:
    """How far the memory moves towards its candidate: 0 keeps it, 1 replaces it.

    Args:
        x_s: the input's part of the pre-activation, [..., H].
        h_s: the output's part, [..., H].
        dt: the largest step.

    Returns:
        [..., H], in (0, dt).

    References:
        Rusch, Mishra, Erichson, Mahoney, "Long expressive memory for sequence modeling", 2022,
        https://arxiv.org/abs/2110.04744, eq. 3. With dt = 1 it is 1 - z of a GRU.
    """
    return dt * jax.nn.sigmoid(x_s + h_s)


def output_step(x_t: Array, h_t: Array, dt: float = 1.0) -> Array:
    """How far the output moves towards its candidate: 0 keeps it, 1 replaces it.

    Args:
        x_t: the input's part of the pre-activation, [..., H].
        h_t: the output's part, [..., H].
        dt: the largest step.

    Returns:
        [..., H], in (0, dt).

    References:
        Rusch et al. 2022, as `memory_step`.
    """
    return dt * jax.nn.sigmoid(x_t + h_t)


def memory_candidate(x_m: Array, h_m: Array) -> Array:
    """Where the memory moves to: a squashed mixture of the input and the last output.

    Args:
        x_m: the input's part of the pre-activation, [..., H].
        h_m: the output's part, [..., H].

    Returns:
        [..., H], in (-1, 1).

    References:
        Rusch et al. 2022, as `memory_step`.
    """
    return jnp.tanh(x_m + h_m)


def output_candidate(x_n: Array, z_n: Array) -> Array:
    """Where the output moves to: a squashed mixture of the input and the memory of this very step.

    Args:
        x_n: the input's part of the pre-activation, [..., H].
        z_n: the memory's part, z' U_n, [..., H].

    Returns:
        [..., H], in (-1, 1).

    References:
        Rusch et al. 2022, as `memory_step`.
    """
    return jnp.tanh(x_n + z_n)


def init(
    key: Array,
    input_size: int,
    hidden_size: int,
    *,
    recurrent_init: Initializer = orthogonal(),
    input_init: Initializer = gaussian(),
    chrono: float | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Draws the weights; biases are zero but for those of the time steps with `chrono`.

    Args:
        key: a `jax.random.key`.
        input_size: D.
        hidden_size: H.
        recurrent_init: draws each block of U, [H, H].
        input_init: draws each block of W, [D, H].
        chrono: longest dependency expected, in steps; draws the biases of both time steps from -log U(1, chrono - 1),
            so that with dt = 1 and at rest a unit's time scales are uniform up to it. It is not in the paper, which
            tunes dt instead.
        dtype: of every weight.

    Returns:
        `Params`: input `w [D, 4 * H]`, `b [4 * H]`; recurrent `w [H, 4 * H]`, of which the last block meets the new
        memory. Blocks in the order memory_step, output_step, memory, output.

    Raises:
        ValueError: a size is not a whole number of at least 1, `dtype` is not a floating type, or `chrono` is not above
            2.

    References:
        Tallec, Ollivier, "Can recurrent neural networks warp time?", 2018, https://arxiv.org/abs/1804.11188 (chrono).
        The authors' code draws all weights and biases from U(-1, 1) / sqrt(H).
    """
    key_weights, key_bias = jax.random.split(check_key("key", key))
    params = gate_weights(
        key_weights, 4, input_size, hidden_size, input_init=input_init, recurrent_init=recurrent_init, dtype=dtype
    )
    if chrono is not None:
        for place, key_step in enumerate(jax.random.split(key_bias)):
            params = fill_bias(params, 4, place, -chrono_init(chrono)(key_step, (hidden_size,), dtype))
    return params


def initial_carry(params: Params, batch_size: int | None = None) -> LEMState:
    """A zero output and a zero memory, [B, H] or [H] each."""
    w = params.recurrent["w"]
    h, z = (zeros(w.shape[0], w.dtype, batch_size) for _ in range(2))  # two buffers, each of which can be donated
    return LEMState(h, z)


def activations(params: Params, carry: LEMState, x: Array, dt: float = 1.0) -> LEMGates:
    """The values of time steps and candidates under their names at a step from `carry`, [..., H] each; x [..., D]."""
    x_s, x_t, x_m, x_n = affine(params.input, x, 4)
    w, three = params.recurrent["w"], 3 * params.recurrent["w"].shape[0]
    h_s, h_t, h_m = split(product(carry.h, w[:, :three]), 3)
    move, memory = memory_step(x_s, h_s, dt), memory_candidate(x_m, h_m)
    z_n = product(carry.z + move * (memory - carry.z), w[:, three:])
    return LEMGates(move, output_step(x_t, h_t, dt), memory, output_candidate(x_n, z_n))


def step(params: Params, carry: LEMState, x: Array, dt: float = 1.0) -> tuple[LEMState, Array]:
    """Moves the memory, then the output, each towards its candidate; from a carry [..., H] and an input [..., D]."""
    gates = activations(params, carry, x, dt)
    z = carry.z + gates.memory_step * (gates.memory - carry.z)
    h = carry.h + gates.output_step * (gates.output - carry.h)
    return LEMState(h, z), h


@dataclass(frozen=True)
class _At:
    """A function of this module at some dt; equal ones are equal, so that nothing is compiled twice."""

    function: Callable[..., Any]
    dt: float

    def __call__(self, params: Params, carry: LEMState, x: Array) -> Any:
        return self.function(params, carry, x, self.dt)


def with_dt(dt: float) -> Cell[LEMState, Params]:
    """The cell whose time steps are at most `dt`.

    The constant is a part of the equations and no weight: among the weights an optimiser would decay or train it. So
    each dt is a cell, under a name of its own. Those with dt below 1 name no `horizon_option`: dt is their horizon.

    Args:
        dt: above 0, at most 1.

    Raises:
        ValueError: it is not.

    Example:
        >>> import gatedrnn as gr
        >>> gr.cells.lem.with_dt(0.0242)  # for additions over 10,000 steps in the paper
        <Cell 'lem dt=0.0242' with the gates memory_step, output_step, memory, output>

    References:
        Rusch et al. 2022, as `memory_step`; https://github.com/tk-rusch/LEM
    """
    dt = check_number("dt", dt, above=0, most=1)
    return Cell(
        "lem" if dt == 1 else f"lem dt={dt!r}",
        LEMGates._fields,
        init,
        initial_carry,
        activations=_At(activations, dt),
        step=_At(step, dt),
        horizon_option="chrono" if dt == 1 else "",
        doc=__doc__ or "",
    )


cell: Cell[LEMState, Params] = with_dt(1.0)
