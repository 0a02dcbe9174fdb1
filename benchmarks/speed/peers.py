"""The other frameworks: one cell with the same weights in each, its outputs and its gradients.

Each is imported only when it is measured.
"""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import gatedrnn as gr
from benchmarks.speed.ready import Gradients, Ready, Weights, in_jax


def linen(cell: gr.Cell, params: gr.Params, xs: Array, carry: Any) -> Ready:
    """flax.linen.RNN over its cell."""
    from flax import linen as nn

    from gatedrnn.interop.flax import from_linen, to_linen

    module, variables = to_linen(cell, params)
    layer = nn.RNN(module, time_major=True)

    def run(weights: Weights, xs: Array, carry: Any) -> Array:
        first = carry[0] if len(carry) == 1 else tuple(carry)[::-1]
        ys: Any = layer.apply({"params": {"cell": weights["params"]}}, xs, initial_carry=first)
        return ys

    return in_jax(run, variables, lambda v: from_linen(module, v)[1], xs, carry)


def nnx(cell: gr.Cell, params: gr.Params, xs: Array, carry: Any) -> Ready:
    """flax.nnx.RNN over its cell."""
    from flax import nnx

    from gatedrnn.interop.flax import from_nnx, to_nnx

    graph, weights, *rest = nnx.split(to_nnx(cell, params), nnx.Param, ...)

    def run(weights: Weights, xs: Array, carry: Any) -> Array:
        module: Any = nnx.merge(graph, weights, *rest)
        layer = nnx.RNN(module, time_major=True, rngs=nnx.Rngs(0))
        return layer(xs, initial_carry=carry[0] if len(carry) == 1 else tuple(carry)[::-1])

    return in_jax(run, weights, lambda w: from_nnx(nnx.merge(graph, w, *rest))[1], xs, carry)


def haiku(cell: gr.Cell, params: gr.Params, xs: Array, carry: Any) -> Ready:
    """haiku.dynamic_unroll over hk.LSTM; its other cells are other functions."""
    import haiku as hk

    from gatedrnn.interop.haiku import from_haiku, to_haiku

    hidden = carry.h.shape[-1]
    network = hk.transform(lambda xs, state: hk.dynamic_unroll(hk.LSTM(hidden), xs, state)[0])
    run = lambda weights, xs, carry: network.apply(weights, None, xs, hk.LSTMState(carry.h, carry.c))
    return in_jax(run, to_haiku(cell, params), lambda w: from_haiku(w)[1], xs, carry)


def keras(cell: gr.Cell, params: gr.Params, xs: Array, carry: Any) -> Ready:
    """keras.layers on the JAX backend, called without state; [B, T, D], as keras wants it."""
    os.environ.setdefault("KERAS_BACKEND", "jax")  # which keras reads when it is imported
    from gatedrnn.interop.keras import converted, to_keras

    layer = to_keras(cell, params)
    names = ("kernel", "recurrent_kernel", "bias")
    weights = dict(zip(names, [variable.value for variable in layer.trainable_variables], strict=True))
    fixed = [variable.value for variable in layer.non_trainable_variables]

    def run(weights: Weights, xs: Array, carry: Any) -> Array:
        values = [weights[name] for name in names]
        return layer.stateless_call(values, fixed, xs, initial_state=list(carry))[0][0]

    return in_jax(run, weights, lambda w: converted(cell, w), xs, carry, batch_major=True)


def equinox(cell: gr.Cell, params: gr.Params, xs: Array, carry: Any) -> Ready:
    """equinox.nn cells, mapped over the batch, under lax.scan."""
    import equinox as eqx

    from gatedrnn.interop.equinox import from_equinox, to_equinox

    def run(module: Any, xs: Array, carry: Any) -> Array:
        def step(state: Any, x: Array) -> tuple[Any, Array]:
            state = jax.vmap(module)(x, state)
            return state, state[0] if isinstance(state, tuple) else state

        return jax.lax.scan(step, carry[0] if len(carry) == 1 else tuple(carry), xs)[1]

    arrays, static = eqx.partition(to_equinox(cell, params), eqx.is_array)
    join = lambda arrays: eqx.combine(arrays, static)
    return in_jax(lambda w, x, c: run(join(w), x, c), arrays, lambda w: from_equinox(join(w))[1], xs, carry)


def torch(cell: gr.Cell, params: gr.Params, xs: Array, carry: Any) -> Ready:
    """torch.nn on the CPU, all cores."""
    import torch as th

    from gatedrnn.interop.torch import converted, to_torch

    module = to_torch(cell, params)
    names, weights = zip(*module.named_parameters(), strict=True)
    tensor = lambda a: th.from_numpy(np.array(a)).requires_grad_()
    inputs, first = tensor(xs), [tensor(a)[None] for a in carry]
    leaves = [*weights, inputs, *first]
    run = lambda: module(inputs, first[0] if len(first) == 1 else tuple(first))[0]

    def forward() -> Any:
        with th.no_grad():
            return run()

    def gradients(found: Any) -> Gradients:
        count = len(weights)
        named = zip(names, found[:count], strict=True)
        by_name = {name.removesuffix("_l0"): jnp.asarray(a.numpy()) for name, a in named}
        return Gradients(by_name, found[count].numpy(), tuple(a.numpy()[0] for a in found[count + 1 :]))

    values = {name.removesuffix("_l0"): jnp.asarray(a.detach().numpy()) for name, a in module.named_parameters()}
    gradient = lambda: th.autograd.grad((run() ** 2).mean(), leaves)
    return Ready(forward, gradient, lambda ys: ys.numpy(), gradients, lambda w: converted(cell, w), values)


def onnxruntime(cell: gr.Cell, params: gr.Params, xs: Array, carry: Any) -> Ready:
    """onnxruntime on the CPU, all cores: forward alone."""
    import onnxruntime as ort

    from gatedrnn.interop.onnx import to_onnx

    session = ort.InferenceSession(to_onnx(cell, params).SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {"xs": np.asarray(xs)} | {name: np.asarray(a) for name, a in zip("hc", carry, strict=False)}
    forward = lambda: session.run(["ys"], feed)[0]
    return Ready(forward, None, np.asarray, lambda _: Gradients(None, None, ()), lambda w: w, None)
