"""What the layers are compared on: padded batches, and two functions of one argument each."""

import functools

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
        def kept(out):
            carry, ys = out
            if lengths is None:
                return carry, ys
            there = np.arange(ys.shape[-2]) < np.asarray(lengths)[..., None]
            return carry, jnp.where(there[..., None], ys, jnp.zeros((), ys.dtype))

        @functools.partial(jax.jit, static_argnums=0)
        def found(run, *arguments):
            out, pull = jax.vjp(run, *arguments)
            return out, pull(kept(jax.tree.map(jnp.cos, kept(out))))

        (got, gradients), (want, wanted) = (found(run, *arguments) for run in (mine, theirs))
        assert jax.tree.structure((got, gradients)) == jax.tree.structure((want, wanted))
        pairs = zip(*map(jax.tree.leaves, ((got, gradients), (kept(want), wanted))), strict=True)
        for p, q in pairs:
            assert p.dtype == q.dtype
            np.testing.assert_allclose(p, q, rtol=0, atol=1e-5)

    return check
