"""What the tests of models share: sizes, cells, and models with weights drawn at random."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gatedrnn.models import CELLS

T, B, V, D, H, OUT = 6, 2, 7, 3, 4, 5
every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)


def plain(tree):
    """Every leaf in float64, as NumPy."""
    return jax.tree.map(lambda a: np.asarray(a, np.float64), tree)


def drawn(model, dtype="float32", seed=0):
    """Weights of a model, none of which is zero; without the compilation of `init`."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda a: jnp.asarray(rng.normal(size=a.shape), dtype), jax.eval_shape(model.init, jax.random.key(0))
    )
