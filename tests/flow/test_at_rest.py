"""The closed form at rest: powers of one Jacobian against direct products, and against the measured profile."""

import math

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.flow.at_rest import LARGEST, power_norms, rest_profile

H, D, B = 4, 3, 2
CELLS = gr.cells.CLASSICS
each_cell = pytest.mark.parametrize("name", CELLS)
each_init = pytest.mark.parametrize(
    "options", [{}, {"chrono": 100.0}, {"recurrent_init": gr.initializers.gaussian(2.0)}]
)


def direct(jacobian, probe, lags):
    """log10 || (J^T)^k v || by one product per step in float64, the logarithm of each norm kept apart."""
    scale = np.abs(jacobian).max()
    vector, log10, norms = np.asarray(probe, float), 0.0, {}
    for lag in range(max(lags) + 1):
        norm = np.linalg.norm(vector)
        log10, vector = (log10 + math.log10(norm), vector / norm) if norm else (-math.inf, vector)
        norms[lag] = log10 + lag * math.log10(scale)
        vector = (jacobian / scale).T @ vector
    return np.array([norms[lag] for lag in lags])


MATRICES = {
    "orthogonal": flow_reference.orthogonal(np.random.default_rng(0), 4),
    "gaussian": np.random.default_rng(1).normal(size=(6, 6)),
    "small": 1e-200 * np.random.default_rng(2).normal(size=(3, 3)),
    "large": 1e200 * np.random.default_rng(3).normal(size=(3, 3)),
    "jordan block": 0.9 * np.eye(5) + np.eye(5, k=1),
    "sheared": np.array([[0.5, 1e6], [0.0, 0.25]]),
    "rotation that shrinks": 0.99 * np.array([[0.6, 0.8], [-0.8, 0.6]]),
    "one unit": np.array([[0.3]]),
}


@pytest.mark.parametrize("name", list(MATRICES))
def test_power_norms_against_direct_products(name):
    """Normal, non-normal, defective and badly scaled matrices, every lag to 40 and a few to 3,000."""
    jacobian = MATRICES[name]
    lags = [*range(41), 64, 127, 128, 1000, 2999, 3000]
    probe = np.full(len(jacobian), len(jacobian) ** -0.5)
    np.testing.assert_allclose(
        power_norms(jacobian, probe, np.array(lags)), direct(jacobian, probe, lags), rtol=1e-10, atol=1e-9
    )


def test_transient_growth_of_a_non_normal_matrix():
    """A shear first amplifies by nearly 10^6, then decays: the powers must not be read off the eigenvalues."""
    got = power_norms(MATRICES["sheared"], np.array([1.0, 0.0]), np.arange(200))
    assert got[0] == 0
    assert got.max() > 5.9
    np.testing.assert_allclose(np.diff(got)[-1], math.log10(0.5), rtol=1e-12)


def test_the_jacobian_is_transposed():
    """(J^T)^k v, not J^k v: under a shear the two differ."""
    jacobian, e0, e1 = np.array([[1.0, 3.0], [0.0, 1.0]]), np.array([1.0, 0.0]), np.array([0.0, 1.0])
    np.testing.assert_allclose(power_norms(jacobian, e1, np.array([0, 1, 100])), 0, atol=1e-15)
    np.testing.assert_allclose(power_norms(jacobian, e0, np.array([0, 1])), [0, math.log10(10) / 2])


@pytest.mark.parametrize("size", [1, 3, 6])
def test_nilpotent(size):
    """A shift forgets everything after `size` steps, exactly; until then it is an isometry on this probe."""
    got = power_norms(np.eye(size, k=1), np.eye(size)[0], np.array([*range(10), 10_000]))
    np.testing.assert_array_equal(got, [0.0] * size + [-math.inf] * (11 - size))


def test_zero_probe_and_lag_zero_alone():
    """Nothing stays nothing; lag 0 is the probe's own norm."""
    np.testing.assert_array_equal(power_norms(np.eye(2), np.zeros(2), np.array([0, 5])), [-math.inf] * 2)
    np.testing.assert_allclose(power_norms(np.eye(2), np.array([3.0, 4.0]), np.array([0])), [math.log10(5)])


@pytest.mark.parametrize("scale", [0.3, 0.9913, 1.0, 1.02])
def test_a_million_lags(scale):
    """s Q: log10 of the norm is k log10 s at every lag to 10^6, to ten digits."""
    lags = np.unique(np.geomspace(1, 1e6, 50).astype(int))
    got = power_norms(scale * MATRICES["orthogonal"], np.full(4, 0.5), lags)
    np.testing.assert_allclose(got, lags * math.log10(scale), rtol=1e-10, atol=1e-8)


def test_a_million_lags_of_a_jordan_block():
    """(J^T)^k e_1 has the entries binomial(k, i) 0.9^(k - i): a power law upon an exponential."""
    lags = np.array([10, 1000, 10**6])
    entries = [[(math.comb(int(k), i) / 0.9**i) for i in range(5)] for k in lags]
    want = [math.log10(np.linalg.norm(entry)) + k * math.log10(0.9) for k, entry in zip(lags, entries, strict=True)]
    np.testing.assert_allclose(power_norms(MATRICES["jordan block"], np.eye(5)[0], lags), want, rtol=1e-10)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sets(st.integers(0, 300), min_size=1, max_size=8))
