"""Recurrent gates and gradients of the weights, of a whole segment at once."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._device import platform
from gatedrnn._forms import Carry, Gates, Params, taken_apart
from gatedrnn._jacobian import Blocks, weigh


def rows_of(a: Array) -> Array:
    """[K, B, N] -> [K * B, N]."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


def weight_gradient(function: Callable[..., Gates], weights: Any, rows: Array, dgates: Sequence[Array]) -> Any:
    """Of `function(weights, rows [K * B, D])` by the weights, for the gates' cotangents [K * B, H].

    A sum over time and batch is a product of x^T and dgates. On a CPU XLA copies dgates into the other order, unless
    x^T is there already; so x, where it is no larger, is copied first.
    """
    if platform() == "cpu" and rows.shape[-1] <= sum(d.shape[-1] for d in dgates):
        rows = lax.optimization_barrier(rows.T).T
    _, pull = jax.vjp(lambda weights: function(weights, rows), weights)
    return pull(tuple(dgates))[0]


def unit_gradient(unit: Any, blocks: Sequence[Blocks], dcarries: Carry) -> Any:
    """Of the weights of the units, [H] each: their cotangents [K, B, H], summed over time and batch."""
    found = [weigh(column, dcarries) for column in zip(*(block.unit for block in blocks), strict=True)]
    sums = [a.sum(tuple(range(a.ndim - 1))) for a in found]
    return jax.tree.unflatten(jax.tree.structure(unit), sums)


class Normed(NamedTuple):
    """A segment's recurrent gates behind `norm`; without one, as `recur` gives them.

    Attributes:
        gates: as `pointwise` reads them, G arrays [K, B, H].
        product: what went through the norm, likewise; () without one.
        pull: of every step the transposed derivative of the norm: a pytree of [K, ...], once it is taken apart step by
            step a function of G arrays [B, H]; None without one.
    """

    gates: Gates
    product: Gates
    pull: Any


def normed_gates(cell: Cell, params: Params, h: Array) -> Normed:
    """The recurrent half of every gate, of h [K, B, H]."""
    norm = cell.norm
    if norm is None:
        found = cell.recur(params.recurrent, rows_of(h))
        return Normed(tuple(gate.reshape(h.shape) for gate in found), (), None)
    bias, product = taken_apart(cell.recur, params, h)
    above, pull = jax.vmap(lambda gates: jax.vjp(functools.partial(norm, params.norm), gates))(product)
    return Normed(tuple(a + b for a, b in zip(above, bias, strict=True)), product, pull)


def recurrent_gradient(cell: Cell, params: Params, h: Array, normed: Normed, dgates: Sequence[Array]) -> Params:
    """`params` with the gradients of `recurrent` and `norm` in their places.

    Args:
        cell: in three-function form.
        params: its weights.
        h: what `recur` read, [K, B, H].
        normed: of that h.
        dgates: the cotangents of `normed.gates`, G arrays [K, B, H].
    """
    rows, read = rows_of(h), tuple(dgates)
    if cell.norm is None:
        found = weight_gradient(cell.recur, params.recurrent, rows, [rows_of(d) for d in read])
        return params._replace(recurrent=found)
    dnorm, dproduct = jax.vjp(cell.norm, params.norm, normed.product)[1](read)
    found = weight_gradient(cell.recur, params.recurrent, rows, [rows_of(d) for d in dproduct])
    of_bias = jax.vjp(
        lambda weights: tuple(cell.recur(weights, jnp.zeros_like(rows, shape=rows.shape[1:]))), params.recurrent
    )[1]
    beside = tuple((d - p).sum(tuple(range(d.ndim - 1))) for d, p in zip(read, dproduct, strict=True))  # no norm's
    return params._replace(recurrent=jax.tree.map(jnp.add, found, of_bias(beside)[0]), norm=dnorm)
