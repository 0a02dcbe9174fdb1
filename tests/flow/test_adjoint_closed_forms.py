"""gr.flow.adjoint against the closed forms of gradient flow, over as many as 10,000 steps."""

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

CELLS = gr.cells.CLASSICS
B, D, H = 3, 4, 5
each_cell = pytest.mark.parametrize("name", CELLS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])

LONG = 10_000


def zero_input(params, T=LONG):
    """A silent batch of one, [T, 1, D], in the dtype of the weights."""
    return jnp.zeros((T, 1, D), params.input["w"].dtype)


@each_dtype
def test_orthogonal_tanh_rnn_at_the_origin_is_an_isometry(dtype, weights, put):
    """Norm 1 at every one of 10,000 lags, for any orthogonal recurrent matrix."""
    params = weights("rnn")._replace(recurrent={"w": flow_reference.orthogonal(np.random.default_rng(1), H)})
    params.input["b"][:] = 0
    with jax.enable_x64(dtype == "float64"):
        params = put(params, dtype)
        rows = gr.flow.adjoint(gr.rnn, params, zero_input(params)).log10_norm["state"]
        np.testing.assert_allclose(10 ** np.float64(rows), 1, rtol={"float32": 2e-3, "float64": 1e-10}[dtype])


@each_dtype
@pytest.mark.parametrize("scale", [0.5, 0.99, 1.03])
def test_scaled_orthogonal_steps(dtype, scale, matrix_cell):
    """Step Jacobian s Q: norm s^k at lag k, to 10^-3010 and to 10^128, for a foreign linear cell.

    Its last output reads the carry before it, so nothing is at lag 0.
    """
    Q = flow_reference.orthogonal(np.random.default_rng(0), 4)
    with jax.enable_x64(dtype == "float64"):
        xs = jnp.broadcast_to(jnp.asarray((scale * Q).ravel(), dtype), (LONG, 1, 16))
        rows = gr.flow.adjoint(matrix_cell, jnp.zeros(4, dtype), xs).log10_norm["h"]
    relative = {"float32": 2e-3, "float64": 1e-10}[dtype]
    want = np.arange(LONG, -1, -1)[:, None] * np.log10(scale)
    want[-1] = -np.inf
    np.testing.assert_allclose(rows, want, rtol=1e-6 if dtype == "float32" else 0, atol=relative / np.log(10))


@pytest.fixture
def ungated(weights):
    """(name, seed) -> weights without a recurrent matrix: the gates follow the input alone, and units do not mix."""

    def draw(name, seed=0):
        params = weights(name, seed)
        params.recurrent["w"][:] = 0
        return params

    return draw


def test_lstm_without_recurrence(put, ungated):
    """dc_T / dc_0 = product of f_t, dh_T / dc_0 = o_T (1 - tanh^2 c_T) times it, and nothing flows through h."""
    params, xs = ungated("lstm"), np.random.default_rng(5).normal(size=(LONG, 1, D))
    path = flow_reference.path("lstm", params, xs[:, 0])
    log_f = np.log(path.keep)
    lags = np.concatenate([np.cumsum(log_f[::-1], axis=0)[::-1], np.zeros((1, H))])  # [T + 1, H]: ln of f_{t+1} .. f_T
    h, c = np.split(path.states[-1], 2)
    reads = h / np.tanh(c) * (1 - np.tanh(c) ** 2) / H**0.5
    xs = put(xs)
    to_c = gr.LSTMState(jnp.zeros((1, H)), jnp.ones((1, H)))
    memory = gr.flow.adjoint(gr.lstm, put(params), xs, dcarry=to_c).log10_norm
    shown = gr.flow.adjoint(gr.lstm, put(params), xs).log10_norm
    atol = 1e-3 / np.log(10) + 2e-7 * np.abs(lags).max()  # and the rounding of float32 log10 norms of order 10^3
    assert lags[0].max() < -2000
    np.testing.assert_allclose(
        memory["c"][:, 0], np.logaddexp.reduce(2 * lags, axis=1) / 2 / np.log(10), atol=atol, rtol=0
    )
    want = np.logaddexp.reduce(2 * (lags + np.log(np.abs(reads))), axis=1) / 2 / np.log(10)
    np.testing.assert_allclose(shown["c"][:-1, 0], want[:-1], atol=atol, rtol=0)
    for rows in (memory["h"][:, 0], shown["h"][:-1, 0]):
        np.testing.assert_array_equal(rows, -np.inf)
    assert shown["c"][-1, 0] == -np.inf
    assert abs(shown["h"][-1, 0]) < 1e-6


def test_gru_without_recurrence(put, ungated):
    """dh_T / dh_0 = product of z_t."""
    params, xs = ungated("gru", seed=1), np.random.default_rng(5).normal(size=(LONG, 1, D))
    log_z = np.log(flow_reference.path("gru", params, xs[:, 0]).keep)
    lags = np.concatenate([np.cumsum(log_z[::-1], axis=0)[::-1], np.zeros((1, H))])
    want = (np.logaddexp.reduce(2 * lags, axis=1) - np.log(H)) / 2 / np.log(10)
    got = gr.flow.adjoint(gr.gru, put(params), put(xs)).log10_norm["h"][:, 0]
    assert want[0] < -1000
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-3 / np.log(10) + 2e-7 * np.abs(want).max())


FORGET_TABLE = {0: -3010.30, 1: -1360.48, 2: -551.24, 3: -211.01, 5: -29.164, 7: -3.9585}


