"""flax's cells, linen and nnx, in which every weight and bias is a random number."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

B, D, H = 2, 3, 5


def randomised(tree):
    """Random numbers in the shapes and dtypes of a pytree."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda a: jnp.asarray(0.7 * rng.normal(size=a.shape), a.dtype), tree)


def linen_of(kind, dtype="float32", **options):
    """A linen cell, and variables in which every weight and bias is a random number."""
    module, key, x = kind(H, param_dtype=dtype, **options), jax.random.key(0), jnp.zeros((B, D), dtype)
    return module, randomised(jax.eval_shape(module.init, key, module.initialize_carry(key, x.shape), x))


def nnx_of(kind, dtype="float32", **options):
    """An nnx cell in which every weight and bias is a random number."""
    module = kind(D, H, dtype=dtype, param_dtype=dtype, rngs=nnx.Rngs(0), **options)
    structure, state = nnx.split(module)
    return nnx.merge(structure, randomised(state))
