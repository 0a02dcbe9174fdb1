"""gr.flow.adjoint of losses of every kind: of nothing, at one step, of unlike scales, and of no steps."""

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

CELLS = gr.cells.CLASSICS
T, B, D, H = 12, 3, 4, 5
each_cell = pytest.mark.parametrize("name", CELLS)


@each_cell
def test_zero_cotangent(name, put, problem, open_flags):
    """A loss that reads nothing: -inf at every step, no NaN, a zero mantissa."""
    params, xs, carry, dys, dcarry, _ = put(problem(name))
    zero = jax.tree.map(jnp.zeros_like, dcarry)
    for loss in ({"dcarry": zero}, {"dys": 0 * dys, "dcarry": zero, **open_flags}):
        got = gr.flow.adjoint(CELLS[name], params, xs, carry, **loss)
        for rows in got.log10_norm.values():
            np.testing.assert_array_equal(rows, np.full((T + 1, B), -np.inf))
        assert not any(part.any() for part in got.mantissa)


@each_cell
def test_loss_at_one_step(name, put, problem, open_flags):
    """A loss that reads y_7 alone: nothing at later steps, its own norm at row 7, gradient at all earlier ones."""
    params, xs, carry, dys, _, _ = put(problem(name))
    dys = jnp.zeros_like(dys).at[6].set(dys[6])
    rows = gr.flow.adjoint(CELLS[name], params, xs, carry, dys=dys, **open_flags).log10_norm["state"]
    np.testing.assert_array_equal(rows[8:], np.full((T - 7, B), -np.inf))
    np.testing.assert_allclose(rows[7], np.log10(np.linalg.norm(dys[6], axis=1)), atol=1e-6)
    assert np.isfinite(rows[:7]).all()


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_losses_of_any_scale_meet(scale, weights, explicit, put, assert_profiles):
    """10^-300 from the far end plus order 1 nearby, and 10^+300 plus order 1: each sum is right, at every row."""
    params = weights("rnn")._replace(recurrent={"w": scale * flow_reference.orthogonal(np.random.default_rng(1), H)})
    params.input["b"][:] = 0
    dys = np.zeros((2000, 1, H))
    dys[[-1, 999]] = np.random.default_rng(1).normal(size=(2, 1, H))
    want, _ = explicit("rnn", params, np.zeros((2000, 1, D)), dys=dys)
    assert abs(want["h"][1001, 0] - 999 * np.log10(scale)) < 1  # 10^-300, 1 or 10^300 meets 1 at the row below
    got = gr.flow.adjoint(gr.rnn, put(params), jnp.zeros((2000, 1, D)), dys=put(dys)).log10_norm
    assert_profiles(got, want, 1e-3)


def test_losses_of_any_scale_meet_in_a_foreign_cell(matrix_cell, put):
    """All scales in one batch; a foreign output is no part of the carry, so row t leaves out what reads y_t."""
    T, scales = 2000, np.array([0.5, 1.0, 2.0])
    Q = flow_reference.orthogonal(np.random.default_rng(0), 4)
    xs = np.broadcast_to(scales[:, None] * Q.ravel(), (T, 3, 16))
    dys = np.zeros((T, 3, 4))
    dys[[-1, 999]] = np.random.default_rng(1).normal(size=(2, 3, 4))
    rows = [flow_reference.adjoint(xs[:, b].reshape(T, 4, 4), np.zeros(4), dys[:, b]) for b in range(3)]
    total = np.stack([flow_reference.log10_norms(row, ("h",))["h"] for row in rows], axis=1)
    want = np.concatenate([total[1:] + np.log10(scales), np.full((1, 3), -np.inf)])  # |J^T g| = s |g|
    got = gr.flow.adjoint(matrix_cell, jnp.zeros(4), put(xs), dys=put(dys)).log10_norm["h"]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-3)


@each_cell
def test_no_steps(name, put, problem):
    """T = 0: one row, the probe's own norm: 1 for the default, nothing in c."""
    params, xs, carry, _, dcarry, _ = put(problem(name, 0))
    got = gr.flow.adjoint(CELLS[name], params, xs, carry).log10_norm
    np.testing.assert_allclose(got["h"], np.zeros((1, B)), atol=1e-6)
    np.testing.assert_allclose(got["state"], np.zeros((1, B)), atol=1e-6)
    given = gr.flow.adjoint(CELLS[name], params, xs, carry, dcarry=dcarry)
    for part, values in dcarry._asdict().items():
        np.testing.assert_allclose(given.log10_norm[part][0], np.log10(np.linalg.norm(values, axis=1)), atol=1e-6)


def test_parts_of_unlike_scale(problem, put, explicit, assert_profiles):
    """A part 10^-30 of the other, whose squares no float32 holds, still has its own norm."""
    params, xs, carry, _, dcarry, _ = problem("lstm")
    for tiny in ("h", "c"):
        probe = dcarry._replace(**{tiny: getattr(dcarry, tiny) * 1e-30})
        got = gr.flow.adjoint(gr.lstm, *put((params, xs, carry)), dcarry=put(probe)).log10_norm
        want, _ = explicit("lstm", params, xs, carry, dcarry=probe)
        assert_profiles(got, want, 1e-5)
        assert (want[tiny][T] < -29).all()
