"""The systems side by side: one cell with the same weights in each framework, its outputs and its gradients.

loss = mean of ys^2        gradients in the framework's own weights, in xs and in the first carry
"""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import gatedrnn as gr

Run = Callable[[Any, jax.Array, Any], jax.Array]
"""`(weights, xs, carry) -> ys`, in the framework's own layout."""


class Gradients(NamedTuple):
    """What a backward pass gave: in the framework's weights, in xs [T, B, D] and in the carry, h first."""

    weights: Any
    xs: Any
    carry: tuple[Any, ...]


class Ready(NamedTuple):
    """A system compiled for one problem.

    Attributes:
        forward: runs it and waits; what it gives, `outputs` makes an array [T, B, H].
        gradient: runs it forward and back and waits; None where there is no backward pass.
        outputs: see `forward`.
        gradients: makes `Gradients` of what `gradient` gives.
        convert: the framework's weights -> ours, differentiable by JAX.
        weights: the framework's weights, as JAX arrays.
        trace_s: seconds to trace and lower forward + backward; None where nothing is compiled.
        compile_s: seconds for the whole of it: those, and XLA's.
        programs: what JAX compiled, forward and forward + backward; functions, as the first is compiled at its first
            use. Empty for the others.
        keeps_outputs: whether the loss waits for all of `ys`, so that forward + backward has to hold them.
    """

    forward: Callable[[], Any]
    gradient: Callable[[], Any] | None
    outputs: Callable[[Any], np.ndarray]
    gradients: Callable[[Any], Gradients]
    convert: Callable[[Any], gr.Params]
    weights: Any
    trace_s: float | None = None
    compile_s: float | None = None
    programs: tuple[Callable[[], Any], ...] = ()
    keeps_outputs: bool = True


def in_jax(
    run: Run,
    weights: Any,
    convert: Callable[[Any], gr.Params],
    xs: Any,
    carry: Any,
    batch_major: bool = False,
    loss: Run | None = None,
) -> Ready:
    """A system that JAX compiles, forward + backward at once. `loss`: in place of one that waits for all of `ys`."""
    turn = (lambda a: a.swapaxes(0, 1)) if batch_major else (lambda a: a)
    arguments = (weights, turn(jnp.asarray(xs)), carry)
    whole = loss or (lambda *given: jnp.mean(run(*given) ** 2))
    start = time.perf_counter()
    lowered = jax.jit(jax.grad(whole, argnums=(0, 1, 2))).lower(*arguments)
    traced = time.perf_counter()
    gradient = lowered.compile()
    compiled = time.perf_counter()
    forward = functools.cache(lambda: jax.jit(run).lower(*arguments).compile())  # not all who measure need it

    def gradients(found: Any) -> Gradients:
        dweights, dxs, dcarry = found
        return Gradients(dweights, turn(np.asarray(dxs)), tuple(jax.tree.leaves(dcarry)))

    return Ready(
        lambda: jax.block_until_ready(forward()(*arguments)),
        lambda: jax.block_until_ready(gradient(*arguments)),
        lambda ys: turn(np.asarray(ys)),
        gradients,
        convert,
        weights,
        trace_s=traced - start,
        compile_s=compiled - start,
        programs=(forward, lambda: gradient),
        keeps_outputs=loss is None,
    )


def ours(method: Any) -> Callable[..., Ready]:
    """gatedrnn by one method."""

    def build(cell: gr.Cell, params: gr.Params, xs: Any, carry: Any) -> Ready:
        return in_jax(lambda p, x, c: gr.unroll(cell, p, x, c, method=method)[1], params, lambda p: p, xs, carry)

    return build


def squares(_: Any, ys: jax.Array, __: Any) -> jax.Array:
    """ys [K, B, H] -> [K, B]."""
    return jnp.square(ys).sum(-1)


def checkpointed(cell: gr.Cell, params: gr.Params, xs: Any, carry: Any) -> Ready:
    """gatedrnn with the loss summed as the outputs arise, segments run again on the way back."""
    method, size = gr.Checkpointed(), xs.shape[0] * carry.h.size
    run = lambda p, x, c: gr.unroll(cell, p, x, c, method=method)[1]
    loss = lambda p, x, c: gr.unroll(cell, p, x, c, method=method, outputs=gr.Readout(squares))[1].sum() / size
    return in_jax(run, params, lambda p: p, xs, carry, loss=loss)


