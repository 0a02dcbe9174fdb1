"""Which units tell two classes apart: how surely a unit's value alone would say which class it was.

s = P(value | class 1 > value | class 0) - P(value | class 1 < value | class 0)        in [-1, 1]
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._check import check_array, fail
from gatedrnn._jax import concrete


def selectivity(values: Array, labels: Array) -> Array:
    """The rank statistic of every unit, 2 AUC - 1.

    Args:
        values: of units, such as the cell state before the verb, [N, H].
        labels: bool [N], or 0 and 1.

    Returns:
        float32 [H]: 1 where the unit is higher in every sample of class 1 than in any of class 0, -1 where lower, 0
        where it tells nothing. Its shape depends on no label, so it runs under `jit` and `vmap`.

    Raises:
        ValueError: shapes do not match; or, where the numbers are known (they are not while they are traced), one class
            is missing, a label is neither 0 nor 1, or a value is NaN.

    Example:
        >>> import jax.numpy as jnp, gatedrnn as gr
        >>> gr.flow.selectivity(jnp.array([[0.1, 5.0], [0.2, 3.0], [0.7, 4.0]]), jnp.array([0, 0, 1])).tolist()
        [1.0, 0.0]

    References:
        Mann, Whitney, "On a test of whether one of two random variables is stochastically larger than the other", 1947,
        https://doi.org/10.1214/aoms/1177730491
    """
    values = check_array("values", "real numbers [N, H]", values)
    labels = check_array("labels", "bool, or 0 and 1, [N]", labels)
    if values.ndim != 2 or jnp.iscomplexobj(values):
        raise fail("values", "real numbers [N, H]", f"{values.dtype} {values.shape}")
    if labels.shape != values.shape[:1]:
        raise fail("labels", "[N] to match `values` [N, H]", f"{labels.shape} for {values.shape}")
    if concrete(values, labels):
        _check_numbers(np.asarray(values), np.asarray(labels))
    return jax.vmap(_separation, in_axes=(1, None))(values, labels.astype(bool))


def _check_numbers(values: np.ndarray, labels: np.ndarray) -> None:
    found = np.unique(labels)
    if not np.isin(found, (0, 1)).all():
        raise fail("labels", "bool, or 0 and 1", f"{found[~np.isin(found, (0, 1))][0]}")
    if len(found) < 2:
        raise fail("labels", "of both classes", f"{int(labels.sum())} of class 1 among {labels.size}")
    if np.isnan(values).any():
        raise fail("values", "numbers", f"NaN at {tuple(int(i) for i in np.argwhere(np.isnan(values))[0])}")


def _separation(values: Array, ones: Array) -> Array:
    """For one unit [N]: by how much more often a value of class 1 lies above one of class 0 than below."""
    order = jnp.argsort(values)
    zeros = jnp.concatenate(
        [jnp.zeros(1, jnp.float32), jnp.cumsum(~ones[order], dtype=jnp.float32)]
    )  # among the i smallest values
    smaller, not_larger = (zeros[jnp.searchsorted(values[order], values, side=side)] for side in ("left", "right"))
    gain = (smaller + not_larger) / zeros[-1] - 1  # [N]
    return jnp.where(ones, gain, 0).sum() / ones.sum(dtype=jnp.float32)
