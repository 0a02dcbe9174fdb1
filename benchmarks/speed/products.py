"""A linear recurrence and its gradient: the products of a recurrent layer, and nothing else.

h' = 1/(2 G) sum over the gates of (x W + h U)
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import NamedSharding, PartitionSpec

from benchmarks.speed.clock import Program
from benchmarks.speed.problem import Size

Three = tuple[Array, Array, Array]


def rows(a: Array) -> Array:
    """[K, ..., N] -> [K * B, N]."""
    return a.reshape(-1, a.shape[-1])


def in_columns(a: Array) -> Array:
    """a^T [N, K * B], laid out before the product, where XLA would copy the other operand."""
    return lax.optimization_barrier(rows(a).T)


def run_forward(gates: int, w: Array, u: Array, h: Array, xs: Array) -> Array:
    """xs [S, K, B, D], S segments of K steps -> hs [S, K, B, H]; one sequence has no B. w [D, G * H], u [H, G * H]."""

    def step(h: Array, gates_x: list[Array]) -> tuple[Array, Array]:
        gates_h = jnp.split(h @ u, gates, axis=-1)
        h = 0.5 / gates * functools.reduce(jnp.add, map(jnp.add, gates_x, gates_h))
        return h, h

    def segment(h: Array, x: Array) -> tuple[Array, Array]:
        gates_x = (rows(x) @ w).reshape(*x.shape[:-1], -1)
        return lax.scan(step, h, jnp.split(gates_x, gates, axis=-1))

    return lax.scan(segment, h, xs)[1]


def run_backward(gates: int, w: Array, u: Array, xs: Array, before: Array, dhs: Array) -> Three:
    """The cotangents of w, u and xs from those of hs; `before` is what stood before each step, both as hs."""
    transposed = u.T.copy()  # [G * H, H]

    def step(dh: Array, dh_t: Array) -> tuple[Array, Array]:
        dgates = jnp.concatenate([0.5 / gates * (dh + dh_t)] * gates, axis=-1)
        return dgates @ transposed, dgates

    def segment(state: Three, inputs: Three) -> tuple[Three, Array]:
        dh, dw, du = state
        x, h, dhs = inputs
        dh, dgates = lax.scan(step, dh, dhs, reverse=True)
        dw, du = dw + in_columns(x) @ rows(dgates), du + in_columns(h) @ rows(dgates)
        return (dh, dw, du), (rows(dgates) @ w.T).reshape(x.shape)

    start = (jnp.zeros_like(dhs[0, 0]), jnp.zeros_like(w), jnp.zeros_like(u))
    (_, dw, du), dxs = lax.scan(segment, start, (xs, before, dhs), reverse=True)
    return dw, du, dxs


def recompute(u: Array, before: Array) -> Array:
    """h U of all of `before`, segment by segment, of which only the first's is kept."""
    return lax.scan(lambda _, h: (rows(h) @ u, None), rows(before[0]) @ u, before, reverse=True)[0]


def programs(gates: int, size: Size, devices: int, length: int) -> dict[str, Program]:
    """The passes `forward` and `backward`, and `recomputed`, the product that the engine computes again.

    Args:
        gates: G.
        size: B D H T.
        devices: how many the batch is split over.
        length: steps per segment, a divisor of T.
    """
    batch, width, hidden, steps = size
    keys = jax.random.split(jax.random.key(0), 5)
    w = jax.random.normal(keys[0], (width, gates * hidden)) / np.sqrt(width)
    u = jax.nn.initializers.orthogonal()(keys[1], (hidden, gates * hidden))
    shape = (steps // length, length) if batch == 1 else (steps // length, length, batch)
    xs = jax.random.normal(keys[2], (*shape, width))
    before, dhs = (jax.random.normal(key, (*shape, hidden)) for key in keys[3:])
    one = first = split = PartitionSpec()
    if batch > 1:
        first, split = PartitionSpec("batch"), PartitionSpec(None, None, "batch")

    def backward(*given: Array) -> Three:
        dw, du, dxs = run_backward(gates, *given)
        return lax.psum(dw, "batch"), lax.psum(du, "batch"), dxs

    forward = functools.partial(run_forward, gates)
    weights, spread = [(w, one), (u, one)], [(before, split), (dhs, split)]
    return {
        "forward": compiled(devices, forward, [*weights, (before[0, 0], first), (xs, split)], split),
        "backward": compiled(devices, backward, [*weights, (xs, split), *spread], (one, one, split)),
        "recomputed": compiled(devices, recompute, [weights[1], spread[0]], first),
    }


def compiled(devices: int, function: Callable[..., Any], given: list[tuple[Array, PartitionSpec]], out: Any) -> Program:
    """The function on arrays that are placed on so many devices; `out` is the placing of what it gives."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("batch",))
    specs = tuple(spec for _, spec in given)
    arrays = [jax.device_put(a, NamedSharding(mesh, spec)) for a, spec in given]
    whole = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=out, check_vma=False)
    return Program(jax.jit(whole).lower(*arrays).compile(), arrays)
