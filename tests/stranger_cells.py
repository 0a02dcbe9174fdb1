"""Cells as strangers write them, with public names only: MGU, a coupled LSTM, peepholes, IndRNN and two heads."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import gatedrnn as gr


class MGUGates(NamedTuple):
    """The forget gate and what could be written."""

    forget: jax.Array
    candidate: jax.Array


def zero_like(width_of, states):
    """`initial_carry` of a cell whose width and dtype are those of a weight."""

    def initial_carry(params, batch_size=None):
        weight, width = width_of(params)
        return states(*(gr.linear.zeros(width, weight.dtype, batch_size) for _ in states._fields))

    return initial_carry


def dense(gates, states, unit=()):
    """`init`, `initial_carry`, `project` and `recur` of a cell with G dense gates and weights per unit."""

    def init(key, input_size, hidden_size, *, dtype=jnp.float32):
        key, *keys = jax.random.split(key, 1 + len(unit))
        params = gr.initializers.gate_weights(
            *(key, gates, input_size, hidden_size),
            input_init=gr.initializers.gaussian(),
            recurrent_init=gr.initializers.orthogonal(),
            dtype=dtype,
        )
        drawn = (jax.random.normal(k, (hidden_size,), dtype) for k in keys)
        return params._replace(unit=dict(zip(unit, drawn, strict=True)))

    def recur(weights, h):
        return gr.linear.split(gr.linear.product(h, weights["w"]), gates)

    width = lambda params: (params.recurrent["w"], params.recurrent["w"].shape[0])
    return init, zero_like(width, states), lambda weights, xs: gr.linear.affine(weights, xs, gates), recur


def mgu_gates(x, h, _):
    """The candidate sees the state through the gate, after the product."""
    forget = jax.nn.sigmoid(x[0] + h[0])
    return MGUGates(forget, jnp.tanh(x[1] + forget * h[1]))


def mgu_pointwise(x, h, carry):
    """h' = (1 - f) h + f n."""
    forget, candidate = mgu_gates(x, h, carry)
    return gr.RNNState((1 - forget) * carry.h + forget * candidate)


MGU = gr.Cell("mgu", MGUGates._fields, *dense(2, gr.RNNState), mgu_pointwise, mgu_gates, keeps="1 - forget")


def coupled(x, h, carry):
    """What is forgotten makes room for what is written: i = 1 - f."""
    forget, output = jax.nn.sigmoid(x[0] + h[0]), jax.nn.sigmoid(x[2] + h[2])
    c = forget * carry.c + (1 - forget) * jnp.tanh(x[1] + h[1])
    return gr.LSTMState(output * jnp.tanh(c), c)


COUPLED = gr.Cell("coupled", ("forget", "candidate", "output"), *dense(3, gr.LSTMState), coupled)


def peephole_gates(x, h, carry, unit):
    """Gates look at the cell state, each unit's at its own; the output gate at what it will be."""
    input = jax.nn.sigmoid(x[0] + h[0] + unit["i"] * carry.c)
    forget = jax.nn.sigmoid(x[1] + h[1] + unit["f"] * carry.c)
    candidate = jnp.tanh(x[2] + h[2])
    c = forget * carry.c + input * candidate
    return gr.LSTMGates(input, forget, candidate, jax.nn.sigmoid(x[3] + h[3] + unit["o"] * c))


def peephole_pointwise(x, h, carry, unit):
    """As the LSTM."""
    gates = peephole_gates(x, h, carry, unit)
    c = gates.forget * carry.c + gates.input * gates.candidate
    return gr.LSTMState(gates.output * jnp.tanh(c), c)


PEEPHOLE = gr.Cell(
    *("peephole", gr.lstm.gates, *dense(4, gr.LSTMState, "ifo"), peephole_pointwise, peephole_gates),
)


def indrnn_init(key, input_size, hidden_size, *, dtype=jnp.float32):
    """A recurrent weight per unit."""
    key_w, key_u = jax.random.split(key)
    w = gr.initializers.gaussian()(key_w, (input_size, hidden_size), dtype)
    u = jax.random.uniform(key_u, (hidden_size,), dtype)
    return gr.Params({"w": w, "b": jnp.zeros(hidden_size, dtype)}, {"u": u})


INDRNN = gr.Cell(
    "indrnn",
    ("candidate",),
    indrnn_init,
    zero_like(lambda params: (params.recurrent["u"], params.recurrent["u"].size), gr.RNNState),
    lambda weights, xs: gr.linear.affine(weights, xs, 1),
    lambda weights, h: (h * jnp.broadcast_to(weights["u"], h.shape),),
    lambda x, h, carry: gr.RNNState(jax.nn.relu(x[0] + h[0])),
)


def heads_init(key, input_size, hidden_size, *, dtype=jnp.float32):
    """Two heads of half the units; U is [2, H / 2, 4 * H / 2]."""
    params = gr.lstm.init(key, input_size, hidden_size, dtype=dtype)
    return params._replace(recurrent=jax.random.normal(key, (2, hidden_size // 2, 2 * hidden_size), dtype) / 2)


HEADS = gr.Cell(
    "two heads",
    gr.lstm.gates,
    heads_init,
    zero_like(lambda params: (params.recurrent, 2 * params.recurrent.shape[1]), gr.LSTMState),
    gr.lstm.project,
    gr.PerHead(lambda w, h: gr.linear.split(gr.linear.product(h, w), 4)),
    gr.lstm.pointwise,
    gr.lstm.activations,
    keeps="forget",
)
STRANGERS = {cell.name: cell for cell in (MGU, COUPLED, PEEPHOLE, INDRNN, HEADS)}
