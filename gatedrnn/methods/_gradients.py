"""Gradients of the weights, of a whole segment at once."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import Array, lax

from gatedrnn._forms import Carry, Gates
from gatedrnn._jacobian import Blocks, weigh


def rows_of(a: Array) -> Array:
    """[K, B, N] -> [K * B, N]."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


def weight_gradient(function: Callable[..., Gates], weights: Any, rows: Array, dgates: Sequence[Array]) -> Any:
    """Of `function(weights, rows [K * B, D])` by the weights, for the gates' cotangents [K * B, H].

    A sum over time and batch is a product of x^T and dgates. On a CPU XLA copies dgates into the other order, unless
    x^T is there already; so x, where it is no larger, is copied first.
    """
    if jax.default_backend() == "cpu" and rows.shape[-1] <= sum(d.shape[-1] for d in dgates):
        rows = lax.optimization_barrier(rows.T).T
    _, pull = jax.vjp(lambda weights: function(weights, rows), weights)
    return pull(tuple(dgates))[0]


def unit_gradient(unit: Any, blocks: Sequence[Blocks], dcarries: Carry) -> Any:
    """Of the weights of the units, [H] each: their cotangents [K, B, H], summed over time and batch."""
    found = [weigh(column, dcarries) for column in zip(*(block.unit for block in blocks), strict=True)]
    sums = [a.sum(tuple(range(a.ndim - 1))) for a in found]
    return jax.tree.unflatten(jax.tree.structure(unit), sums)
