"""gr.flow.lyapunov against spectra known exactly, in the order of time."""

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

B, D, H, N = 2, 3, 4, 4


@pytest.fixture(scope="module")
def diagonal_cell(sized_cell):
    """One step h' = a h with the factors as input: x [..., N]."""
    return sized_cell("diagonal", lambda params, carry, x: (gr.RNNState(x * carry.h), x * carry.h))


@pytest.fixture
def exponents_of(matrix_cell):
    """(jacobians, ...) -> `gr.flow.lyapunov` in float64 of the linear cell with the given Jacobians [T, N, N]."""

    def measure(jacobians, **options):
        size = jacobians.shape[1]
        with jax.enable_x64(True):
            xs = jnp.asarray(jacobians.reshape(len(jacobians), size * size))
            return np.asarray(gr.flow.lyapunov(matrix_cell, jnp.zeros(size), xs, **options))

    return measure


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 2e-3), ("float64", 1e-10)])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.03])
def test_scaled_orthogonal_steps(dtype, rtol, scale, matrix_cell):
    """Step Jacobian s Q: every exponent is ln s, over 2,000 steps."""
    T, Q = 2000, flow_reference.orthogonal(np.random.default_rng(0), N)
    with jax.enable_x64(dtype == "float64"):
        xs = jnp.broadcast_to(jnp.asarray((scale * Q).ravel(), dtype), (T, B, N * N))
        got = gr.flow.lyapunov(matrix_cell, jnp.zeros(N, dtype), xs)
        assert got.dtype == dtype
    np.testing.assert_allclose(got, np.full((B, N), np.log(scale)), rtol=0, atol=rtol / T)


def test_orthogonal_tanh_rnn_at_the_origin():
    """At rest, an orthogonal tanh RNN neither shrinks nor stretches: every exponent is 0, those of s Q are ln s."""
    for scale in (1.0, 0.7):
        params = gr.rnn.init(jax.random.key(0), D, H, recurrent_init=gr.initializers.orthogonal(scale))
        got = gr.flow.lyapunov(gr.rnn, params, jnp.zeros((300, B, D)))
        np.testing.assert_allclose(got, np.full((B, H), np.log(scale)), atol=1e-6)


def three_steps(rng):
    """Three distinct Jacobians [3, N, N] that do not commute, mild enough for 50 of them to keep ten digits."""
    stretch = np.diag([1.2, 1.05, 0.95, 0.8])
    return np.array([flow_reference.orthogonal(rng, N) @ stretch for _ in range(3)])


def towards(frame, rounds):
    """`rounds` steps [rounds, N, N] after which any frame has turned into the given one, column by column."""
    return np.array([frame @ np.diag(2.0 ** -np.arange(N)) @ frame.T] * rounds)


@pytest.mark.parametrize("T", [3, 4, 10, 50])
def test_log_singular_values_of_the_explicit_product(T, exponents_of):
    """From its right singular vectors, QR of J_T ... J_1 gives the log singular values; another order does not."""
    cycle = three_steps(np.random.default_rng(T))
    jacobians = cycle[np.arange(T) % 3]
    _, values, rows = np.linalg.svd(flow_reference.product(jacobians))
    want = np.log(values) / T
    for wrong in (jacobians[::-1], jacobians.transpose(0, 2, 1)):
        other = np.log(np.linalg.svd(flow_reference.product(wrong), compute_uv=False)) / T
        assert np.abs(other - want).max() > 1e-3
    lead = towards(rows.T, 60)
    got = exponents_of(np.concatenate([lead, jacobians]), burn_in=60)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)
    got = exponents_of(np.concatenate([lead, jacobians]), burn_in=60, k=2)
    np.testing.assert_allclose(got, want[:2], rtol=0, atol=1e-10)


def test_product_that_is_isotropic_in_one_order_only(exponents_of):
    """With J_3 J_2 J_1 = s Q every frame grows by s, whatever it starts from; J_1 J_2 J_3 has a wide spectrum."""
    rng, scale = np.random.default_rng(0), 0.8
    first, second, _ = three_steps(rng)
    third = scale * flow_reference.orthogonal(rng, N) @ np.linalg.inv(second @ first)
    jacobians = np.array([first, second, third] * 5)
    backwards = flow_reference.lyapunov(jacobians[::-1], np.eye(N))
    assert backwards.max() - backwards.min() > 0.02
    for k in (1, 3, N):
        got = exponents_of(jacobians, k=k)
        np.testing.assert_allclose(got, np.full(k, np.log(scale) / 3), rtol=0, atol=1e-10)


def test_periodic_product(exponents_of):
    """Three steps for ever: the exponents are ln |eigenvalue of J_3 J_2 J_1| / 3, not those of J_1 J_2 J_3."""
    rng = np.random.default_rng(3)
    mix = flow_reference.orthogonal(rng, N)
    first, second, _ = three_steps(rng)
    third = mix @ np.diag([2.0, -1.0, 0.5, 0.2]) @ mix.T @ np.linalg.inv(second @ first)
    cycle = np.array([first, second, third])
    want, backwards = (
        np.sort(np.log(np.abs(np.linalg.eigvals(flow_reference.product(steps)))))[::-1] / 3
        for steps in (cycle, cycle[::-1])
    )
    np.testing.assert_allclose(want, np.log([2, 1, 0.5, 0.2]) / 3, atol=1e-12)
    assert np.abs(backwards - want).max() > 1e-2
    got = exponents_of(np.concatenate([cycle] * 100), burn_in=210)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)


def test_diagonal_cell(diagonal_cell, put):
    """Exponents of h' = a_t h are the time means of ln |a_t|, in every row its own, largest first."""
    T = 300
    rng = np.random.default_rng(0)
    xs = np.exp(0.3 * rng.normal(size=(T, B, N)) + np.array([0.1, -0.5, 0.4, -1.0])) * rng.choice(
        [-1, 1], size=(T, B, N)
    )
    want = -np.sort(-np.log(np.abs(xs)).mean(0), axis=1)
    with jax.enable_x64(True):
        got = gr.flow.lyapunov(diagonal_cell, jnp.zeros(N), jnp.asarray(xs))
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
        late = gr.flow.lyapunov(diagonal_cell, jnp.zeros(N), jnp.asarray(xs), k=2, burn_in=100)
    # Any frame has turned to the two leading axes within 100 steps: the gap to the third is 0.6 nats a step.
    want = -np.sort(-np.log(np.abs(xs[100:])).mean(0), axis=1)
    np.testing.assert_allclose(late, want[:, :2], rtol=0, atol=1e-12)
    single = gr.flow.lyapunov(diagonal_cell, jnp.zeros(N), put(xs, "float32"))
    np.testing.assert_allclose(single, -np.sort(-np.log(np.abs(xs)).mean(0), axis=1), rtol=0, atol=1e-5)


def test_a_long_product_in_float32(diagonal_cell, put):
    """Over 10,000 steps that shrink to 10^-8000 and grow to 10^4000, float32 sums keep five digits."""
    factors = np.array([2.5, 1.0, 0.9, 0.15])
    xs = jnp.broadcast_to(put(factors, "float32"), (10_000, N))
    got = gr.flow.lyapunov(diagonal_cell, jnp.zeros(N), xs)
    np.testing.assert_allclose(got, np.log(factors), rtol=1e-5, atol=1e-6)
