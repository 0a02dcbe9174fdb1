"""gr.flow.selectivity against the count of all pairs, under every transformation; and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr


def problem(seed, samples=40, units=6):
    """Values with ties, and labels."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 5, (samples, units)).astype(np.float32), rng.random(samples) < 0.4


def pairs(values, labels):
    """How much more often class 1 lies above class 0 than below, over all pairs."""
    return [np.mean(np.sign(v[labels][:, None] - v[~labels][None])) for v in values.T]


@pytest.mark.parametrize("dtype", [bool, np.int32, np.float32])
def test_labels_of_any_kind(dtype):
    """Bool, or 0 and 1 as numbers."""
    values, labels = problem(0)
    np.testing.assert_allclose(gr.flow.selectivity(values, labels.astype(dtype)), pairs(values, labels), atol=1e-6)


def test_traced():
    """Under jit and vmap, over problems whose classes differ in size."""
    problems = [problem(seed) for seed in range(4)]
    values, labels = (np.stack(each) for each in zip(*problems, strict=True))
    assert len(set(labels.sum(1))) > 1
    got = jax.jit(jax.vmap(gr.flow.selectivity))(values, labels)
    np.testing.assert_allclose(got, [pairs(*one) for one in problems], atol=1e-6)
    np.testing.assert_allclose(jax.jit(gr.flow.selectivity)(values[0], labels[0]), got[0], atol=1e-7)


def test_a_perfect_unit_is_exactly_one():
    """At any number of samples: the counts are exact."""
    values = jnp.arange(100_000.0)
    got = gr.flow.selectivity(jnp.stack([values, -values, 0 * values], 1), values >= 30_000)
    np.testing.assert_array_equal(got, [1, -1, 0])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2], "`labels` must be .*0 and 1; got 2"),
        ([0.0, 1.0, 0.5], "`labels` must be .*0 and 1; got 0.5"),
        ([0.0, 1.0, np.nan], "`labels` must be .*0 and 1; got nan"),
        ([-1, 1, 1], "`labels` must be .*0 and 1; got -1"),
        ([1, 1, 1], "`labels` must be of both classes; got 3 of class 1"),
        ([[0], [1], [1]], r"`labels` must be \[N\] to match"),
    ],
)
def test_errors_of_the_labels(labels, message):
    """A third class, numbers between, one class alone, another shape."""
    with pytest.raises(ValueError, match=message):
        gr.flow.selectivity(np.zeros((3, 2), np.float32), np.array(labels))


def test_nan_is_no_value():
    """Its rank would be made up."""
    with pytest.raises(ValueError, match=r"`values` must be .*; got NaN at \(1, 0\)"):
        gr.flow.selectivity(np.array([[0, 1], [np.nan, 2.0]]), np.array([0, 1]))