def test_any_matrix_any_lags(seed, size, lags):
    """Random matrices and increasing lags with any gaps between them."""
    rng, lags = np.random.default_rng(seed), sorted(lags)
    jacobian, probe = rng.normal(size=(size, size)), rng.normal(size=size)
    np.testing.assert_allclose(
        power_norms(jacobian, probe, np.array(lags)), direct(jacobian, probe, lags), rtol=1e-8, atol=1e-8
    )


@each_init
@each_cell
def test_rest_profile_against_adjoint(name, options):
    """At rest the measured profile is the closed form, for every cell and initialisation, in float64."""
    if name == "rnn" and "chrono" in options:
        options = {"recurrent_init": gr.initializers.orthogonal(0.9)}
    lags = np.array([0, 1, 2, 3, 10, 99, 100])
    with jax.enable_x64(True):
        params = CELLS[name].init(jax.random.key(1), D, H, dtype=jnp.float64, **options)
        profile = gr.flow.adjoint(CELLS[name], params, jnp.zeros((100, D), jnp.float64)).log10_norm["state"]
        got = rest_profile(CELLS[name], params, lags, D)
    np.testing.assert_allclose(got, np.asarray(profile)[100 - lags], rtol=1e-9, atol=1e-9)


@each_cell
def test_rest_profile_against_the_explicit_jacobian(name):
    """The Jacobian at zero, derived by hand, and one product per step."""
    params = CELLS[name].init(jax.random.key(2), D, H)
    jacobian = flow_reference.path(name, params, np.zeros((1, D))).jacobians[0]
    probe = np.r_[np.full(H, H**-0.5), np.zeros(len(jacobian) - H)]
    lags = np.array([0, 1, 5, 50, 500])
    got = rest_profile(CELLS[name], params, lags, D)
    np.testing.assert_allclose(got, direct(jacobian, probe, lags), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_narrow_weights(dtype):
    """The closed form holds for the weights as they were rounded."""
    params = gr.gru.init(jax.random.key(0), D, H, dtype=dtype)
    got = rest_profile(gr.gru, params, np.array([0, 1, 30]), D)
    profile = gr.flow.adjoint(gr.gru, params, jnp.zeros((30, D), dtype)).log10_norm["state"]
    assert_close(got, np.asarray(profile)[[30, 29, 0]], dtype, 30)


def test_a_cell_of_one_step():
    """A foreign cell with a zero fixed point has one too, whatever its carry is made of."""

    def step(params, carry, x):
        a, b = carry
        return (0.5 * a + b, 0.25 * b + x[..., :1]), a + 2 * b

    def carry(params, batch_size=None):
        return (jnp.zeros((batch_size or 1, 1)), jnp.zeros((batch_size or 1, 1)))

    cell = gr.Cell.from_step("pair", step, init=lambda key, *_, dtype=None: jnp.ones(1), initial_carry=carry)
    got = rest_profile(cell, jnp.ones(1), np.array([0, 1, 7]), D)
    want = direct(np.array([[0.5, 1], [0, 0.25]]), [1.0, 2.0], [0, 6])  # the last output reads the carry before it
    np.testing.assert_allclose(got, [-math.inf, *want], atol=1e-6)
    profile = gr.flow.adjoint(cell, jnp.ones(1), jnp.zeros((7, D))).log10_norm["state"]
    np.testing.assert_allclose(got, np.asarray(profile)[[7, 6, 0]], atol=1e-6)


@pytest.mark.parametrize(("name", "gate"), [("rnn", 0), ("gru", 2), ("lstm", 2)])
def test_no_closed_form_where_the_carry_moves(name, gate):
    """A bias in the candidate drives the carry away from zero: there is no rest."""
    params = CELLS[name].init(jax.random.key(0), D, H)
    b = params.input["b"].at[gate * H].set(0.5)
    assert rest_profile(CELLS[name], params._replace(input={**params.input, "b": b}), np.array([0, 1]), D) is None


def test_no_closed_form_where_the_carry_starts_elsewhere():
    """An initial carry that is not zero is no rest, even where it is a fixed point."""
    cell = gr.Cell.from_step(
        "hold", lambda p, c, x: (c, c.h), init=None, initial_carry=lambda p, b=None: gr.RNNState(jnp.ones((b or 1, 2)))
    )
    assert rest_profile(cell, jnp.ones(1), np.array([0, 1]), D) is None


def test_no_closed_form_for_very_large_states():
    """Beyond `LARGEST` units the powers would cost more than the measurement: None, without computing anything."""
    params = {"w": jax.ShapeDtypeStruct((LARGEST + 1, LARGEST + 1), jnp.float32)}
    wide = gr.Cell.from_step(
        "wide", lambda *_: 1 / 0, init=None, initial_carry=lambda p, b: gr.RNNState(jnp.zeros((b, LARGEST + 1)))
    )
    assert rest_profile(wide, params, np.array([0, 1]), D) is None
