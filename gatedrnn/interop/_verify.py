"""The proof of a conversion: two functions of the same weights, inputs and carry, compared in values and gradients.

ours(weights, xs, carry) = unroll(cell, convert(weights), xs, carry)        theirs(weights, xs, carry)

Gradients are taken in the framework's own weights, ours through `convert`, so that a bias too many or too few shows.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn._forms import Carry
from gatedrnn._unroll import unroll

Outputs = tuple[Carry, Array]
Gradients = tuple[Any, Array, Carry]
Peer = Callable[[Any, Array, Carry, Outputs], tuple[Outputs, Gradients]]
"""`(weights, xs [T, B, D], carry, cotangents) -> (carry, ys), gradients in weights, xs and carry`."""


class Errors(NamedTuple):
    """Largest absolute error of each array, as a fraction of the array's largest entry.

    Attributes:
        ys: of the outputs.
        carry: of the last carry.
        dxs: of the gradient in the inputs.
        dcarry: of the gradient in the first carry.
        dweights: of the gradient in each of the framework's weights, by its name there.
    """

    ys: float
    carry: float
    dxs: float
    dcarry: float
    dweights: dict[str, float]

    @property
    def largest(self) -> float:
        """The largest of them all; NaN if any is."""
        return float(np.max([*self[:4], *self.dweights.values()]))


class ForwardErrors(NamedTuple):
    """The same for a framework without a backward pass.

    Attributes:
        ys: of the outputs.
        carry: of the last carry.
    """

    ys: float
    carry: float

    @property
    def largest(self) -> float:
        """The larger of the two; NaN if either is."""
        return float(np.max(self))


def largest_errors(
    cell: Cell, convert: Callable[[Any], Any], weights: Any, peer: Peer, xs: Any, lengths: Any = None
) -> Errors:
    """Runs both from a random carry, and back from random cotangents of the last carry and of every output.

    Args:
        cell: the cell that `convert` makes the weights of.
        convert: the framework's weights -> those of `cell`; differentiable by JAX.
        weights: a pytree of arrays.
        peer: the framework's own forward and backward pass, which knows of `lengths`.
        xs: inputs, [T, B, D].
        lengths: whole numbers [B], as in `unroll`; None for all steps.

    Raises:
        ValueError: `xs` has another rank or width, or `lengths` are none of its rows.
    """
    xs, carry = _start(cell, convert(weights), xs)

    def ours(weights: Any, xs: Array, carry: Carry) -> Outputs:
        return unroll(cell, convert(weights), xs, carry, lengths=lengths)

    (end, ys), pull = jax.vjp(ours, weights, xs, carry)
    cotangents = _normal(1, (end, ys))
    dweights, dxs, dcarry = pull(cotangents)
    (peer_end, peer_ys), (peer_dweights, peer_dxs, peer_dcarry) = peer(weights, xs, carry, cotangents)
    paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in jax.tree.leaves_with_path(weights)]
    by_weight = map(_error, jax.tree.leaves(dweights), jax.tree.leaves(peer_dweights))
    return Errors(
        _error(ys, peer_ys),
        _worst(end, peer_end),
        _error(dxs, peer_dxs),
        _worst(dcarry, peer_dcarry),
        dict(zip(paths, by_weight, strict=True)),
    )


def forward_errors(
    cell: Cell, params: Any, run: Callable[[Array, Carry], Outputs], xs: Any, **options: Any
) -> ForwardErrors:
    """Runs both from a random carry, forward alone.

    Args:
        cell: any cell.
        params: its weights.
        run: the framework's own forward pass, `(xs [T, B, D], carry) -> (carry, ys)`.
        xs: inputs, [T, B, D].
        options: those of `unroll` with which `run` agrees, such as `lengths` and `reverse`.

    Raises:
        ValueError: `xs` has another rank or width, or as `unroll` of the options.
    """
    xs, carry = _start(cell, params, xs)
    end, ys = unroll(cell, params, xs, carry, **options)
    peer_end, peer_ys = run(xs, carry)
    return ForwardErrors(_error(ys, peer_ys), _worst(end, peer_end))


def differentiated(run: Callable[[Any, Array, Carry], Outputs]) -> Peer:
    """The peer whose forward pass is `run(weights, xs, carry) -> (carry, ys)`, differentiated by JAX."""

    def peer(weights: Any, xs: Array, carry: Carry, cotangents: Outputs) -> tuple[Outputs, Gradients]:
        outputs, pull = jax.vjp(run, weights, xs, carry)
        return outputs, pull(jax.tree.map(lambda a, b: a.astype(b.dtype), cotangents, outputs))

    return peer


def _start(cell: Cell, params: Any, xs: Any) -> tuple[Array, Carry]:
    """The inputs in the dtype of the weights, and a random first carry."""
    if np.ndim(xs) != 3:
        raise fail("xs", "[T, B, D]", np.shape(xs))
    xs = jnp.asarray(xs, jax.tree.leaves(params)[0].dtype)
    zero = jax.tree.map(lambda a: a.astype(xs.dtype), cell.initial_carry(params, xs.shape[1]))
    return xs, _normal(0, zero)


def _normal(seed: int, like: Any) -> Any:
    leaves, structure = jax.tree.flatten(like)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    draws = [jax.random.normal(key, a.shape, a.dtype) for key, a in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, draws)


def _worst(got: Carry, want: Carry) -> float:
    pairs = zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True)
    return float(np.max([_error(a, b) for a, b in pairs]))


def _error(got: Any, want: Any) -> float:
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    scale = np.abs(want).max(initial=np.finfo(np.float64).tiny)
    return float(np.abs(got - want).max(initial=0.0) / scale)
