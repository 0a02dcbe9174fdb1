"""Arrays filled up with zeros to the sizes of tiles, and cut back."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn.methods.kernels._budget import Tiles


def padded(tree: Any, tiles: Tiles) -> Any:
    """Arrays [..., B, H] with whole tiles of rows and lanes."""
    rows, lanes = tiles[:2]
    return jax.tree.map(lambda a: filled(a, -(-a.shape[-2] // rows) * rows, lanes), tree)


def filled(a: Array, *sizes: int) -> Array:
    """The last axes of `a`, as large as `sizes` say, with zeros."""
    missing = [size - there for size, there in zip(sizes, a.shape[a.ndim - len(sizes) :], strict=True)]
    if not any(missing):
        return a
    return jnp.pad(a, [(0, 0)] * (a.ndim - len(sizes)) + [(0, more) for more in missing])


def flag_stream(flag: Array | None, tiles: Tiles) -> Array | None:
    """A flag [K, B] as numbers [K, B, 1], with whole tiles of rows."""
    if flag is None:
        return None
    return padded(flag.astype(jnp.float32)[..., None], tiles._replace(lanes=1))


def cut(tree: Any, batch: int, units: int) -> Any:
    """The inverse of `padded`."""
    return jax.tree.map(lambda a: a[..., :batch, :units], tree)
