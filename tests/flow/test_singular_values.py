"""gr.flow.singular_values against explicit float64 products, and products whose values are known at any length."""

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

N = 4


@pytest.fixture
def values_of(matrix_cell):
    """(jacobians, ...) -> `gr.flow.singular_values` in float64 of the linear cell with these Jacobians [T, S, S]."""

    def measure(jacobians, **options):
        steps, size, _ = jacobians.shape
        with jax.enable_x64(True):
            xs = jnp.asarray(jacobians.reshape(steps, size * size))
            return gr.flow.singular_values(matrix_cell, jnp.zeros(size), xs, **options)

    return measure


def test_explicit_products(values_of):
    """All four values of the last 0, 1, 3, 4, 10 and 50 Jacobians, to ten digits; times come back in order."""
    rng = np.random.default_rng(0)
    jacobians = np.array([flow_reference.orthogonal(rng, N) @ np.diag([1.2, 1.05, 0.95, 0.8]) for _ in range(50)])
    found = values_of(jacobians, times=[40, 0, 47, 46, 49, 50])
    assert found.times.tolist() == [0, 40, 46, 47, 49, 50]
    for t, got in zip(found.times, np.asarray(found.log10), strict=True):
        want = np.linalg.svd(flow_reference.product(jacobians[t:]) if t < 50 else np.eye(N), compute_uv=False)
        np.testing.assert_allclose(got, np.log10(want), rtol=0, atol=1e-10)
    np.testing.assert_array_equal(found.change, 0)


def known(rng, diagonals, frames=None):
    """J_t = U_t D_t U_{t-1}^T, whose product from t on has the singular values prod D: [T, S, S]."""
    steps, size = diagonals.shape
    turns = [flow_reference.orthogonal(rng, size) for _ in range(steps + 1)]
    return np.array([turns[t + 1] @ np.diag(diagonals[t]) @ turns[t].T for t in range(steps)])


def test_known_at_any_length(values_of):
    """From 10^400 to 10^-3000 beside each other, equal pairs, and scaled orthogonal steps."""
    rng = np.random.default_rng(1)
    steps = 500
    for size in ([6.0, 0.5, 0.5, 1e-6], [0.1] * N, [1.0, 0.99, 1.01, 1.0]):
        diagonals = np.array(size) * np.exp(0.1 * rng.normal(size=(steps, 1)))
        found = values_of(known(rng, diagonals), times=[0, 250, 499])
        want = -np.sort(-np.array([np.log10(diagonals[t:]).sum(0) for t in (0, 250, 499)]), 1)
        np.testing.assert_allclose(found.log10, want, rtol=1e-11, atol=1e-9)


def test_leading_ones_of_a_larger_carry(values_of):
    """12 of 24 directions are followed: the first 4 values come to rest, and the last change says how far."""
    rng = np.random.default_rng(2)
    diagonals = np.broadcast_to(0.97 ** np.arange(24), (60, 24))
    found = values_of(known(rng, diagonals), times=[0, 30, 57], k=4, passes=4)
    want = np.array([60, 30, 3])[:, None] * np.log10(0.97) * np.arange(4)
    error = np.abs(np.asarray(found.log10) - want)
    assert error[:2].max() < 1e-6
    assert error[2].max() < 0.05  # three steps tell directions hardly apart
    assert (np.asarray(found.log10) <= want + 1e-9).all()
    assert (np.asarray(found.change)[:2] < 1e-6).all()


def test_masks_resets_and_nan(problem, put):
    """A masked step is the identity, nothing passes a reset, and a NaN is one until the next reset."""
    params, xs, carry, _, _, flags = problem("lstm")
    flags["reset"][5:] = False
    flags["reset"][5, 0] = flags["mask"][5, 0] = True
    xs[2, 0] = xs[8, 1] = np.nan
    flags["mask"][8, 1] = flags["mask"][2, 0] = True
    with jax.enable_x64(True):
        given = put((params, xs, carry), "float64")
        found = gr.flow.singular_values(gr.lstm, *given, times=[0, 6, 12], **jax.tree.map(jnp.asarray, flags))
    log10 = np.asarray(found.log10)
    assert np.isneginf(log10[0, 0]).all()
    assert np.isnan(log10[1, 1]).all()
    np.testing.assert_allclose(log10[2], 0, atol=1e-12)
    for b in (0, 2):
        row = {name: flag[:, b] for name, flag in flags.items()}
        clean = np.nan_to_num(xs[:, b])
        path = flow_reference.path("lstm", params, clean, [part[b] for part in carry], **row)
        want = np.linalg.svd(flow_reference.product(path.jacobians[6:]), compute_uv=False)
        # That of an explicit product is exact to rounding of its largest value.
        np.testing.assert_allclose(10 ** log10[1, b], want, rtol=1e-9, atol=1e-16)


def test_refusals(values_of):
    """The sentence names the argument."""
    jacobians = np.broadcast_to(np.eye(2), (3, 2, 2))
    for options in ({"times": [4]}, {"times": []}, {"k": 3}, {"passes": 1}):
        with pytest.raises(ValueError, match=f"`{next(iter(options))}`"):
            values_of(jacobians, **options)
