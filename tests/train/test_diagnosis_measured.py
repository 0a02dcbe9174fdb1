"""What a diagnosis measures, beside literal loops: gradients, signal, gates, and a training run again."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gatedrnn as gr
from gatedrnn.train import _diagnose
from gatedrnn.train._diagnosis import findings
from gatedrnn.train._measured import keeping_bias, measured, sequences, without_memory
from gatedrnn.train._replay import Stability, rise, stability
from gatedrnn.train._signal import SEED

T, H, B = 12, 4, 3
RATES = [float(f"{digit}e{power}") for power in (1, 0, -1, -2, -3, -4) for digit in (5, 2, 1)]


@pytest.fixture(scope="module")
def setup():
    """A GRU on adding, with a forget bias at which some gates are nearly 1."""
    options = {"update_bias": 5.0}
    return gr.train.Setup(gr.tasks.adding, gr.gru, T, H, B, method=gr.Autodiff(), cell_options=options)


@pytest.fixture(scope="module")
def found(setup):
    """Its first weights, the sequences and the measures."""
    params = jax.tree.map(lambda a: a[0], gr.train.init(setup).params)
    on = sequences(setup)
    return params, on, measured(setup, params, on)


def test_gradient_at_the_lag(found):
    """The norm of the last output's gradient in each state, from a perturbation of that state in a plain loop."""
    params, on, got = found
    assert on.lag == int(np.median(on.marks.lags)) and on.xs.shape == (T, 64, 2)

    def last(moved, xs):  # moved [T + 1, H]: added to the state before step t, and after the last
        step = lambda h, at: (gr.gru.step(params.cell, gr.GRUState(h), at[0])[1] + at[1], None)
        return jax.lax.scan(step, moved[0], (xs, moved[1:]))[0].sum() / H**0.5

    norms = jax.vmap(lambda xs: jnp.linalg.norm(jax.grad(last)(jnp.zeros((T + 1, H)), xs), axis=1), 1)(on.xs[:, :8])
    decades = np.median(np.log10(norms), axis=0)[::-1]  # by lag
    assert got.gradient == pytest.approx(decades[on.lag] - decades[0], abs=1e-4)
    assert got.reach == math.inf


def test_norms_and_signal(setup, found):
    """Of a loss written out, batch by batch in float64: |mean|^2 less its noise, over the variance."""
    params, _, got = found

    def loss(params, drawn):
        _, ys = setup.model(params, drawn.xs)
        return jnp.square(ys[-1, :, 0] - drawn.targets[-1]).mean()

    keys = jax.random.split(jax.random.key(SEED), len(got.norms))
    gradient = jax.jit(jax.grad(loss))
    trees = [gradient(params, gr.tasks.adding(key, B, T)) for key in keys]
    flat = [{"cell.recurrent.w": tree.cell.recurrent["w"], "readout.b": tree.readout["b"]} for tree in trees]
    norms = [math.sqrt(sum(float(np.square(leaf).sum()) for leaf in jax.tree.leaves(tree))) for tree in trees]
    np.testing.assert_allclose(got.norms, norms, rtol=1e-4)
    assert len(got.norms) == 16 and got.norm == pytest.approx(np.median(norms), rel=1e-4)
    for name in flat[0]:
        rows = np.array([np.ravel(each[name]) for each in flat], np.float64)
        variance = rows.var(0, ddof=1).sum()
        signal = max(0.0, np.square(rows.mean(0)).sum() - variance / len(rows)) / variance
        assert got.signal[name] == pytest.approx(math.sqrt(signal), rel=1e-3, abs=1e-3)


def test_gates_and_units(setup, found):
    """Shares of a sigmoid near its ends; what `gr.flow` says of time scales and of units; the median weight."""
    params, on, got = found
    gates = gr.gate_activations(gr.gru, params.cell, on.xs[:, :8])
    for name in ("reset", "update"):
        near = np.abs(np.asarray(getattr(gates, name)) - 0.5) > 0.49
        assert got.saturated[name] == pytest.approx(near.mean())
        assert got.frozen[name] == pytest.approx(near.all((0, 1)).mean())
    assert set(got.saturated) == {"reset", "update"} and 0 < got.saturated["update"] < 1
    scales = gr.flow.timescales(gr.gru, params.cell, on.xs[:, :8])
    assert got.scales == pytest.approx((float(np.median(scales)), float(scales.max())))
    marked, unmarked = jnp.asarray(on.marks.marked), jnp.asarray(on.marks.unmarked)
    written = gr.flow.writable(gr.gru, params.cell, marked, unmarked, horizon=T, lag=on.lag)
    assert (got.units, got.ratio) == (int(written.number), pytest.approx(float(written.best)))
    assert got.weight == pytest.approx(
        np.median(np.abs(np.concatenate([*map(np.ravel, jax.tree.leaves(params.cell))])))
    )


