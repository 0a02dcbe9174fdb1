"""The order of steps: against time, and which of them count."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._sequence import Sequence


def flipped(flip: bool, *arrays: Any) -> tuple[Any, ...]:
    """Arrays [T, ...] with their first axis turned round where `flip` says so; None and scalars stay."""
    return tuple(a[::-1] if flip and a is not None and np.ndim(a) else a for a in arrays)


def turned(flip: bool, tree: Any) -> Any:
    """A pytree of arrays [T, ...], turned round where `flip` says so."""
    return jax.tree.map(lambda a: a[::-1], tree) if flip else tree


def in_order(sequence: Sequence) -> Sequence:
    """The steps in the order in which they are run.

    This is all that `reverse` is in an analysis: steps are turned before the measurement and its rows after it, so that
    row 0 belongs to the carry after the last step run, row T to the carry before the first.
    """
    return replace(sequence, **turned(sequence.reverse, sequence.steps), reverse=False)


def counted_steps(mask: Array | None, reset: Array | None, xs: Array) -> Array:
    """Bool [T, B] for `xs` [T, B, D]: the steps that are run and not started afresh, which hand perturbations on."""
    counted = jnp.ones(xs.shape[:2], bool) if mask is None else mask
    return counted if reset is None else counted & ~reset
