"""What a forecast goes by, from its parts; and the constants of the package are those of the record."""

import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.flow import _distance
from gatedrnn.flow.forecast import Signs, calibration, forecast_from, signs

RECORD = Path(__file__).parents[2] / "benchmarks" / "results" / "forecast.json"
T, B, H = 60, 3, 3
LAGS = [1, 7, 7, T]


@pytest.fixture(scope="module")
def given():
    """Inputs, marked and unmarked rows, and an LSTM whose gates last."""
    xs = jax.random.normal(jax.random.key(1), (T, B, 2))
    params = gr.lstm.init(jax.random.key(0), 2, H, chrono=T)
    return params, xs, xs[:5, 0] * 0.3 + 3, xs[:, 1]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def log_ratio(w, b, marked, unmarked, lags):
    """ln of signal over noise of an LSTM's units, in float64, step by step: w [2, 4 H], b [4 H] -> [H]."""
    memory = lambda x: sigmoid((x @ w + b)[:, :H]) * np.tanh((x @ w + b)[:, 2 * H : 3 * H])
    keep = np.log(sigmoid((unmarked @ w + b)[:, H : 2 * H])).mean(0)
    signal = memory(marked).std(0) * np.mean([np.exp(lag * keep) for lag in lags], axis=0)
    noise = memory(unmarked).var(0) * sum(np.exp(2 * t * keep) for t in range(T))
    return np.log(signal) - 0.5 * np.log(noise + _distance.FLOOR**2)


def moved(params, marked, unmarked, lags):
    """The distance by central differences: each weight along the sign of its own, until R is there."""
    w, b = (np.array(params.input[name], np.float64) for name in "wb")
    rows = [
        np.asarray(each, np.float64)[np.linspace(0, len(each) - 1, 100).round().astype(int)]
        for each in (marked, unmarked)
    ]
    lags = np.quantile(lags, (np.arange(50) + 0.5) / 50)
    before, last = 0.0, -np.inf
    for now in _distance.MOVED:
        slopes = []
        for array in (w, b):
            slope = np.zeros_like(array)
            for place in np.ndindex(array.shape):
                sides = []
                for side in (1e-5, -1e-5):
                    array[place] += side
                    sides.append(log_ratio(w, b, *rows, lags).sum())
                    array[place] -= side
                slope[place] = sides[0] - sides[1]
            slopes.append(np.where(np.abs(slope) > 1e-12, np.sign(slope), 0))
        w, b = w + (now - before) * slopes[0], b + (now - before) * slopes[1]
        found = 0.5 * np.log(np.exp(2 * log_ratio(w, b, *rows, lags)).sum())
        if found >= math.log(_distance.TOLD):
            part = (math.log(_distance.TOLD) - last) / (found - last)
            return now * (before / now) ** (1 - part) if before else now
        before, last = now, max(last, found)
    raise AssertionError("it is reached")


def test_signs_and_formula(given):
    """E is the mean over lags of the mean row's norm; the distance by finite differences; the formula's parts."""
    params, xs, marked, unmarked = given
    found = gr.flow.forecast(gr.lstm, params, xs, LAGS, marked, unmarked, batch=4, learning_rate=1e-3, answers=3)
    rows = np.asarray(gr.flow.adjoint(gr.lstm, params, xs).log10_norm["state"], np.float64)[::-1].mean(1)
    assert found.signs.envelope == pytest.approx(-math.log10(np.mean(10.0 ** rows[LAGS])), abs=1e-5)
    expected = moved(params, marked, unmarked, LAGS)
    assert 0.05 < expected < 10
    assert found.signs.distance == pytest.approx(expected, rel=0.01)
    constants = calibration()
    moving = 3 * 4 * constants["slowness"] * found.signs.distance / 1e-3
    seeing = 3 * 4 * constants["updates"] * 10 ** (constants["power"] * found.signs.envelope)
    assert found.sequences == pytest.approx(moving + seeing, rel=1e-6)
    assert found.moving == pytest.approx(moving / (moving + seeing), rel=1e-6)
    assert found.high / found.sequences == pytest.approx(found.sequences / found.low) == 10 ** constants["spread"]


def test_order(given):
    """Sooner with what is written from the first update on; with a larger rate, as far as weights have to move."""
    params, xs, marked, unmarked = given
    apart = lambda params, rate: gr.flow.forecast(
        gr.lstm, params, xs, LAGS, marked, unmarked, batch=4, learning_rate=rate
    )
    gates = {"w": params.input["w"].at[:, :H].set(4.0), "b": params.input["b"].at[:H].set(-12.0)}
    written = params._replace(input=gates)  # by a marked step, whose inputs are about 3, and by no other
    short = params._replace(input=params.input | {"b": jnp.zeros(4 * H)})
    soon, middle, late = (apart(each, 1e-2) for each in (written, params, short))
    assert soon.signs.distance < middle.signs.distance
    assert middle.signs.envelope < late.signs.envelope
    assert soon.sequences < middle.sequences < late.sequences
    slow = apart(params, 1e-3)
    assert slow.sequences == pytest.approx(middle.sequences * (1 + 9 * middle.moving))