@pytest.mark.parametrize(("name", "gate"), [("lstm", 1), ("gru", 1)])
@pytest.mark.parametrize("bias", list(FORGET_TABLE))
def test_constant_gate_over_10000_steps(name, gate, bias, state, put, ungated):
    """log10 of sigmoid(b)^10000, from 10^-3010 to 10^-4, in a silent LSTM's c and GRU's h without recurrence."""
    params = ungated(name)
    params.input["b"][:] = 0
    params.input["b"][gate * H : (gate + 1) * H] = bias
    memory = flow_reference.PARTS[name][-1]
    probe = state(name, [jnp.full((1, H), float(part == memory)) for part in flow_reference.PARTS[name]])
    rows = gr.flow.adjoint(CELLS[name], put(params), zero_input(put(params)), dcarry=probe).log10_norm[memory]
    decay = rows[0, 0] - rows[LONG, 0]
    np.testing.assert_allclose(decay, FORGET_TABLE[bias], rtol=1e-4)
    np.testing.assert_allclose(decay, -LONG * np.log10(1 + np.exp(-bias)), rtol=1e-4)


def test_bounded_by_the_largest_singular_value(weights, put):
    """Pascanu 2013: with tanh and sigma_max(W) = 0.95, the norm at lag k is at most 0.95^k, whatever the input."""
    T = 1000
    params = weights("rnn", hidden_size=16)
    U = params.recurrent["w"]
    U *= 0.95 / np.linalg.norm(U, 2)
    bound = np.arange(T, -1, -1)[:, None] * np.log10(0.95)
    rng = np.random.default_rng(2)
    for drive in (0.0, 0.1, 3.0):
        params.input["b"][:] = 0
        rows = gr.flow.adjoint(gr.rnn, put(params), put(drive * rng.normal(size=(T, B, D)))).log10_norm["state"]
        assert np.isfinite(rows).all()
        assert (np.asarray(rows) <= bound + 1e-4).all()
        assert (np.diff(rows, axis=0) >= -np.log10(0.95) - 1e-5).all()  # step by step too


def ar1_step(decay, carry, x):
    """One step h' = l h + x."""
    h = decay[0] * carry.h + x
    return gr.RNNState(h), h


def test_ar1_sensitivity(put, sized_cell):
    """For h = l h + x, white x: E (dh_T / dl)^2 = (1 + l^2) / (1 - l^2)^3; dh_T / dl = sum dh_T / dh_t h_{t-1}."""
    T, batch, decay = 200, 4000, 0.9
    rng = np.random.default_rng(0)
    xs = rng.normal(size=(T, batch, 1))
    cell = sized_cell("ar1", ar1_step)
    params, one = jnp.full(1, decay), gr.RNNState(jnp.ones((batch, 1)))
    rows = 10 ** np.float64(gr.flow.adjoint(cell, params, put(xs), dcarry=one).log10_norm["h"])  # [T + 1, B]
    hs = np.asarray(gr.unroll(cell, params, put(xs), method=gr.Autodiff())[1], np.float64)[:, :, 0]
    squares = np.einsum("tb,tb->b", rows[2:], hs[:-1]) ** 2
    expected = (1 + decay**2) / (1 - decay**2) ** 3
    assert abs(expected - 263.887) < 1e-3
    assert abs(squares.mean() - expected) < 3 * squares.std() / batch**0.5
    assert squares.std() / batch**0.5 < 0.05 * expected


@pytest.mark.parametrize(("name", "drive"), [("rnn", 1.0), ("gru", 0.0), ("gru", 1.0), ("lstm", 0.0), ("lstm", 1.0)])
def test_finite_where_jax_grad_is_zero(name, drive, explicit, assert_profiles):
    """At 10,000 steps jax.grad in the first carry is exactly 0; the profile is a number at every one of them."""
    cell, params = CELLS[name], CELLS[name].init(jax.random.key(0), D, H)
    xs = drive * jax.random.normal(jax.random.key(1), (LONG, 1, D))
    carry = jax.tree.map(
        lambda a: 0.1 * drive * jax.random.normal(jax.random.key(2), a.shape), cell.initial_carry(params, 1)
    )
    gradient = jax.grad(lambda carry: gr.unroll(cell, params, xs, carry, method=gr.Autodiff())[0].h.sum())(carry)
    assert not any(part.any() for part in gradient)
    got = gr.flow.adjoint(cell, params, xs, carry)
    wide = jax.tree.map(lambda a: np.asarray(a, np.float64), (params, xs, carry))
    want, rows = explicit(name, *wide)
    assert want["state"][0, 0] < -60  # the smallest float32 is 10^-45
    finite = {part: np.isfinite(values) for part, values in want.items()}
    for part, values in got.log10_norm.items():
        np.testing.assert_array_equal(np.isfinite(values), finite[part], err_msg=part)
    assert_profiles(got.log10_norm, want, 0.05)  # gate values in float32 for 10,000 steps
    first = np.concatenate(got.mantissa, axis=1)[0]
    assert np.isfinite(first).all()
    assert first.any()
    cosine = first @ rows[0].vectors[0] / np.linalg.norm(first) / np.linalg.norm(rows[0].vectors[0])
    assert cosine > 0.999
    np.testing.assert_allclose(
        np.log10(np.linalg.norm(first)) + int(got.exponent[0]) * np.log10(2), want["state"][0, 0], atol=0.05
    )


@each_cell
def test_float64_profile_over_thousands_of_steps(name, explicit, problem, assert_profiles, put):
    """Far below the smallest float64, the float64 profile still equals the explicit product."""
    params, xs, carry, *_ = problem(name, 5000, seed=2)
    want, _ = explicit(name, params, xs, carry)
    assert want["state"][0].min() < -330
    with jax.enable_x64(True):
        assert_profiles(gr.flow.adjoint(CELLS[name], *put((params, xs, carry), "float64")).log10_norm, want, 1e-8)