def test_bias_that_keeps(setup, found):
    """At the bias that is found, a tenth of the gradient is left at the lag; there is none of a network or an RNN."""
    params, on, _ = found
    bias = keeping_bias(setup, params, on)
    kept = gr.flow.keeping_bias(gr.gru)(params.cell, jnp.float32(bias))
    rows = np.asarray(gr.flow.adjoint(gr.gru, kept, on.xs[:, :8]).log10_norm["state"])
    decades = np.median(rows, axis=1)[::-1]
    start = np.median(np.asarray(gr.flow.adjoint(gr.gru, params.cell, on.xs[:, :8]).log10_norm["state"])[-1])
    assert decades[on.lag] - start == pytest.approx(-1, abs=0.05)
    for cell in (gr.rnn, gr.normalised(gr.gru)):  # of no such gate, and of biases that stand elsewhere
        other = dataclasses.replace(setup, cell=cell, cell_options={})
        assert keeping_bias(other, jax.tree.map(lambda a: a[0], gr.train.init(other).params), on) is None
    shut = on._replace(lag=1, xs=1e4 * on.xs)  # no bias up to ln(100) opens these gates
    assert keeping_bias(setup, params, shut) is None


def test_outputs_that_overflow(setup, found):
    """Nothing is said of a gradient that is no number; the rest is measured."""
    step = lambda params, carry, x: (gr.GRUState((carry.h + 1e30) ** 2 - carry.h * 1e30), carry.h)
    cell = gr.Cell.from_step("squares", step, init=gr.gru.init, initial_carry=gr.gru.initial_carry)
    got = measured(dataclasses.replace(setup, cell=cell, cell_options={}), *found[:2])
    assert got[:5] == (None, None, None, None, None) and math.isnan(got.norm) and got.weight > 0


def test_others_are_prepared_where_they_would_help(setup, found, monkeypatch):
    """Of a training that has learned nothing else is looked at."""
    monkeypatch.setattr(_diagnose, "measured", lambda *_: found[2])
    monkeypatch.setattr(_diagnose, "without_memory", lambda *_: 0.1)

    def others():
        raise AssertionError("not asked for")
        yield

    setup = dataclasses.replace(setup, optimiser=gr.train.Optimiser(optax.sgd))  # which no forecast is made for
    state = gr.train.init(setup)
    told = _diagnose.evidence(setup, state, state, [gr.train.Row(2, 0, 0.0, 0.0, 1.0)], 0, steps=2, others=others())
    assert told.course.place == "learned" and told.tried == () and told.first == found[2]


def test_without_memory(setup):
    """The best constant answer, on the very batches of a test; of classes, chance."""

    def drawn(seed, number):
        keys = jax.random.split(jax.random.key(seed), number)
        return np.concatenate([np.asarray(gr.tasks.adding(key, B, T).targets[-1], np.float64) for key in keys])

    answer = drawn(SEED, 64).mean()
    assert without_memory(setup, 4) == pytest.approx(np.square(drawn(2**31 - 1, 4) - answer).mean(), rel=1e-4)
    assert without_memory(dataclasses.replace(setup, task=gr.tasks.parity), 4) == math.log(2)


@pytest.fixture(scope="module")
def descent():
    """(rate) -> an RNN's setup for gradient descent, and its losses over 12 updates by a loop of steps, [<= 12]."""
    base = gr.train.Setup(gr.tasks.adding, gr.rnn, T, H, B, method=gr.Autodiff())
    state = gr.train.init(dataclasses.replace(base, optimiser=gr.train.Optimiser(optax.sgd, 1.0, None)))

    @jax.jit
    def descend(params, key, rate):
        drawn = gr.tasks.adding(key, B, T)
        error = lambda params: jnp.square(base.model(params, drawn.xs)[1][-1, :, 0] - drawn.targets[-1]).mean()
        loss, gradient = jax.value_and_grad(error)(params)
        return jax.tree.map(lambda a, g: a - rate * g, params, gradient), loss

    def descent(rate):
        params, found = jax.tree.map(lambda a: a[0], state.params), []
        while len(found) < 12 and np.all(np.isfinite(found)):
            params, loss = descend(params, jax.random.fold_in(state.key[0], len(found)), jnp.float32(rate))
            found.append(float(loss))
        return dataclasses.replace(base, optimiser=gr.train.Optimiser(optax.sgd, rate, None)), np.array(found)

    return descent


