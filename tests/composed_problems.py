"""What the tests of composed methods share: meshes, readouts, and what is pulled back through a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh
from unroll_problems import B, H, T, problem

import gatedrnn as gr

both_ways = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])


def meshes():
    """The same two devices: as they come, with explicit axes, and as the second of two axes."""
    return {
        "plain": (Mesh(np.array(jax.devices()), ("batch",)), None),
        "explicit": (jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Explicit,)), None),
        "named axis": (jax.make_mesh((1, 2), ("model", "batch")), ("batch",)),
        "both axes": (jax.make_mesh((1, 2), ("model", "batch")), None),
    }


def pulled_back(run, *arguments):
    """What `run` returns, and the gradients of a random combination of all of it in every argument."""

    def both(*arguments):
        out, vjp = jax.vjp(run, *arguments)
        rng = np.random.default_rng(1)
        return out, vjp(jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), a.dtype), out))

    return jax.jit(both)(*arguments)


def losses(weights, ys, targets):
    """A pytree of [K, B] and [K, B, 2]; the other shapes of `ys` may be anything."""
    read = ys @ weights["w"] + jnp.broadcast_to(weights["b"], (*ys.shape[:-1], 2))
    return {"squares": jnp.square(read - targets["pair"]), "product": (read[..., 0] * targets["one"],)}


def problem_with_readout(cell, T=T, B=B):
    """A problem, and a readout's weights and targets."""
    rng = np.random.default_rng(2)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    return problem(cell, T=T, B=B), {"w": draw(H, 2), "b": draw(2)}, {"pair": draw(T, B, 2), "one": draw(T, B)}


def asked(cell, method, outputs, flags, reverse, targets):
    """What `unroll` makes of the outputs, for params, xs, carry and the readout's weights."""

    def run(params, xs, carry, weights):
        chosen = gr.Readout(losses, weights, targets) if outputs == "readout" else outputs
        return gr.unroll(cell, params, xs, carry, **flags, reverse=reverse, method=method, outputs=chosen)

    return run


each_outputs = pytest.mark.parametrize("outputs", ["all", "last", "readout"])


def error(weights, ys, targets):
    """Squares, NaN where a target is."""
    return jnp.square((ys @ weights)[..., 0] - targets)


def late(weights, ys, targets):
    """Squares of the outputs where a target is True."""
    return jnp.square(jnp.where(targets[..., None], ys @ weights, 0)).sum(-1)
