"""The order of steps: against time, and which of them count."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def flipped(flip: bool, *arrays: Any) -> tuple[Any, ...]:
    """Arrays [T, ...] with their first axis turned round where `flip` says so; None and scalars stay.

    This is all that `reverse` is in an analysis: inputs, flags and cotangents are turned before the measurement and its
    rows after it, so that row 0 belongs to the carry after the last step run, row T to the carry before the first.
    """
    return tuple(a[::-1] if flip and a is not None and jnp.ndim(a) else a for a in arrays)


def counted_steps(mask: Array | None, reset: Array | None, shape: tuple[int, int]) -> Array:
    """Bool [T, B]: the steps at which a perturbation of the carry is passed on: run, and not started afresh."""
    counted = jnp.ones(shape, bool) if mask is None else mask
    return counted if reset is None else counted & ~reset


def traced(*values: Any) -> bool:
    """Whether the numbers of some value are not known yet, since a function that takes it is being transformed."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))
