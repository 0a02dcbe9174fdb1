"""gr.flow.fixed_points against closed forms, and points that SciPy's root finder finds in NumPy's own equations."""

import itertools

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

import gatedrnn as gr


def unit(gain, bias=0.0):
    """One tanh unit, h' = tanh(gain h + bias)."""
    given = {"w": jnp.zeros((1, 1)), "b": jnp.full(1, bias)}
    return gr.Params(given, {"w": jnp.full((1, 1), gain)})


def test_pitchfork_and_ghost():
    """h = tanh(g h): one point for g < 1, three for g = 2; past a fold, the ghost lies where the slope is 1."""
    found = gr.flow.fixed_points(gr.rnn, unit(0.5), jnp.zeros(1))
    assert found.fixed.tolist() == found.stable.tolist() == [True]
    np.testing.assert_allclose(found.timescales, [[-1 / np.log(0.5)]], rtol=1e-5)
    found = gr.flow.fixed_points(gr.rnn, unit(2.0), jnp.zeros(1))
    order = np.argsort(found.carries.h[:, 0])
    root = optimize.brentq(lambda h: np.tanh(2 * h) - h, 0.5, 2)
    np.testing.assert_allclose(found.carries.h[order, 0], [-root, 0, root], atol=1e-6)
    assert found.stable[order].tolist() == [True, False, True]
    slopes = np.array([2 * (1 - root**2), 2, 2 * (1 - root**2)])
    np.testing.assert_allclose(found.eigenvalues[order, 0].real, slopes, rtol=1e-5)
    np.testing.assert_allclose(found.timescales[order, 0], -1 / np.log(slopes), rtol=1e-4)
    assert found.visits.sum() + found.missed == 64
    fold = -np.sqrt(1 / 2)
    bias = np.arctanh(fold) - 2 * fold
    found = gr.flow.fixed_points(gr.rnn, unit(2.0, float(bias + 1e-3)), jnp.zeros(1))
    assert found.fixed.tolist() == [True, False]
    np.testing.assert_allclose(found.carries.h[1, 0], fold, atol=2e-3)
    np.testing.assert_allclose(found.speed[1], 1e-3 / 2, rtol=1e-2)
    found = gr.flow.fixed_points(gr.rnn, unit(2.0, float(bias + 1e-3)), jnp.zeros(1), slow=0.0)
    assert found.fixed.tolist() == [True]
    assert found.missed > 0


def test_line_attractor(matrix_cell):
    """A linear map with eigenvalues 1, 0.5 and 0: a line of points, each kept for ever along it."""
    frame = flow_reference.orthogonal(np.random.default_rng(0), 3)
    matrix = frame @ np.diag([1.0, 0.5, 0.0]) @ frame.T
    with jax.enable_x64(True):
        found = gr.flow.fixed_points(matrix_cell, jnp.zeros(3), jnp.asarray(matrix.ravel()), starts=5)
    h = np.asarray(found.carries.h)
    assert len(h) == 5
    assert found.fixed.all()
    np.testing.assert_allclose(h @ frame[:, 1:], 0, atol=1e-12)
    np.testing.assert_allclose(np.abs(found.eigenvalues), np.broadcast_to([1, 0.5, 0], (5, 3)), atol=1e-12)
    assert (np.abs(found.timescales[:, 0]) > 1e12).all()
    np.testing.assert_allclose(found.timescales[:, 1], 1 / np.log(2), rtol=1e-9)


def test_the_cube_of_the_flip_flop():
    """Three latches, h = tanh(2 h) each: the published attractors of a memory of three bits (Sussillo, Barak 2013).

    The eight states of the memory are stable, the saddle on each edge between two of them has one unstable direction,
    that on each face two, and the point in the middle three.
    """
    params = gr.Params({"w": jnp.zeros((1, 3)), "b": jnp.zeros(3)}, {"w": 2 * jnp.eye(3)})
    corners = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    visited = 0.8 * corners + np.random.default_rng(0).uniform(-0.1, 0.1, (27, 3))
    found = gr.flow.fixed_points(gr.rnn, params, jnp.zeros(1), gr.RNNState(jnp.asarray(visited, jnp.float32)))
    root = optimize.brentq(lambda h: np.tanh(2 * h) - h, 0.5, 2)
    h = np.asarray(found.carries.h)
    order = np.lexsort(np.round(h / root).T[::-1])
    np.testing.assert_allclose(h[order], root * corners, atol=1e-5)
    unstable = (np.abs(found.eigenvalues[order]) > 1).sum(1)
    np.testing.assert_array_equal(unstable, (corners == 0).sum(1))
    assert found.fixed.all() and found.stable[order].tolist() == corners.all(1).tolist()


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_against_scipy(name, weights, put, state):
    """The point of a driven cell, from SciPy's hybrid method on NumPy's step; eigenvalues of NumPy's Jacobian."""
    params, x = weights(name, 3), np.array([0.3, -0.2, 0.5, 0.1])
    size = 5 * len(flow_reference.PARTS[name])
    rng = np.random.default_rng(0)
    step = flow_reference.STEPS[name]
    starts = rng.normal(size=(8, size))
    roots = [optimize.root(lambda h: step(params, x, h).state - h, start, tol=1e-13) for start in starts]
    want = np.array([root.x for root in roots if root.success])
    with jax.enable_x64(True):
        carries = state(name, [jnp.asarray(part) for part in np.split(starts, size // 5, axis=1)])
        found = gr.flow.fixed_points(gr.cells.CLASSICS[name], *put((params, x), "float64"), carries)
    assert len(want)
    points = np.concatenate([np.asarray(part) for part in found.carries], 1)
    fixed = points[found.fixed]
    for root in want:  # each that SciPy finds is found
        assert np.abs(fixed - root).max(1).min() < 1e-8
    for point, values in zip(fixed, found.eigenvalues[found.fixed], strict=True):
        np.testing.assert_allclose(step(params, x, point).state, point, atol=1e-10)
        exact = np.linalg.eigvals(step(params, x, point).jacobian)
        np.testing.assert_allclose(np.sort(np.abs(values)), np.sort(np.abs(exact)), atol=1e-7)


def test_refusals():
    """The sentence names the argument."""
    with pytest.raises(ValueError, match="`x`"):
        gr.flow.fixed_points(gr.rnn, unit(1.0), jnp.zeros((1, 1)))
    with pytest.raises(ValueError, match="`carries`"):
        gr.flow.fixed_points(gr.rnn, unit(1.0), jnp.zeros(1), jnp.zeros((3, 1)))
    with pytest.raises(ValueError, match="`slow`"):
        gr.flow.fixed_points(gr.rnn, unit(1.0), jnp.zeros(1), slow=-1)
