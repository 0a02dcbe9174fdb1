"""Directions in which a carry is perturbed, as orthonormal columns, and the Jacobian of a step acting on them.

pack      k carry-shaped tangents, [k, B, ...] each  ->  one array [B, S, k]
push      Q -> J Q          pull      Q -> J^T Q            J = d carry after / d carry before, [B, S, S], never formed
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry

Push = Callable[[Array], Array]


def widths_of(carry: Carry) -> list[int]:
    """How many numbers each part of a batched carry holds per row; their sum is S."""
    return [math.prod(part.shape[1:]) for part in jax.tree.leaves(carry)]


def pack(tangents: Carry) -> Array:
    """[k, B, ...] each -> [B, S, k]; B may be 0."""
    rows = [a.reshape(*a.shape[:2], math.prod(a.shape[2:])) for a in jax.tree.leaves(tangents)]
    return jnp.concatenate(rows, 2).transpose(1, 2, 0)


def unpack(q: Array, like: Carry) -> Carry:
    """[B, S, k] -> [k, B, ...] each, shaped as the carry `like`."""
    widths = widths_of(like)
    offsets = [sum(widths[: i + 1]) for i in range(len(widths) - 1)]
    pieces = jnp.split(q.transpose(2, 0, 1), offsets, axis=2)
    leaves = [a.reshape(a.shape[0], *part.shape) for a, part in zip(pieces, jax.tree.leaves(like), strict=True)]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def linearised(cell: Cell, params: Any, before: Carry, x: Array, transposed: bool = False) -> tuple[Carry, Push]:
    """One step: the carry after it, and the product with its Jacobian, or with the Jacobian's transpose."""

    def step(carry: Carry) -> Carry:
        return cell.step(params, carry, x)[0]

    if transposed:
        after, pull = jax.vjp(step, before)
        return after, lambda q: pack(jax.vmap(lambda one: pull(one)[0])(unpack(q, after)))
    after, push = jax.linearize(step, before)
    return after, lambda q: pack(jax.vmap(push)(unpack(q, before)))


def directions(size: int, k: int, dtype: Any) -> Array:
    """Orthonormal columns [S, k]: all unit vectors, or k random ones, which no symmetry of the weights can miss."""
    return jnp.eye(size, dtype=dtype) if k == size else random_directions(size, k, dtype)


def random_directions(size: int, k: int, dtype: Any) -> Array:
    """k random orthonormal columns [S, k], the same ones at every call."""
    return jnp.linalg.qr(jax.random.normal(jax.random.key(0), (size, k), dtype))[0]
