"""gr.flow.sensitivity and gr.flow.jacobian_norms: finite differences, explicit products, and JAX's own gradient."""

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

D, H = 4, 5


def unscaled(found):
    return np.ldexp(np.asarray(found.mantissa, np.float64), np.asarray(found.exponent)[..., None])


def test_inputs_against_finite_differences(problem, put):
    """Of a loss in outputs and the last carry, with masked steps and episodes: signs and sizes, in float64."""
    params, xs, carry, dys, dcarry, flags = problem("lstm")
    given = {key: put(value) for key, value in {"dys": dys, "dcarry": dcarry, **flags}.items()}
    found = gr.flow.sensitivity(gr.lstm, put(params), put(xs), put(carry), **given)
    assert (np.abs(found.mantissa).max(-1)[np.isfinite(found.log10_norm)] >= 1).all()

    def loss(xs, b):
        mask, reset = flags["mask"][:, b], flags["reset"][:, b]
        states = flow_reference.path("lstm", params, xs, [part[b] for part in carry], mask, reset).states
        read = (states[1:, :H] * dys[:, b] * mask[:, None]).sum()
        return read + states[-1] @ np.concatenate([part[b] for part in dcarry])

    for b in range(2):
        want = np.zeros_like(xs[:, b])
        for place in np.ndindex(want.shape):
            nudge = np.zeros_like(want)
            nudge[place] = 1e-5
            want[place] = (loss(xs[:, b] + nudge, b) - loss(xs[:, b] - nudge, b)) / 2e-5
        np.testing.assert_allclose(unscaled(found)[:, b], want, atol=1e-5)
        with np.errstate(divide="ignore"):
            norms = np.log10(np.linalg.norm(want, axis=1))
        np.testing.assert_allclose(found.log10_norm[:, b], np.where(flags["mask"][:, b], norms, -np.inf), atol=1e-3)


@pytest.mark.parametrize("name", ["stack", pytest.param("bidirectional", marks=pytest.mark.slow)])
def test_inputs_of_networks(name):
    """Against `jax.grad` through `unroll`; the stack reads its inputs in every layer, and NaN behind the mask."""
    network = {"stack": gr.stack(gr.gru, gr.gru, skip=True), "bidirectional": gr.bidirectional(gr.lstm)}[name]
    params = network.init(jax.random.key(0), D, 2)
    xs = jax.random.normal(jax.random.key(1), (7, 2, D))
    flags = {"mask": xs[..., 0] < 1, "reset": xs[..., 1] > 1, "reverse": True}
    xs = jnp.where(flags["mask"][..., None], xs, jnp.nan)
    dys = jax.random.normal(jax.random.key(2), (7, 2, 4))
    want = jax.grad(lambda xs: (gr.unroll(network, params, xs, **flags)[1] * dys).sum())(xs)
    found = gr.flow.sensitivity(network, params, xs, dys=dys, **flags)
    np.testing.assert_allclose(unscaled(found), want, atol=1e-6)
    assert np.isneginf(found.log10_norm[~flags["mask"]]).all()


def test_inputs_of_sixteen_bits():
    """Of a network whose inputs and weights are rounded: what JAX says of the same numbers in float32."""
    cell = gr.stack(gr.rnn, gr.rnn)
    params = cell.init(jax.random.key(0), 2, 3, dtype=jnp.bfloat16)
    xs = jax.random.normal(jax.random.key(1), (6, 2, 2), jnp.bfloat16)
    found = gr.flow.sensitivity(cell, params, xs)
    params, xs = jax.tree.map(lambda a: a.astype(jnp.float32), (params, xs))
    want = jax.grad(lambda xs: gr.unroll(cell, params, xs, outputs="last")[1].sum() / 3**0.5)(xs)
    assert found.mantissa.dtype == jnp.float32
    np.testing.assert_allclose(unscaled(found), want, atol=0.02 * float(abs(want).max()))


def test_far_inputs_and_none(sized_cell):
    """0.5^k at lag k, to 10^-900, signed; no steps, no inputs."""

    def step(params, carry, x):
        h = x[..., :2] - carry.h / 2
        return gr.RNNState(h), h

    halving = sized_cell("halving", step)
    found = gr.flow.sensitivity(halving, jnp.zeros(2), jnp.zeros((3000, 2)))
    lags = np.arange(3000)[::-1]
    np.testing.assert_allclose(found.log10_norm, lags * np.log10(0.5), rtol=1e-6, atol=1e-6)
    assert (np.sign(found.mantissa) == (1 - 2 * (lags % 2))[:, None]).all()
    empty = gr.flow.sensitivity(halving, jnp.zeros(2), jnp.zeros((0, 3, 2)))
    assert empty.mantissa.shape == (0, 3, 2) and empty.log10_norm.shape == empty.exponent.shape == (0, 3)


def test_norms_between_times(problem, put, monkeypatch):
    """Against explicit products, with masked steps and episodes; what would not fit is refused before it starts."""
    params, xs, carry, _, _, flags = problem("lstm")
    times = [1, 4, 7, 12]
    run = lambda **given: gr.flow.jacobian_norms(gr.lstm, put(params), put(xs), put(carry), **given, **put(flags))
    found = run(times=times[::-1])
    assert found.times.tolist() == times
    for b in range(2):
        state = [part[b] for part in carry]
        path = flow_reference.path("lstm", params, xs[:, b], state, flags["mask"][:, b], flags["reset"][:, b])
        for i, later in enumerate(times):
            for j, earlier in enumerate(times):
                got = float(found.spectral[i, j, b]), float(found.frobenius[i, j, b])
                if later < earlier:
                    assert got == (-np.inf, -np.inf)
                    continue
                matrix = np.eye(2 * H) if later == earlier else flow_reference.product(path.jacobians[earlier:later])
                with np.errstate(divide="ignore"):
                    want = np.log10([np.linalg.norm(matrix, 2), np.linalg.norm(matrix)])
                np.testing.assert_allclose(got, want, atol=1e-4)
    broken = jnp.zeros((4, 1, D)).at[0].set(jnp.nan)
    given = {"times": 3, "reset": jnp.zeros((4, 1), bool).at[2].set(True)}
    norms = gr.flow.jacobian_norms(gr.lstm, put(params), broken, **given).spectral[..., 0]
    assert np.isnan(norms[1, 0]) and np.isneginf(norms[2, :2]).all() and np.isneginf(norms[0, 1:]).all()
    monkeypatch.setattr("gatedrnn._memory.device_bytes", lambda: 1000)
    with pytest.raises(ValueError, match=r"`times` must be so few .* got 4 times, batch 3 .* of 10 .* 24 kB"):
        run(times=times)
    for wrong in ([13], [], 0, "all"):
        with pytest.raises(ValueError, match="`times` must be"):
            run(times=wrong)


def test_norms_over_a_long_stretch(matrix_cell):
    """(0.5 Q)^k over 2,000 steps, to 10^-600: every singular value is 0.5^k."""
    Q = flow_reference.orthogonal(np.random.default_rng(0), 3)
    xs = jnp.broadcast_to(jnp.asarray(0.5 * Q.ravel(), jnp.float32), (2000, 9))
    found = gr.flow.jacobian_norms(matrix_cell, jnp.zeros(3), xs, times=3)
    want = np.array([[0, -np.inf, -np.inf], [1000, 0, -np.inf], [2000, 1000, 0]])
    want = np.where(want >= 0, want * np.log10(0.5), want)
    np.testing.assert_allclose(found.spectral, want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.frobenius, want + np.log10(3) / 2, rtol=1e-4, atol=1e-5)
