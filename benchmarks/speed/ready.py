"""A system compiled for one problem: how it runs, and how its numbers become ours."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import gatedrnn as gr
from benchmarks.speed.clock import milliseconds

Weights = Any
"""A framework's own, a pytree of arrays."""
Run = Callable[[Weights, Array, Any], Array]
"""`(weights, xs, carry) -> ys`, in the framework's own layout."""


class Gradients(NamedTuple):
    """What a backward pass gave: in the framework's weights, in xs [T, B, D] and in the carry, h first."""

    weights: Weights
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
    convert: Callable[[Weights], gr.Params]
    weights: Weights
    trace_s: float | None = None
    compile_s: float | None = None
    programs: tuple[Callable[[], jax.stages.Compiled], ...] = ()
    keeps_outputs: bool = True


def in_jax(
    run: Run,
    weights: Weights,
    convert: Callable[[Weights], gr.Params],
    xs: Array,
    carry: Any,
    batch_major: bool = False,
    loss: Run | None = None,
) -> Ready:
    """A system that JAX compiles, forward + backward at once. `loss`: in place of one that waits for all of `ys`."""
    turn = (lambda a: a.swapaxes(0, 1)) if batch_major else (lambda a: a)
    arguments = (weights, turn(xs), carry)
    whole = loss or (lambda *given: jnp.mean(run(*given) ** 2))
    lower = functools.cache(lambda: jax.jit(jax.grad(whole, argnums=(0, 1, 2))).lower(*arguments))
    gradient = functools.cache(lambda: lower().compile())
    forward = functools.cache(lambda: jax.jit(run).lower(*arguments).compile())  # not all who measure need it
    traced, compiled = milliseconds(lower), milliseconds(gradient)

    def gradients(found: Any) -> Gradients:
        dweights, dxs, dcarry = found
        return Gradients(dweights, turn(np.asarray(dxs)), tuple(jax.tree.leaves(dcarry)))

    return Ready(
        lambda: jax.block_until_ready(forward()(*arguments)),
        lambda: jax.block_until_ready(gradient()(*arguments)),
        lambda ys: turn(np.asarray(ys)),
        gradients,
        convert,
        weights,
        trace_s=traced / 1e3,
        compile_s=(traced + compiled) / 1e3,
        programs=(forward, gradient),
        keeps_outputs=loss is None,
    )
