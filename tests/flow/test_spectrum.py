"""gr.flow.spectrum and flossing against explicit QR, determinants, central differences, and errors known exactly."""

import flow_reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

N = 4


@pytest.fixture(scope="module")
def diagonal_cell(sized_cell):
    """One step h' = a h with the factors as input: x [..., N]."""
    return sized_cell("diagonal", lambda params, carry, x: (gr.RNNState(x * carry.h), x * carry.h))


def factors(rng, steps, rows, memory):
    """ln |a_t|: AR(1) with deviation 0.2 and that correlation, about means that lie apart; [steps, rows, N]."""
    noise = rng.normal(size=(steps, rows, N))
    for t in range(1, steps):
        noise[t] = memory * noise[t - 1] + np.sqrt(1 - memory**2) * noise[t]
    return 0.2 * noise + np.array([0.3, -0.2, -0.8, -1.5])


def test_history_and_errors_of_a_diagonal_cell(diagonal_cell):
    """Running means of ln |a|; standard errors are those of an AR(1) mean, with its memory, within sampling noise."""
    steps, rows = 2048, 6
    for memory in (0.0, 0.9):
        logs = factors(np.random.default_rng(1), steps, rows, memory)
        with jax.enable_x64(True):
            xs = jnp.asarray(np.exp(logs))
            found = gr.flow.spectrum(diagonal_cell, jnp.zeros(N), xs, every=1)
            other = gr.flow.spectrum(diagonal_cell, jnp.zeros(N), xs, every=5, backward=True, burn_in=100)
        np.testing.assert_allclose(found.exponents, logs.mean(0), rtol=0, atol=1e-12)
        means = np.cumsum(logs, 0)[np.asarray(found.steps) - 1] / np.asarray(found.steps)[:, None, None]
        np.testing.assert_allclose(found.history, means, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(found.number, np.full(rows, steps))
        sure = 0.2 * np.sqrt((1 + memory) / (1 - memory) / steps)
        ratio = np.asarray(found.error) / sure
        assert 0.75 < np.median(ratio) < 1.7, np.median(ratio)
        assert ratio.min() > 0.5
        # Backwards the last steps are left out, in whole groups: blocks of 32 have six of 5 and one of 2.
        np.testing.assert_array_equal(other.steps, np.arange(32, steps + 1, 32))
        left = steps - int(other.number[0])
        assert 100 <= left < 105
        np.testing.assert_allclose(other.exponents, logs[: steps - left].mean(0), rtol=0, atol=1e-12)
    assert np.isnan(np.asarray(other.history)[:3]).all()


def explicit(path, run, counted, backward):
    """Every exponent by NumPy's QR at each step, skipping resets, in the measure's order of steps."""
    chosen = path.jacobians[run & counted]
    return flow_reference.lyapunov(chosen[::-1].transpose(0, 2, 1) if backward else chosen, np.eye(chosen.shape[1]))


@pytest.mark.parametrize("backward", [False, True])
def test_masks_and_resets_against_explicit_qr(backward, problem, put):
    """Both directions, every step and every third; the sum is the log determinant over the steps that count."""
    params, xs, carry, _, _, flags = problem("gru")
    rows = []
    for b in range(xs.shape[1]):
        row = {name: flag[:, b] for name, flag in flags.items()}
        path = flow_reference.path("gru", params, xs[:, b], [part[b] for part in carry], **row)
        rows.append(explicit(path, row["mask"], ~row["reset"], backward))
    want = -np.sort(-np.array(rows), 1)
    with jax.enable_x64(True):
        given = put((params, xs, carry), "float64")
        options = {"backward": backward, **jax.tree.map(jnp.asarray, flags)}
        one = gr.flow.spectrum(gr.gru, *given, every=1, points=4, **options)
        some = gr.flow.spectrum(gr.gru, *given, every=3, points=2, **options)
    for found in (one, some):
        np.testing.assert_allclose(found.exponents, want, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found.history[-1], found.exponents, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(found.number, (flags["mask"] & ~flags["reset"]).sum(0))
    assert (np.asarray(some.cancelled) > np.asarray(one.cancelled)).all()


@pytest.mark.slow
def test_backward_exponents_are_the_forward_ones(problem, put):
    """In the limit: over 2,000 steps what is left of the difference is a few nats per 2,000."""
    params, _, *_ = problem("rnn")
    xs = np.random.default_rng(2).normal(size=(2000, 1, 4))
    both = [gr.flow.spectrum(gr.rnn, *put((params, xs)), backward=side, every=1) for side in (False, True)]
    exponents = [np.asarray(found.exponents) for found in both]
    np.testing.assert_allclose(*exponents, rtol=0, atol=5 / 2000)
    assert np.abs(exponents[0] - exponents[1]).max() > 1e-6
    assert (np.asarray(both[0].error) > 0).all()


@pytest.mark.slow
def test_gradients_against_central_differences(problem, put):
    """Of the sum of exponents, whose value is the mean log determinant, and of the flossing loss."""
    params, xs, *_ = problem("rnn")
    wide = jax.tree.map(np.array, params)
    weight = wide.recurrent["w"]

    def measured(value):
        size, slopes = 1e-5, []
        for place in ((0, 1), (3, 2)):
            kept, ends = weight[place], []
            for weight[place] in (kept + size, kept - size):
                ends.append(value(wide))
            weight[place] = kept
            slopes.append((ends[0] - ends[1]) / (2 * size))
        return slopes

    def determinant(params):
        paths = [flow_reference.path("rnn", params, xs[:, b]) for b in range(xs.shape[1])]
        return sum(np.linalg.slogdet(path.jacobians)[1].mean() for path in paths)

    def squares(params):
        paths = [flow_reference.path("rnn", params, xs[:, b]) for b in range(xs.shape[1])]
        exponents = [flow_reference.lyapunov(path.jacobians, np.eye(5)) for path in paths]
        return np.square(exponents).mean()

    with jax.enable_x64(True):
        params, xs = put((params, xs), "float64")
        exponents = lambda params: gr.flow.spectrum(gr.rnn, params, xs, points=4).exponents.sum()
        backward = lambda params: gr.flow.spectrum(gr.rnn, params, xs, points=4, backward=True).exponents.sum()
        loss = lambda params: gr.flow.flossing(gr.rnn, params, xs, k=5)
        np.testing.assert_allclose(loss(params), squares(wide), rtol=1e-10)
        for function, value in ((exponents, determinant), (backward, determinant), (loss, squares)):
            slope = np.asarray(jax.grad(function)(params).recurrent["w"])
            np.testing.assert_allclose([slope[0, 1], slope[3, 2]], measured(value), rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_every_is_chosen_so_that_nothing_is_lost(matrix_cell):
    """Many steps between QRs where directions stay apart; a QR at each where one step spreads them too far."""
    rng = np.random.default_rng(0)
    for stretch, low, high in ((np.array([1.1, 1.0, 0.9, 0.8]), 8, 32), (np.array([1.0, 0.9, 1e-3, 1e-6]), 1, 1)):
        jacobians = [flow_reference.orthogonal(rng, N) @ np.diag(stretch) for _ in range(16)]
        xs = jnp.asarray(np.array(jacobians * 64).reshape(1024, N * N), "float32")
        found = gr.flow.spectrum(matrix_cell, jnp.zeros(N), xs)
        exact = gr.flow.spectrum(matrix_cell, jnp.zeros(N), xs, every=1)
        assert low <= found.every <= high
        np.testing.assert_allclose(found.exponents, exact.exponents, rtol=0, atol=1e-4)
        np.testing.assert_allclose(np.sum(exact.exponents), np.log(stretch).sum(), rtol=1e-4)
    lost = gr.flow.spectrum(matrix_cell, jnp.zeros(N), xs, every=16)
    assert float(lost.cancelled) > 14  # the record says so


def test_networks_and_one_row():
    """Cells that read either way in one list, as in `lyapunov`; inputs without B give results without."""
    network = gr.bidirectional(gr.rnn)
    params = network.init(jax.random.key(0), 2, 3)
    xs = jax.random.normal(jax.random.key(1), (12, 1, 2))
    found = gr.flow.spectrum(network, params, xs[:, 0], k=4, points=3)
    assert [part.shape for part in found[:4]] == [(4,), (4,), (3, 4), (3,)]
    np.testing.assert_allclose(found.exponents, gr.flow.lyapunov(network, params, xs, k=4)[0], atol=1e-6)


@pytest.mark.slow
def test_flossing_leaves_out_rows_without_steps(problem, put):
    """A row that is masked throughout changes neither the loss nor its gradient."""
    params, xs, *_ = put(problem("rnn")[:2])
    mask = jnp.ones(xs.shape[:2], bool).at[:, 1].set(False)
    kept = jnp.array([0, 2])
    whole = jax.value_and_grad(lambda params: gr.flow.flossing(gr.rnn, params, xs, k=2, mask=mask))(params)
    part = jax.value_and_grad(lambda params: gr.flow.flossing(gr.rnn, params, xs[:, kept], k=2))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), whole, part)


def test_refusals(monkeypatch, problem, put):
    """The sentence names the argument; what does not fit in memory says how much it is."""
    given = put(problem("rnn")[:2])
    for argument, value in (("every", 0), ("points", 0), ("backward", 2), ("k", 6), ("burn_in", 12)):
        with pytest.raises(ValueError, match=f"`{argument}`"):
            gr.flow.spectrum(gr.rnn, *given, **{argument: value})
    monkeypatch.setattr("gatedrnn._memory.device_bytes", lambda: 1000)
    for measure in (gr.flow.spectrum, gr.flow.singular_values):
        with pytest.raises(ValueError, match="about .* kB, on a device with 1 kB"):
            measure(gr.rnn, *given)
    with pytest.raises(ValueError, match="about .* kB, on a device with 1 kB"):
        gr.flow.fixed_points(gr.rnn, given[0], given[1][0, 0])
