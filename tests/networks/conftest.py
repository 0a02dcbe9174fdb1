"""Random problems for networks, and networks as literal NumPy loops over their layers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

import gatedrnn as gr

T, B, D, H = 7, 4, 3, 4


def layer(cell, params, xs, mask, reset, reverse=False):
    """(last parts, outputs [T, B, H]) of one cell, by its loop from the paper; outputs at masked steps are zero."""
    end, ys, _ = reference.LOOPS[cell.name](params, xs, None, mask=mask, reset=reset, reverse=reverse)
    return tuple(end), ys


def ends(reset, mask):
    """Where episodes end, row by row: at the last step that is run before one that `reset` begins."""
    found = np.zeros_like(reset)
    for row in range(reset.shape[1]):
        before = None
        for t in range(reset.shape[0]):
            if mask[t, row]:
                if reset[t, row] and before is not None:
                    found[before, row] = True
                before = t
    return found


@pytest.fixture(scope="session")
def loops():
    """(network, params, xs, mask, reset) -> outputs [T, B, ...] in float64, of stacks and directions of cells."""

    def outputs(network, params, xs, mask, reset, reverse=False):
        run = network.network
        if run is None:
            return layer(network, params, xs, mask, reset, reverse)[1]
        if hasattr(run, "merge"):
            assert not reverse
            f = outputs(run.forward, params.forward, xs, mask, reset)
            b = outputs(run.backward, params.backward, xs, mask, ends(reset, mask), True)
            found = {"concat": np.concatenate([f, b], -1), "sum": f + b, "mean": (f + b) / 2, "product": f * b}
            return found[run.merge]
        below, shown = xs, []
        for i, (cell, weights) in enumerate(zip(run.cells, params.layers, strict=True)):
            read = below
            if i and run.norm is not None:
                read = normalised(run.norm.name, params.norms[i - 1], read)
            if i and run.skip:
                read = np.concatenate([read, xs], -1)
            h = outputs(cell, weights, read, mask, reset, reverse)
            below = h + below if i and run.residual else h
            shown.append(below)
        return np.concatenate(shown, -1) if run.skip else below

    return outputs


def normalised(name, weights, x):
    """Over the last axis, as the papers have it."""
    if name == "layer_norm":
        x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * weights["scale"]
    return x + weights.get("shift", 0)


@pytest.fixture(scope="session")
def draw():
    """(network) -> params that are random in every leaf, xs [T, B, D], mask with an empty row, reset."""

    def problem(network, seed=0):
        rng = np.random.default_rng(seed)
        params = network.init(jax.random.key(seed), D, H)
        params = jax.tree.map(lambda a: a + 0.3 * jnp.asarray(rng.normal(size=a.shape), a.dtype), params)
        mask, reset = rng.random((T, B)) < 0.7, rng.random((T, B)) < 0.3
        mask[:, 2], mask[:, 3] = False, True
        return params, jnp.asarray(rng.normal(size=(T, B, D)), jnp.float32), jnp.asarray(mask), jnp.asarray(reset)

    return problem


@pytest.fixture(scope="session")
def differentiated():
    """(network, params, xs, method, key, flags) -> value and gradients of a loss of every output and last carry."""

    @functools.partial(jax.jit, static_argnames="reverse")
    def both(network, method, params, xs, key, flags, reverse):
        def loss(params, xs):
            carry, ys = gr.unroll(network, params, xs, method=method, key=key, reverse=reverse, **flags)
            weights = jnp.cos(jnp.arange(ys.size, dtype=ys.dtype)).reshape(ys.shape)
            return jnp.vdot(jnp.sin(ys), weights) + sum(jnp.sin(a + 1).sum() for a in jax.tree.leaves(carry))

        return jax.value_and_grad(loss, (0, 1))(params, xs)

    def run(network, params, xs, method, key=None, reverse=False, **flags):
        return both(network, method, params, xs, key, flags, reverse)

    return run
