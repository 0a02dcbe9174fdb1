"""The one table of tolerances: dtype table x sqrt(reduction length).

Rounding errors of a sum of n terms of order one grow like a random walk, as sqrt(n).
"""

import chex
import jax
import numpy as np

TABLE = {
    "bfloat16": 4e-3,  # half a unit in the last place of numbers of order one
    "float32": 1e-6,
    "float64": 1e-14,
    "difference": 1e-8,  # central differences in float64: rounding 1e-16 / 1e-5, amplified by the loop
    "second difference": 1e-6,  # truncation (1e-3)^2 times a fourth derivative
}


def tolerance(kind, length):
    """Largest absolute error, and relative error of an entry above one, allowed after `length` additions."""
    return TABLE[kind] * length**0.5


def assert_close(got, want, kind, length):
    """Both trees have one structure and agree, entry by entry, within `tolerance(kind, length)`."""
    limit = tolerance(kind, length)
    got, want = (jax.tree.map(lambda a: np.asarray(a, np.float64), tree) for tree in (got, want))
    chex.assert_trees_all_close(got, want, rtol=limit, atol=limit)
