"""gatedrnn in its settings, and plain `lax.scan`, the reference of all systems."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import gatedrnn as gr
from benchmarks.speed.ready import Ready, in_jax

Step = Callable[[Any, Any, Array], tuple[Any, Array]]


def segmented(cell: gr.Cell, params: gr.Params, xs: Array, carry: Any) -> Ready:
    """gatedrnn as it comes."""
    return in_jax(lambda p, x, c: gr.unroll(cell, p, x, c)[1], params, lambda p: p, xs, carry)


def squares(_: Any, ys: Array, __: Any) -> Array:
    """ys [K, B, H] -> [K, B]."""
    return jnp.square(ys).sum(-1)


def checkpointed(cell: gr.Cell, params: gr.Params, xs: Array, carry: Any) -> Ready:
    """gatedrnn with the loss summed as the outputs arise, segments run again on the way back."""
    method, size = gr.Checkpointed(), xs.shape[0] * carry.h.size
    run = lambda p, x, c: gr.unroll(cell, p, x, c, method=method)[1]
    loss = lambda p, x, c: gr.unroll(cell, p, x, c, method=method, outputs=gr.Readout(squares))[1].sum() / size
    return in_jax(run, params, lambda p: p, xs, carry, loss=loss)


def two_devices(cell: gr.Cell, params: gr.Params, xs: Array, carry: Any) -> Ready:
    """gatedrnn with the batch split over two host devices, inputs placed on them beforehand."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("batch",))
    place = lambda a, *spec: jax.device_put(a, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec)))
    params, carry = jax.tree.map(place, params), jax.tree.map(lambda a: place(a, "batch"), carry)
    method = gr.Sharded(mesh)
    run = lambda p, x, c: gr.unroll(cell, p, x, c, method=method)[1]
    return in_jax(run, params, lambda p: p, place(xs, None, "batch"), carry)


def rnn_step(p: dict[str, Array], h: Array, x: Array) -> tuple[Array, Array]:
    h = jnp.tanh(x @ p["W"] + h @ p["U"] + p["b"])
    return h, h


def gru_step(p: dict[str, Array], h: Array, x: Array) -> tuple[Array, Array]:
    x_r, x_z, x_n = jnp.split(x @ p["W"] + p["b"], 3, axis=-1)
    h_r, h_z, h_n = jnp.split(h @ p["U"], 3, axis=-1)
    r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + r * (h_n + p["b_n"]))
    h = (1 - z) * n + z * h
    return h, h


def lstm_step(p: dict[str, Array], state: tuple[Array, Array], x: Array) -> tuple[tuple[Array, Array], Array]:
    h, c = state
    i, f, g, o = jnp.split(x @ p["W"] + h @ p["U"] + p["b"], 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


STEPS: dict[str, Step] = {"rnn": rnn_step, "gru": gru_step, "lstm": lstm_step}
"""As most people write them, with nothing of ours."""


def plain_scan(cell: gr.Cell, params: gr.Params, xs: Array, carry: Any) -> Ready:
    """`lax.scan` over one of `STEPS`; of a cell that has none there, over the step of its equations."""
    if cell.name not in STEPS:
        scan = lambda p, xs, carry: jax.lax.scan(lambda state, x: cell.step(p, state, x), carry, xs)[1]
        return in_jax(scan, params, lambda p: p, xs, carry)
    step = STEPS[cell.name]
    weights = {"W": params.input["w"], "b": params.input["b"], "U": params.recurrent["w"]}
    if cell.name == "gru":
        weights["b_n"] = params.recurrent["b"]

    def run(p: dict[str, Array], xs: Array, carry: Any) -> Array:
        first = carry[0] if len(carry) == 1 else tuple(carry)
        return jax.lax.scan(lambda state, x: step(p, state, x), first, xs)[1]

    def convert(p: dict[str, Array]) -> gr.Params:
        return gr.Params({"w": p["W"], "b": p["b"]}, {"w": p["U"]} | ({"b": p["b_n"]} if "b_n" in p else {}))

    return in_jax(run, weights, convert, xs, carry)
