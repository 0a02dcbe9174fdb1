"""Which units tell two classes apart: how surely a unit's value alone would say which class it was.

s = P(value | class 1 > value | class 0) - P(value | class 1 < value | class 0)        in [-1, 1]
"""

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._check import fail


def selectivity(values: Array, labels: Array) -> Array:
    """The rank statistic of every unit, 2 AUC - 1.

    Args:
        values: of units, such as the cell state before the verb, [N, H].
        labels: bool [N], or 0 and 1.

    Returns:
        float32 [H]: 1 where the unit is higher in every sample of class 1 than in any of class 0, -1 where lower, 0
        where it tells nothing.

    Raises:
        ValueError: shapes do not match, or one class is missing.

    Example:
        >>> import jax.numpy as jnp, gatedrnn as gr
        >>> gr.flow.selectivity(jnp.array([[0.1, 5.0], [0.2, 3.0], [0.7, 4.0]]), jnp.array([0, 0, 1])).tolist()
        [1.0, 0.0]

    References:
        Mann, Whitney, "On a test of whether one of two random variables is stochastically larger than the other", 1947,
        https://doi.org/10.1214/aoms/1177730491
    """
    values, labels = jnp.asarray(values), jnp.asarray(labels).astype(bool)
    if values.ndim != 2 or labels.shape != values.shape[:1]:
        raise fail("labels", "[N] to match `values` [N, H]", f"{labels.shape} for {values.shape}")
    ones = int(labels.sum())
    if not 0 < ones < labels.size:
        raise fail("labels", "of both classes", f"{ones} of class 1 among {labels.size}")
    first, second = values[~labels], values[labels]  # [N0, H], [N1, H]
    return jax.vmap(_separation, in_axes=1)(first, second)


def _separation(zeros: Array, ones: Array) -> Array:
    """For one unit: by how much more often a value of `ones` lies above one of `zeros` than below."""
    zeros = jnp.sort(zeros)
    below = jnp.searchsorted(zeros, ones, side="left").astype(jnp.float32)  # how many of `zeros` are smaller
    not_above = jnp.searchsorted(zeros, ones, side="right").astype(jnp.float32)
    return jnp.mean((below + not_above) / zeros.size - 1.0)
