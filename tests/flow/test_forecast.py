"""What a forecast goes by, from its parts; and the constants of the package are those of the record."""

import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.flow import forecast as function
from gatedrnn.flow.forecast import calibration, signs

RECORD = Path(__file__).parents[2] / "benchmarks" / "results" / "forecast.json"
T, B = 60, 3


def test_signs_and_formula():
    """E is the mean over lags of the mean row's norm, W of the best unit's memory; the formula's parts, in float64."""
    xs = jax.random.normal(jax.random.key(1), (T, B, 2))
    marked, unmarked = xs[:5, 0] + 3, xs[:, 1]
    lags = [1, 7, 7, T]
    params = gr.gru.init(jax.random.key(0), 2, 6, chrono=T)
    rows = np.asarray(gr.flow.adjoint(gr.gru, params, xs).log10_norm["state"], np.float64)[::-1].mean(1)
    envelope = -math.log10(np.mean(10.0 ** rows[lags]))
    written = gr.flow.writable(gr.gru, params, marked, unmarked, horizon=T, lag=7)
    found = gr.flow.forecast(gr.gru, params, xs, lags, marked, unmarked, batch=4, learning_rate=1e-3)
    assert found.signs.envelope == pytest.approx(envelope, abs=1e-5)
    left = np.asarray(written.signal * written.kept, np.float64).max()
    assert found.signs.unwritten == pytest.approx(-math.log10(left), abs=1e-5)
    constants = calibration()
    log10 = constants["intercept"] + constants["rate"] + math.log10(4)
    log10 += constants["envelope"] * min(envelope, constants["widest_envelope"])
    log10 += constants["unwritten"] * min(found.signs.unwritten, constants["widest_unwritten"])
    assert found.sequences == pytest.approx(10**log10, rel=1e-5)
    assert found.high / found.sequences == pytest.approx(found.sequences / found.low) == 10 ** constants["spread"]
    single = gr.flow.forecast(gr.gru, params, xs[:, 0], lags, batch=4)
    assert single.signs.unwritten == 0


def test_nothing_arrives():
    """A gradient of exactly zero is as far as a forecast goes; a plain network's inputs are always written."""
    params = jax.tree.map(jnp.zeros_like, gr.rnn.init(jax.random.key(0), 1, 2))
    xs = jnp.zeros((T, 1))
    assert signs(gr.rnn, params, xs, [T], xs[:2], xs) == (math.inf, 0.0)
    assert signs(gr.rnn, params, xs, [0, T])[0] == pytest.approx(math.log10(2))  # of the probe itself: half of the lags
    worst = gr.flow.forecast(gr.rnn, params, xs, [T], batch=1)
    assert worst.sequences > gr.flow.forecast(gr.rnn, params, xs, [0], batch=1).sequences


def test_constants_are_those_of_the_record():
    """So that no number is typed by hand."""
    assert calibration() == json.loads(RECORD.read_text())["constants"]


def test_refused():
    """Lags that are none, marks without others, sizes."""
    params, xs = gr.rnn.init(jax.random.key(0), 1, 2), jnp.zeros((T, 1))
    for lags in ([T + 1], [-1], [0.5], [], 3):
        with pytest.raises(ValueError, match="`lags` must be whole numbers from 0 to T = 60"):
            function(gr.rnn, params, xs, lags, batch=1)
    with pytest.raises(ValueError, match="`marked` must be given with"):
        function(gr.rnn, params, xs, [1], xs, batch=1)
    with pytest.raises(ValueError, match="`batch` must be"):
        function(gr.rnn, params, xs, [1], batch=0)
    with pytest.raises(ValueError, match="`learning_rate` must be"):
        function(gr.rnn, params, xs, [1], batch=1, learning_rate=0)
