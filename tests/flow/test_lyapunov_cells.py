"""gr.flow.lyapunov of driven cells against explicit QR, determinants and the adjoint."""

import flow_reference
import jax
import numpy as np
import pytest
import reference

import gatedrnn as gr

B, D, H = 2, 3, 4
CELLS = gr.cells.CLASSICS
each_cell = pytest.mark.parametrize("name", CELLS)


def driven(name, T, seed=0):
    """Random float64 weights and xs [T, B, D] of a cell, and the path of every row."""
    rng = np.random.default_rng(seed)
    params = gr.Params(*reference.weights(name, D, H, rng))
    xs = rng.normal(size=(T, B, D))
    return params, xs, [flow_reference.path(name, params, xs[:, b]) for b in range(B)]


@each_cell
def test_full_spectrum_sums_to_the_log_determinant(name, put):
    """S exponents of the full state, c of the LSTM included; their sum is the time mean of ln |det J_t|."""
    params, xs, paths = driven(name, 50)
    with jax.enable_x64(True):
        got = gr.flow.lyapunov(CELLS[name], *put((params, xs), "float64"))
    assert got.shape == (B, H * len(flow_reference.PARTS[name]))
    assert (np.diff(got, axis=1) <= 0).all()
    want = [np.linalg.slogdet(path.jacobians)[1].mean() for path in paths]
    np.testing.assert_allclose(np.asarray(got).sum(1), want, rtol=0, atol=1e-10)


@each_cell
def test_equals_explicit_qr(name, put):
    """Past the transient, every exponent of a driven cell is the one of NumPy's QR from another starting frame."""
    T, burn_in = 600, 400
    params, xs, paths = driven(name, T, seed=1)
    want = []
    for path in paths:
        S = path.jacobians.shape[1]
        frames = [flow_reference.orthogonal(np.random.default_rng(seed), S) for seed in range(2)]
        pair = [np.sort(flow_reference.lyapunov(path.jacobians, frame, burn_in))[::-1] for frame in frames]
        np.testing.assert_allclose(*pair, rtol=0, atol=1e-9)  # the frame is forgotten: this number belongs to the cell
        want.append(pair[0])
    with jax.enable_x64(True):
        params, xs = put((params, xs), "float64")
        got = gr.flow.lyapunov(CELLS[name], params, xs, burn_in=burn_in)
        few = gr.flow.lyapunov(CELLS[name], params, xs, burn_in=burn_in, k=2)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-8)
    assert few.shape == (B, 2)
    np.testing.assert_allclose(few, got[:, :2], rtol=0, atol=1e-8)
    single = gr.flow.lyapunov(CELLS[name], *put((params, xs), "float32"), burn_in=burn_in)
    np.testing.assert_allclose(single, want, rtol=0, atol=1e-3)


@each_cell
def test_burn_in_equals_a_later_start(name, put):
    """Steps that are not counted still move the carry: the sum of exponents is that of the later steps alone."""
    params, xs, paths = driven(name, 50)
    with jax.enable_x64(True):
        got = gr.flow.lyapunov(CELLS[name], *put((params, xs), "float64"), burn_in=20)
    want = [np.linalg.slogdet(path.jacobians[20:])[1].mean() for path in paths]
    np.testing.assert_allclose(np.asarray(got).sum(1), want, rtol=0, atol=1e-10)


@each_cell
def test_starts_from_the_given_carry(name, state, put):
    """The exponents belong to the trajectory of the carry that was given."""
    params, xs, _ = driven(name, 50)
    rng = np.random.default_rng(7)
    parts = [2 * rng.normal(size=(B, H)) for _ in flow_reference.PARTS[name]]
    carry = state(name, parts)
    paths = [flow_reference.path(name, params, xs[:, b], [part[b] for part in parts]) for b in range(B)]
    with jax.enable_x64(True):
        got = gr.flow.lyapunov(CELLS[name], *put((params, xs, carry), "float64"))
    want = [np.linalg.slogdet(path.jacobians)[1].mean() for path in paths]
    np.testing.assert_allclose(np.asarray(got).sum(1), want, rtol=0, atol=1e-10)


def test_lstm_memory_is_in_the_spectrum(put):
    """Without recurrence h is forgotten at once and c decays by f: H exponents are mean ln f, H are -inf or near it."""
    T, burn_in = 1000, 100
    params, xs, _ = driven("lstm", T)
    params.recurrent["w"][:] = 0
    paths = [flow_reference.path("lstm", params, xs[:, b]) for b in range(B)]
    with jax.enable_x64(True):
        got = np.asarray(gr.flow.lyapunov(gr.lstm, *put((params, xs), "float64"), burn_in=burn_in))
    want = [-np.sort(-np.log(path.keep[burn_in:]).mean(0)) for path in paths]
    np.testing.assert_allclose(got[:, :H], want, rtol=0, atol=2 / (T - burn_in))  # what h shows of c at the two ends
    assert (got[:, H:] < -20).all()


@pytest.mark.thinned(5)
@each_cell
def test_largest_exponent_is_the_adjoint_decay_rate(name, put):
    """What a perturbation gains per step on its way forward, a gradient gains on its way back."""
    T, burn_in = 3000, 200
    params, xs, _ = driven(name, T, seed=2)
    with jax.enable_x64(True):
        params, xs = put((params, xs), "float64")
        largest = gr.flow.lyapunov(CELLS[name], params, xs, k=1, burn_in=burn_in)[:, 0]
        rows = gr.flow.adjoint(CELLS[name], params, xs).log10_norm["state"]
    rows, largest = np.asarray(rows), np.asarray(largest)
    rate = (rows[burn_in] - rows[T]) * np.log(10) / (T - burn_in)
    np.testing.assert_allclose(rate, largest, rtol=0, atol=5 / (T - burn_in))  # alignment at both ends: a few nats
    assert (np.abs(largest) > 0.05).all()


def test_unbatched_and_traced(put):
    """Inputs [T, D] give [k], a batch's row equals its run alone, and jit changes nothing."""
    params, xs, _ = driven("lstm", 50)
    params, xs = put((params, xs), "float32")
    batched = gr.flow.lyapunov(gr.lstm, params, xs, k=3)
    alone = gr.flow.lyapunov(gr.lstm, params, xs[:, 1], k=3)
    assert alone.shape == (3,)
    np.testing.assert_allclose(alone, batched[1], atol=1e-5)
    traced = jax.jit(lambda params, xs: gr.flow.lyapunov(gr.lstm, params, xs, k=3))(params, xs)
    np.testing.assert_allclose(traced, batched, atol=1e-5)


@pytest.mark.parametrize(("argument", "value"), [("k", 0), ("k", 2 * H + 1), ("burn_in", 5), ("burn_in", -1)])
def test_bad_arguments(argument, value, put):
    """The sentence names the argument that is wrong."""
    params, xs, _ = driven("lstm", 5)
    with pytest.raises(ValueError, match=f"`{argument}`"):
        gr.flow.lyapunov(gr.lstm, *put((params, xs), "float32"), **{argument: value})