def test_a_training_run_again(descent):
    """The update whose loss is the first that is not finite; the largest rate with low losses."""
    setup, found = descent(20.0)
    losses = lambda rate: descent(rate)[1]
    state = gr.train.init(setup)
    got = stability(setup, state, state, 12, 1 / 6)
    assert got.failed_at == len(found) < 12 and not np.isfinite(found[-1])
    high = max(10 / 6, 10 * found[0])  # of the loss without memory, and of the first
    assert got.rate < 20 and losses(got.rate).max() <= high
    larger = min(rate for rate in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0) if rate > got.rate)
    assert losses(larger).max() > high
    lost = state._replace(params=jax.tree.map(lambda a: a * jnp.nan, state.params))
    assert stability(setup, state, lost, 12, 1 / 6) == got
    assert stability(setup, state, state, len(found) - 1, 1 / 6) == Stability(until=len(found) - 1)


@pytest.mark.parametrize(
    ("rate", "until", "bar", "window", "wanted"),
    [
        (20.0, 12, 0.16, 3, (3, 0.2)),
        (0.5, 12, 0.05, 20, (6, 0.2)),
        (0.5, 12, 0.001, 3, (6, None)),  # no rate helps
        (0.02, 4, 0.16, 1, None),  # it ends high, but not far above the first, and smaller rates do not help
        (0.2, 9, 0.03, 1, (1, 0.1)),  # it was high before the first update
        (0.02, 12, 0.001, 3, None),
        (0.02, 12, 0.16, 3, (None, None)),  # there was a high one, but it ends low
    ],
)
def test_a_loss_that_rises(descent, rate, until, bar, window, wanted):
    """At which update, and with which smaller rate it does not, by a loop over the losses of a loop of steps."""
    mean_over = max(1, min(window, until // 8))

    def way(rate):
        losses, end = descent(rate)[1][:until], 0.0
        for number, loss in enumerate(losses, 1):
            end += (loss - end) / min(number, mean_over)
        first = lambda bound: next((number for number, loss in enumerate(losses, 1) if not loss <= bound), None)
        return first(10 * max(bar, losses[0])), first(10 * bar), end <= 10 * bar

    rose, over, low = way(rate)
    failed = rose or (None if low else over)
    good = lambda rate: way(rate)[0] is None and way(rate)[2]
    found = failed, failed and next(filter(good, [each for each in RATES if each < rate]), None)
    assert found == (wanted or (over, None))
    setup = descent(rate)[0]
    got = rise(setup, gr.train.init(setup), until, bar, window)
    assert got == (wanted and Stability(*wanted, 0, until))


def test_a_training_far_above_is_brought_down(found, monkeypatch):
    """By what it is told to change: Adam at a rate of 3, and at the largest smaller one that keeps the loss low."""
    monkeypatch.setattr(_diagnose, "measured", lambda *_: found[2])
    monkeypatch.setattr(_diagnose, "_forecast", lambda *_: None)
    base = gr.train.Setup(gr.tasks.adding, gr.rnn, 20, 8, 8, method=gr.Autodiff())

    def train(rate):
        setup = dataclasses.replace(base, optimiser=gr.train.Optimiser(optax.adam, rate))
        return setup, gr.train.fit(setup, steps=40, test_every=10, test_batches=2)

    setup, fitted = train(3.0)
    start = gr.train.init(setup)
    told = _diagnose.evidence(setup, start, fitted.state, fitted.rows, 0, steps=40, test_every=10, test_batches=2)
    change = findings(told)[0].changes[0]
    _, again = train(change.options["rate"])
    assert (told.course.place, findings(told)[0].name, told.until) == ("above", "above", 40)
    assert fitted.rows[-1].test_loss > 10 * told.without_memory > again.rows[-1].test_loss
    monkeypatch.setattr(_diagnose, "without_memory", lambda *_: 1e-3)  # which the first loss is far above, too
    setup = dataclasses.replace(base, optimiser=gr.train.Optimiser(optax.adam, 1e-4))
    rows = [gr.train.Row(40, 0, 1.0, 1.0, 0.0)]
    told = _diagnose.evidence(setup, start, fitted.state, rows, 0, steps=40, test_every=10)
    assert told.course.place == "plateau" and findings(told)[0].name == "slow"
