"""The systems: each gives a function that runs a case and waits, and the outputs of its forward pass."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import gatedrnn as gr
from benchmarks.kernels.cases import INPUTS, Case, Drawn, cell_of


class Ready(NamedTuple):
    """A system at a case.

    Attributes:
        run: computes and waits.
        outputs: computes [T, B, H].
    """

    run: Callable[[], object]
    outputs: Callable[[], Any]


class Absent(Exception):
    """The system does not have the case; says why."""


Build = Callable[[Case, Drawn], Ready]
COMMAND_BUFFERS = {  # loops become graphs, which start all their kernels at once
    "xla_gpu_enable_command_buffer": "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,WHILE,CONDITIONAL",
    "xla_gpu_graph_min_graph_size": 1,
}


def in_jax(case: Case, given: Drawn, forward: Callable[[Any, Array], Array], params: Any, options: Any = None) -> Ready:
    """Of outputs [T, B, H] that are a function of weights and inputs; `options` are the compiler's."""
    loss = lambda params, xs, weights: jnp.sum(forward(params, xs).astype(jnp.float32) * weights)
    run: Any = jax.jit(forward, compiler_options=options)
    arguments: tuple[Any, ...] = (params, given.xs)
    if case.side == "gradient":
        run, arguments = (
            jax.jit(jax.grad(loss, argnums=(0, 1)), compiler_options=options),
            (params, given.xs, given.weights),
        )
    return Ready(lambda: jax.block_until_ready(run(*arguments)), lambda: np.asarray(jax.jit(forward)(params, given.xs)))


def ours(method: gr.Method, options: Any = None) -> Build:
    """gatedrnn by a method; `Fused` where it has kernels, not where it falls back."""

    def build(case: Case, given: Drawn) -> Ready:
        cell = cell_of(case)
        told = gr.explain(cell, given.params, given.xs, method=method)[0]
        if isinstance(method, gr.Fused) and told.forward != "kernel":
            raise Absent(told.why)
        run = lambda p, xs: gr.unroll(cell, p, xs, method=method)[1]
        return in_jax(case, given, run, given.params, options)

    return build


def torch(case: Case, given: Drawn) -> Ready:
    """torch.nn: cuDNN on a GPU, with TF32 as our products have it."""
    try:
        import torch as th
    except ImportError as error:
        raise Absent(str(error)) from None
    from gatedrnn.interop.torch import to_torch

    device = "cuda" if th.cuda.is_available() else "cpu"
    th.backends.cudnn.allow_tf32 = True
    dtype = getattr(th, case.dtype)
    whole = jax.tree.map(lambda a: a.astype(jnp.float32), given)
    module = to_torch(cell_of(case), whole.params).to(device, dtype)
    xs, weights = (th.from_numpy(np.array(a)).to(device, dtype) for a in (whole.xs, whole.weights))
    leaves = [*module.parameters(), xs.requires_grad_()]

    def outputs() -> Any:
        with th.no_grad():
            return module(xs)[0]

    def run() -> None:
        if case.side == "forward":
            outputs()
        else:
            th.autograd.grad((module(xs)[0] * weights).sum(), leaves)
        if device == "cuda":
            th.cuda.synchronize()

    return Ready(run, lambda: outputs().float().cpu().numpy())


def jax_cudnn(case: Case, given: Drawn) -> Ready:
    """The LSTM of `jax.experimental.rnn`, which is cuDNN's; gates in our order, a second bias of zeros."""
    if case.cell != "lstm" or case.dtype != "float32":
        raise Absent("an LSTM of float32 alone")
    if jax.default_backend() != "gpu":
        raise Absent("a GPU alone")
    from jax.experimental import rnn

    flat = jnp.concatenate(
        [
            given.params.input["w"].T.ravel(),
            given.params.recurrent["w"].T.ravel(),
            given.params.input["b"],
            jnp.zeros(4 * case.units),
        ]
    )
    zero = jnp.zeros((1, case.batch, case.units))
    lengths = jnp.full(case.batch, case.steps, jnp.int32)

    def forward(flat: Any, xs: Array) -> Array:
        rows = jnp.swapaxes(xs, 0, 1)
        ys = rnn.lstm(rows, zero, zero, flat, lengths, INPUTS, case.units, 1, 0.0, False)[0]
        return jnp.swapaxes(ys, 0, 1)

    return in_jax(case, given, forward, flat)


def systems(dry: bool) -> dict[str, Build]:
    """By name, the one that is to be measured first."""
    return {
        "Fused": ours(gr.Fused(interpret=dry)),
        "torch": torch,
        "Segmented": ours(gr.Segmented()),
        "Segmented, command buffers": ours(gr.Segmented(), COMMAND_BUFFERS),
        "cuDNN in JAX": jax_cudnn,
        "Autodiff": ours(gr.Autodiff()),
    }