def two_devices(cell: gr.Cell, params: gr.Params, xs: Any, carry: Any) -> Ready:
    """gatedrnn with the batch split over two host devices, inputs placed on them beforehand."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("batch",))
    place = lambda a, *spec: jax.device_put(a, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec)))
    params, carry = jax.tree.map(place, params), jax.tree.map(lambda a: place(a, "batch"), carry)
    method = gr.Sharded(mesh)
    run = lambda p, x, c: gr.unroll(cell, p, x, c, method=method)[1]
    return in_jax(run, params, lambda p: p, place(jnp.asarray(xs), None, "batch"), carry)


def rnn_step(p: dict[str, jax.Array], h: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    h = jnp.tanh(x @ p["W"] + h @ p["U"] + p["b"])
    return h, h


def gru_step(p: dict[str, jax.Array], h: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    x_r, x_z, x_n = jnp.split(x @ p["W"] + p["b"], 3, axis=-1)
    h_r, h_z, h_n = jnp.split(h @ p["U"], 3, axis=-1)
    r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + r * (h_n + p["b_n"]))
    h = (1 - z) * n + z * h
    return h, h


def lstm_step(p: dict[str, jax.Array], state: Any, x: jax.Array) -> tuple[Any, jax.Array]:
    h, c = state
    i, f, g, o = jnp.split(x @ p["W"] + h @ p["U"] + p["b"], 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def plain_scan(cell: gr.Cell, params: gr.Params, xs: Any, carry: Any) -> Ready:
    """`lax.scan` over a step as most people write it, with nothing of ours: the reference of all the others."""
    step: Callable[..., Any] = {"rnn": rnn_step, "gru": gru_step, "lstm": lstm_step}[cell.name]
    weights = {"W": params.input["w"], "b": params.input["b"], "U": params.recurrent["w"]}
    if cell.name == "gru":
        weights["b_n"] = params.recurrent["b"]

    def run(p: dict[str, jax.Array], xs: jax.Array, carry: Any) -> jax.Array:
        first = carry[0] if len(carry) == 1 else tuple(carry)
        return jax.lax.scan(lambda state, x: step(p, state, x), first, xs)[1]

    def convert(p: dict[str, jax.Array]) -> gr.Params:
        return gr.Params({"w": p["W"], "b": p["b"]}, {"w": p["U"]} | ({"b": p["b_n"]} if "b_n" in p else {}))

    return in_jax(run, weights, convert, xs, carry)


def linen(cell: gr.Cell, params: gr.Params, xs: Any, carry: Any) -> Ready:
    """flax.linen.RNN over its cell."""
    from flax import linen as nn

    from gatedrnn.interop.flax import from_linen, to_linen

    module, variables = to_linen(cell, params)
    layer = nn.RNN(module, time_major=True)

    def run(weights: Any, xs: jax.Array, carry: Any) -> jax.Array:
        first = carry[0] if len(carry) == 1 else tuple(carry)[::-1]
        return layer.apply({"params": {"cell": weights["params"]}}, xs, initial_carry=first)

    return in_jax(run, variables, lambda v: from_linen(module, v)[1], xs, carry)


def nnx(cell: gr.Cell, params: gr.Params, xs: Any, carry: Any) -> Ready:
    """flax.nnx.RNN over its cell."""
    from flax import nnx

    from gatedrnn.interop.flax import from_nnx, to_nnx

    graph, weights, *rest = nnx.split(to_nnx(cell, params), nnx.Param, ...)

    def run(weights: Any, xs: jax.Array, carry: Any) -> jax.Array:
        layer = nnx.RNN(nnx.merge(graph, weights, *rest), time_major=True, rngs=nnx.Rngs(0))
        return layer(xs, initial_carry=carry[0] if len(carry) == 1 else tuple(carry)[::-1])

    return in_jax(run, weights, lambda w: from_nnx(nnx.merge(graph, w, *rest))[1], xs, carry)


def haiku(cell: gr.Cell, params: gr.Params, xs: Any, carry: Any) -> Ready:
    """haiku.dynamic_unroll over hk.LSTM; its other cells are other functions."""
    import haiku as hk

    from gatedrnn.interop.haiku import from_haiku, to_haiku

    hidden = carry.h.shape[-1]
    network = hk.without_apply_rng(hk.transform(lambda xs, state: hk.dynamic_unroll(hk.LSTM(hidden), xs, state)[0]))
    run = lambda weights, xs, carry: network.apply(weights, xs, hk.LSTMState(carry.h, carry.c))
    return in_jax(run, to_haiku(cell, params), lambda w: from_haiku(w)[1], xs, carry)


def keras(cell: gr.Cell, params: gr.Params, xs: Any, carry: Any) -> Ready:
    """keras.layers on the JAX backend, called without state; [B, T, D], as keras wants it."""
    from gatedrnn.interop.keras import converted, to_keras

    layer = to_keras(cell, params)
    names = ("kernel", "recurrent_kernel", "bias")
    weights = dict(zip(names, [variable.value for variable in layer.trainable_variables], strict=True))
    fixed = [variable.value for variable in layer.non_trainable_variables]

    def run(weights: Any, xs: jax.Array, carry: Any) -> jax.Array:
        values = [weights[name] for name in names]
        return layer.stateless_call(values, fixed, xs, initial_state=list(carry))[0][0]

    return in_jax(run, weights, lambda w: converted(cell, w), xs, carry, batch_major=True)


def equinox(cell: gr.Cell, params: gr.Params, xs: Any, carry: Any) -> Ready:
    """equinox.nn cells, mapped over the batch, under lax.scan."""
    import equinox as eqx

    from gatedrnn.interop.equinox import from_equinox, to_equinox

    def run(module: Any, xs: jax.Array, carry: Any) -> jax.Array:
        def step(state: Any, x: jax.Array) -> tuple[Any, jax.Array]:
            state = jax.vmap(module)(x, state)
            return state, state[0] if isinstance(state, tuple) else state

        return jax.lax.scan(step, carry[0] if len(carry) == 1 else tuple(carry), xs)[1]

    arrays, static = eqx.partition(to_equinox(cell, params), eqx.is_array)
    join = lambda arrays: eqx.combine(arrays, static)
    return in_jax(lambda w, x, c: run(join(w), x, c), arrays, lambda w: from_equinox(join(w))[1], xs, carry)


def torch(cell: gr.Cell, params: gr.Params, xs: Any, carry: Any) -> Ready:
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


def onnxruntime(cell: gr.Cell, params: gr.Params, xs: Any, carry: Any) -> Ready:
    """onnxruntime on the CPU, all cores: forward alone."""
    import onnxruntime as ort

    from gatedrnn.interop.onnx import to_onnx

    session = ort.InferenceSession(to_onnx(cell, params).SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {"xs": np.asarray(xs)} | {name: np.asarray(a) for name, a in zip("hc", carry, strict=False)}
    forward = lambda: session.run(["ys"], feed)[0]
    return Ready(forward, None, np.asarray, lambda _: Gradients(None, None, ()), lambda w: w, None)


ALL = ("rnn", "gru", "lstm")
SYSTEMS: dict[str, tuple[Callable[..., Ready], tuple[str, ...]]] = {
    "gatedrnn": (ours(gr.Segmented()), ALL),
    "gatedrnn, 2 devices": (two_devices, ALL),
    "gatedrnn, Checkpointed": (checkpointed, ALL),
    "lax.scan + jax.grad": (plain_scan, ALL),
    "flax linen": (linen, ALL),
    "flax nnx": (nnx, ALL),
    "keras on JAX": (keras, ALL),
    "dm-haiku": (haiku, ("lstm",)),
    "equinox": (equinox, ("gru", "lstm")),
    "torch.nn": (torch, ALL),
    "onnxruntime": (onnxruntime, ALL),
}
OURS = ("gatedrnn", "gatedrnn, 2 devices", "gatedrnn, Checkpointed")
REFERENCE = "lax.scan + jax.grad"
FORWARD_ONLY = ("onnxruntime",)
