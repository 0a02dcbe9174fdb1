"""Sequences of many lengths in one array: lengths as a mask, packed documents as resets.

mask[t, b]  = t < lengths[b]
reset[t, b] = segment_ids[t, b] != segment_ids at the step of the row that is run before t
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gatedrnn._check import check_array, fail
from gatedrnn._jax import concrete


def mask_of(lengths: Any, shape: tuple[int, ...], mask: Array | None = None) -> Array:
    """The mask of padded rows, bool [T, B], or [T] for no batch axis; where `mask` is given, what both allow.

    Args:
        lengths: whole numbers [B] (or []), each from 0 to T: the steps of a row that are there.
        shape: (T, B), or (T,).
        mask: bool like `shape`, or None.

    Raises:
        ValueError: `lengths` has another shape or dtype, or one is not from 0 to T.
    """
    steps = shape[0]
    lengths = check_array("lengths", "whole numbers [B]", lengths)
    if lengths.shape != shape[1:] or not jnp.issubdtype(lengths.dtype, jnp.integer):
        letters = "[B]" if shape[1:] else "[]"
        expected = f"whole numbers {letters} = {shape[1:]}, one per row of `xs` [T, B, D] (or pass `batch_major=True`)"
        raise fail("lengths", expected, f"{lengths.dtype} {lengths.shape}")
    if concrete(lengths):
        found = np.asarray(lengths)
        if found.size and (found.min() < 0 or found.max() > steps):
            worst = found.min() if found.min() < 0 else found.max()
            raise fail("lengths", f"from 0 to T = {steps}", worst)
    places = _places(shape)
    inside = places < jnp.broadcast_to(lengths.astype(places.dtype)[None], shape)
    return inside if mask is None else inside & mask


def reset_of(
    segment_ids: Any,
    shape: tuple[int, ...],
    mask: Array | None = None,
    reset: Array | None = None,
    reverse: bool = False,
) -> Array:
    """The resets of packed documents, bool [T, B] or [T]; where `reset` is given, those, too.

    The first step that a row runs begins from the carry that it is given: it has no document before it.

    Args:
        segment_ids: whole numbers like `shape`, a document's steps alike.
        mask: bool like `shape`, or None: masked steps belong to no document.
        reset: bool like `shape`, or None.
        shape: (T, B), or (T,).
        reverse: whether the last step is run first.

    Raises:
        ValueError: `segment_ids` has another shape or dtype.
    """
    ids = check_array("segment_ids", "whole numbers [T, B]", segment_ids)
    mask = None if mask is None else check_array("mask", "a bool array", mask)
    if ids.shape != shape or not jnp.issubdtype(ids.dtype, jnp.integer):
        letters = "[T, B]" if len(shape) == 2 else "[T]"
        raise fail("segment_ids", f"whole numbers {letters} = {shape} to match `xs`", f"{ids.dtype} {ids.shape}")
    if shape[0] == 0:
        return jnp.zeros(shape, bool) if reset is None else reset
    if reverse:
        ids, mask = ids[::-1], None if mask is None else mask[::-1]
    places = _places(shape)
    run = places if mask is None else jnp.where(mask, places, -1)
    before = lax.cummax(run)  # the last step that is run, this one or earlier
    before = jnp.concatenate([jnp.full_like(before[:1], -1), before[:-1]])
    changed = (ids != jnp.take_along_axis(ids, jnp.maximum(before, 0), axis=0)) & (before >= 0)
    changed = changed[::-1] if reverse else changed
    return changed if reset is None else changed | reset


def _places(shape: tuple[int, ...]) -> Array:
    """The number of each step, like `shape`."""
    return jnp.broadcast_to(jnp.arange(shape[0]).reshape(-1, *(1 for _ in shape[1:])), shape)
