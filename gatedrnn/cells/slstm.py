"""Scalar LSTM of the xLSTM: an exponential input gate, and a normaliser that makes the memory a weighted mean.

i  = exp(x W_i + b_i + h U_i)        input
f  = sigmoid(x W_f + b_f + h U_f)    forget
g  = tanh(x W_g + b_g + h U_g)       candidate
o  = sigmoid(x W_o + b_o + h U_o)    output
c' = f c + i g
n' = f n + i
h' = o c' / n'

Kept are c and n times exp(-m), with m' = max(log f + m, log i): the same h, and no exponential overflows. U is
block-diagonal, one block for each of N heads.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import check_key, check_size, fail
from gatedrnn._forms import Gates, Params, PerHead, serialisable
from gatedrnn.initializers import Initializer, chrono as chrono_init, fill_bias, gate_blocks, gaussian, orthogonal
from gatedrnn.linear import affine, product, split, zeros

LEAST = -40.0  # log of what an input gate is next to the first forget gate, at least: its square is a float32


@serialisable
class SLSTMState(NamedTuple):
    """Carry of the sLSTM; c and n mean exp(m) times what they are.

    Attributes:
        h: output, [B, H], in (-1, 1).
        n: normaliser, the weights of all that was written, [B, H]; 0 before the first step, positive after it.
        m: stabiliser, the logarithm of their scale, [B, H].
        c: cell state, the memory, [B, H], in (-n, n).
    """

    h: Array
    n: Array
    m: Array
    c: Array


class SLSTMGates(NamedTuple):
    """The gates' values as they meet the carry, in the order of their blocks in the weights.

    Attributes:
        input: i exp(-m'), [..., H], in (0, 1].
        forget: f exp(m - m'), [..., H], in (0, 1]; 1 keeps the cell state.
        candidate: [..., H], in (-1, 1).
        output: [..., H], in (0, 1).
    """

    input: Array
    forget: Array
    candidate: Array
    output: Array


def input_gate(log_i: Array, m: Array) -> Array:
    """With which weight the candidate is written: any positive number, so that one step can outweigh all before it.

    Args:
        log_i: the pre-activation, its two parts summed, [..., H].
        m: the new stabiliser, [..., H].

    Returns:
        i exp(-m), [..., H], in (0, 1].

    References:
        Beck et al., "xLSTM: extended long short-term memory", 2024, https://arxiv.org/abs/2405.04517, eq. 8 to 17.
    """
    return jnp.exp(log_i - m)


def forget_gate(kept: Array, m: Array) -> Array:
    """How much weight stays with what was written before: 1 keeps it whole, 0 wipes it.

    Args:
        kept: log f + m before the step, [..., H], from `log_forget_gate`.
        m: the new stabiliser, [..., H].

    Returns:
        f exp(m before - m), [..., H], in (0, 1].

    References:
        Beck et al. 2024, as `input_gate`.
    """
    return jnp.exp(kept - m)


def log_forget_gate(x_f: Array, h_f: Array) -> Array:
    """log f.

    Args:
        x_f: the input's part of the pre-activation, its bias included, [..., H].
        h_f: the state's part, [..., H].

    Returns:
        [..., H], below 0.

    References:
        The paper leaves the choice between a sigmoid and an exponential; this is the sigmoid, as in the authors' code,
        https://github.com/NX-AI/xlstm.
    """
    return jax.nn.log_sigmoid(x_f + h_f)


def candidate(x_g: Array, h_g: Array) -> Array:
    """What is written: a squashed mixture of the input and the last output.

    Args:
        x_g: the input's part of the pre-activation, [..., H].
        h_g: the state's part, [..., H].

    Returns:
        [..., H], in (-1, 1).

    References:
        Beck et al. 2024 call it the cell input, z.
    """
    return jnp.tanh(x_g + h_g)


def output_gate(x_o: Array, h_o: Array) -> Array:
    """How much of the memory's mean is shown.

    Args:
        x_o: the input's part of the pre-activation, [..., H].
        h_o: the state's part, [..., H].

    Returns:
        [..., H], in (0, 1).

    References:
        Beck et al. 2024, eq. 14.
    """
    return jax.nn.sigmoid(x_o + h_o)


def init(
    key: Array,
    input_size: int,
    hidden_size: int,
    *,
    heads: int = 1,
    recurrent_init: Initializer = orthogonal(),
    input_init: Initializer = gaussian(),
    forget_bias: ArrayLike = 1.0,
    chrono: float | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Draws the weights; biases are zero but for the forget gate's.

    Args:
        key: a `jax.random.key`.
        input_size: D.
        hidden_size: H.
        heads: N, how many groups of H / N units there are that see nothing of each other's output.
        recurrent_init: draws each gate's block of U in each head, [H / N, H / N].
        input_init: draws each gate's block of W, [D, H].
        forget_bias: bias of the forget gate, a number or [H]; at rest the cell state keeps sigmoid(forget_bias) of
            itself per step.
        chrono: longest dependency expected, in steps; draws the forget bias from log U(1, chrono - 1) instead. The
            input gate's stays zero: what is common to all of its values cancels in c / n.
        dtype: of every weight.

    Returns:
        `Params`: input `w [D, 4 * H]`, `b [4 * H]`; recurrent `w [N, H / N, 4 * H / N]`. Blocks in the order input,
        forget, candidate, output.

    Raises:
        ValueError: a size is not a whole number of at least 1, `heads` does not divide `hidden_size`, `dtype` is not a
            floating type, `chrono` is not above 2, or a bias is not finite.

    References:
        Tallec, Ollivier, "Can recurrent neural networks warp time?", 2018, https://arxiv.org/abs/1804.11188 (chrono).
        The authors' code has 4 heads, U = 0 at first, and forget biases between 5 and -7 that fall from unit to unit.
    """
    hidden_size, heads = check_size("hidden_size", hidden_size), check_size("heads", heads)
    if hidden_size % heads:
        raise fail("heads", f"a number that divides `hidden_size` = {hidden_size}", heads)
    key_input, key_bias, *keys = jax.random.split(check_key("key", key), 2 + heads)
    width = hidden_size // heads
    w = gate_blocks("input_init", input_init, key_input, 4, input_size, hidden_size, dtype)
    u = jnp.stack([gate_blocks("recurrent_init", recurrent_init, each, 4, width, width, dtype) for each in keys])
    params = Params({"w": w, "b": jnp.zeros(4 * hidden_size, dtype)}, {"w": u})
    bias = forget_bias if chrono is None else chrono_init(chrono)(key_bias, (hidden_size,), dtype)
    return fill_bias(params, 4, 1, bias, "forget_bias")


def initial_carry(params: Params, batch_size: int | None = None) -> SLSTMState:
    """Nothing written yet: zeros, [B, H] or [H] each."""
    w = params.input["w"]
    return SLSTMState(*(zeros(w.shape[1] // 4, w.dtype, batch_size) for _ in SLSTMState._fields))


def project(params: dict[str, Array], xs: Array) -> Gates:
    """x W + b: xs [..., D] -> input, forget, candidate, output, [..., H] each."""
    return affine(params, xs, 4)


def recur(params: dict[str, Array], h: Array) -> Gates:
    """h U of one head: w [H / N, 4 * H / N], h [H / N] -> input, forget, candidate, output, [H / N] each."""
    return split(product(h, params["w"]), 4)


def _weights(gates_x: Gates, gates_h: Gates, carry: SLSTMState) -> tuple[Array, Array, Array]:
    """The weights of what is written and of what is kept, both times exp(-m), and that m: [..., H] each.

    Before the first step n = c = 0, and whatever f is, it keeps nothing. There it must not be the larger weight by so
    much that i becomes 0 beside it, and c / n with it 0 / 0.
    """
    log_i, kept = gates_x[0] + gates_h[0], log_forget_gate(gates_x[1], gates_h[1]) + carry.m
    kept = jnp.where(carry.n == 0, jnp.minimum(kept, log_i - LEAST), kept)
    m = jnp.maximum(log_i, kept)
    return input_gate(log_i, m), forget_gate(kept, m), m


def activations(gates_x: Gates, gates_h: Gates, carry: SLSTMState) -> SLSTMGates:
    """The gates' values under their names, [..., H] each."""
    input, forget, _ = _weights(gates_x, gates_h, carry)
    return SLSTMGates(input, forget, candidate(gates_x[2], gates_h[2]), output_gate(gates_x[3], gates_h[3]))


def pointwise(gates_x: Gates, gates_h: Gates, carry: SLSTMState) -> SLSTMState:
    """Keeps and writes memory and normaliser, then shows their quotient: h' = o c' / n'."""
    input, forget, m = _weights(gates_x, gates_h, carry)
    c = forget * carry.c + input * candidate(gates_x[2], gates_h[2])
    n = forget * carry.n + input
    return SLSTMState(output_gate(gates_x[3], gates_h[3]) * (c / n), n, m, c)


def options_of(params: Params) -> dict[str, int]:
    """The heads that weights have."""
    return {"heads": PerHead.heads(params.recurrent)}


cell: Cell[SLSTMState, Params] = Cell(
    *("slstm", SLSTMGates._fields, init, initial_carry, project, PerHead(recur), pointwise, activations),
    keeps="forget",
    horizon_option="chrono",
    doc=__doc__,
    options_of=options_of,
)
