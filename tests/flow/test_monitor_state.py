"""What the guard of a monitored training looks at, and what it holds a copy of."""

import jax
import jax.numpy as jnp
import numpy as np

from gatedrnn.flow._state import broken, hold, spared
from gatedrnn.flow._watched import norm_of


def test_finite_to_the_edge():
    """No alarm at the largest numbers of any kind, though their sum overflows; one for a single NaN in any place."""
    edge = {
        kind: jnp.full((3, 5), jnp.finfo(kind).max, kind) for kind in ("float16", "bfloat16", "float32", "complex64")
    }
    others = {"key": jax.random.key(0), "count": jnp.arange(3), "none": jnp.zeros((0, 4)), "name": "run"}
    host = {"number": 1e300, "array": np.full(4, 1e300), "counts": np.arange(3)}  # infinite in float32
    assert broken({"results": edge | others | host}) == [] and broken({"results": ()}) == []
    for kind, a in edge.items():
        assert broken({"results": edge | others | {kind: a.at[2, 4].set(-jnp.inf)}}) == [f"results['{kind}']"]
    half = edge["complex64"].at[0, 1].set(complex(1, np.nan))
    spoiled = {"number": float("inf"), "array": np.array([0, np.nan]), "complex64": half, "counts": np.arange(3)}
    assert broken({"results": spoiled}) == [f"results['{name}']" for name in ("array", "complex64", "number")]


def test_copies_of_what_was_ever_donated():
    """None where every step leaves the array alive; one for good where a step took it; of NumPy nothing is known."""
    taken, left, host = jnp.ones(3), jnp.ones(3), np.ones(3)
    first = hold((taken, left, host), [])
    taken.delete()
    assert all(kept is not a for kept, a in zip(first.values()[:2], (taken, left), strict=True))
    np.testing.assert_array_equal(first.values()[0], np.ones(3))
    known = spared(first)
    assert known == [[False], [True], [None]]
    fresh = jnp.zeros(3)
    second = hold((fresh, left, fresh), known)
    assert [kept is a for kept, a in zip(second.values(), (fresh, left, fresh), strict=True)] == [False, True, False]
    assert spared(second) == [[False], [True], [True]]  # not taken this time, and may be the next
    assert hold((fresh,), known).spared == [[None]]  # other arguments


def test_norms_whose_squares_no_float_holds():
    """3, 4 and 12 times what float32 cannot square, of each format; zeros, nothing, and NaN."""
    for size in (1e-30, 1e25):
        for kind, tolerance in (("float32", 1e-6), ("bfloat16", 1e-2)):
            found = norm_of(jnp.asarray([[3 * size, -4 * size, 12 * size]], kind))
            assert found.dtype == jnp.float32 and abs(found / (13 * size) - 1) < tolerance
    assert norm_of(jnp.array([1.0, -jnp.inf])) == jnp.inf
    assert norm_of(jnp.zeros(3)) == 0 == norm_of(jnp.zeros((0, 2))) and jnp.isnan(norm_of(jnp.array([1.0, jnp.nan])))