def test_ends():
    """A gradient of exactly zero is never seen; a network whose inputs write nothing has to move all the way."""
    params = jax.tree.map(jnp.zeros_like, gr.rnn.init(jax.random.key(0), 1, 2))
    xs = jnp.zeros((T, 1))
    never = signs(gr.rnn, params, xs, [T], xs[:2], xs)
    assert never == (math.inf, pytest.approx(_distance.MOVED[-1]))
    told = forecast_from(never, False, 1, 1e-2, 1)
    assert (told.sequences, told.high, told.moving) == (math.inf, math.inf, 0)
    assert signs(gr.rnn, params, xs, [0, T], xs[:2], xs)[0] == pytest.approx(
        math.log10(2)
    )  # of the probe itself: half of the lags
    steep = params._replace(recurrent={"w": 9 * jnp.eye(2)})  # which at rest grows by 9 a step
    grown = signs(gr.rnn, steep, jnp.zeros((100, 1)), [100], jnp.array([[1.0], [2.0]]), jnp.array([[0.0], [0.1]]))
    assert grown.envelope < 0 and _distance.MOVED[0] <= grown.distance <= _distance.MOVED[-1]  # no NaN


def test_constants_are_those_of_the_record():
    """So that no number is typed by hand; and the record's forecasts are the package's."""
    record = json.loads(RECORD.read_text())
    assert calibration() == record["constants"]
    for run in record["runs"]:
        found = Signs(math.inf if run["envelope"] is None else run["envelope"], run["distance"])
        told = forecast_from(found, run["cell"] == "gru", run["batch"], run["learning_rate"], run["answers"]).sequences
        assert run["forecast"] > 1e200 or told == pytest.approx(run["batch"] * run["forecast"], rel=1e-6)


def test_a_gru_has_its_pace():
    """With a norm, too: of the same signs a share of the time, by one gate that keeps and writes."""
    found, pace = Signs(1.0, 0.5), calibration()["gru"]
    slow, soon = (forecast_from(found, gru, 8, 1e-2, 2) for gru in (False, True))
    assert soon.sequences == pytest.approx(pace * slow.sequences) and soon.moving == pytest.approx(slow.moving)
    xs = jax.random.normal(jax.random.key(0), (T, 1))
    for cell in (gr.gru, gr.normalised(gr.gru), gr.lstm):
        told = gr.flow.forecast(cell, cell.init(jax.random.key(1), 1, 3), xs, [9], xs[:5], xs, batch=8, answers=2)
        assert told == forecast_from(told.signs, cell is not gr.lstm, 8, 1e-2, 2)


def test_refused():
    """Lags that are none, marks without others, sizes, cells with `step` alone."""
    params, xs = gr.rnn.init(jax.random.key(0), 1, 2), jnp.zeros((T, 1))
    for lags in ([T + 1], [-1], [0.5], [], 3):
        with pytest.raises(ValueError, match="`lags` must be whole numbers from 0 to T = 60"):
            gr.flow.forecast(gr.rnn, params, xs, lags, xs, xs, batch=1)
    for marked in (xs[:1], xs[:, 0], jnp.zeros((3, 2))):
        with pytest.raises(ValueError, match=r"`marked` must be inputs \[N, D\] of N >= 2 steps, D = 1"):
            gr.flow.forecast(gr.rnn, params, xs, [1], marked, xs, batch=1)
    for name, value in (("batch", 0), ("learning_rate", 0), ("answers", 0)):
        with pytest.raises(ValueError, match=f"`{name}` must be"):
            gr.flow.forecast(gr.rnn, params, xs, [1], xs, xs, **({"batch": 1} | {name: value}))
    spoiled = xs.at[3].set(jnp.nan)
    with pytest.raises(ValueError, match="`xs` must be such that the recurrence and its gradient are finite"):
        gr.flow.forecast(gr.rnn, params, spoiled, [1], xs, xs, batch=1)
    with pytest.raises(ValueError, match="`unmarked` must be of finite numbers; got NaN or infinity in float32"):
        gr.flow.forecast(gr.rnn, params, xs, [1], xs, spoiled, batch=1)
    with pytest.raises(ValueError, match="`cell` must be a Cell in three-function form"):
        gr.flow.forecast(gr.stack(gr.rnn, gr.rnn), (params, params), xs, [1], xs, xs, batch=1)
