"""What the layers are compared on: padded batches, and two functions of one argument each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

B, T, D, H = 3, 6, 3, 4


@pytest.fixture
def xs():
    """float32 [B, T, D]."""
    return jax.random.normal(jax.random.key(1), (B, T, D))


@pytest.fixture
def agree():
    """(mine, theirs, lengths, *arguments): (carry, ys) and the gradients of both functions agree to 1e-5.

    Outputs behind the lengths are zero in mine, and are not looked at in theirs.
    """

    def check(mine, theirs, lengths, *arguments):
        (got, pull_got), (want, pull_want) = (jax.vjp(run, *arguments) for run in (mine, theirs))
        carry, ys = want
        if lengths is not None:
            there = np.arange(ys.shape[-2]) < np.asarray(lengths)[..., None]
            ys = jnp.where(there[..., None], ys, jnp.zeros((), ys.dtype))
        want = carry, ys
        assert jax.tree.structure(got) == jax.tree.structure(want)
        cotangent = jax.tree.map(jnp.cos, want)
        if lengths is not None:
            cotangent = cotangent[0], jnp.where(there[..., None], cotangent[1], 0.0)
        for a, b in ((got, want), (pull_got(cotangent), pull_want(cotangent))):
            for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
                assert p.dtype == q.dtype
                np.testing.assert_allclose(p, q, rtol=0, atol=1e-5)

    return check
