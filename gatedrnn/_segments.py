"""A scan over segments of K steps, for any T: what a segment needs at once stays small and is computed as one piece."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._jax import is_static, scan


def nearest_divisor(steps: int, target: int) -> int:
    """The divisor of `steps` nearest to `target`, if one lies within a factor of 2; else `target`."""
    near = [k for k in range((target + 1) // 2, 2 * target + 1) if steps % k == 0]
    return min(near, key=lambda k: abs(k - target), default=target)


def over_segments(
    segment: Callable[[Any, Any, Any], tuple[Any, Any, Any]],
    carry: Any,
    per_step: Any,
    per_segment: tuple[Any, Any],
    length: int,
    reverse: bool,
) -> tuple[Any, Any, tuple[Any, Any]]:
    """Scans `segment` over T = n K + R steps: n segments of K, and the last R steps as one shorter segment.

    Args:
        segment: `(carry, per_step [K, ...], per_segment) -> (carry, per_step [K, ...], per_segment)`.
        carry: handed from segment to segment, in the order of time, or against it if `reverse`.
        per_step: pytree of [T, ...].
        per_segment: a pair: pytree of [n, ...] for the whole segments, and the same without n for the rest.
        length: K.
        reverse: whether segments are visited from last to first.

    Returns:
        The last carry, and what the segments gave, laid out as `per_step` and `per_segment`.
    """
    steps = jax.tree.leaves(per_step)[0].shape[0]
    # A symbol of `jax.export` is one piece: no loop can be told to run an unknown number of times, perhaps none.
    whole = steps - steps % length if is_static(steps) else 0
    out: Any = None
    kept: Any = None
    rest: Any = None

    def one(carry: Any, inputs: Any) -> tuple[Any, Any]:
        carry, out, kept = segment(carry, *inputs)
        return carry, (out, kept)

    def last(carry: Any) -> tuple[Any, Any]:
        return one(carry, (jax.tree.map(lambda a: a[whole:], per_step), per_segment[1]))

    has_rest = not (is_static(steps) and whole == steps)
    if has_rest and reverse:
        carry, (out_rest, rest) = last(carry)
    if whole or not has_rest:
        cut = jax.tree.map(lambda a: a[:whole].reshape(whole // length, length, *a.shape[1:]), per_step)
        carry, (out, kept) = scan(one, carry, (cut, per_segment[0]), reverse=reverse)
        out = jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), out)
    if has_rest and not reverse:
        carry, (out_rest, rest) = last(carry)
    if has_rest:
        out = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), out, out_rest) if whole else out_rest
        kept = kept if whole else jax.tree.map(lambda a: jnp.zeros((0, *a.shape), a.dtype), rest)
    return carry, out, (kept, rest)


def first_of_segments(start: Array, after: Array, length: int, reverse: bool) -> tuple[Array, Array]:
    """What stood before the first step of each segment that `over_segments` makes, laid out as its `per_segment`.

    Args:
        start: before the step that is run first, [...].
        after: after every step, [T, ...].
        length: K.
        reverse: whether the last step is run first.
    """
    steps = after.shape[0]
    whole = steps - steps % length if is_static(steps) else 0
    if not whole:
        return after[:0], start
    if reverse:
        starts = after[length::length]
        return starts if whole < steps else jnp.concatenate([starts, start[None]]), start
    return jnp.concatenate([start[None], after[length - 1 : whole - 1 : length]]), after[whole - 1]
