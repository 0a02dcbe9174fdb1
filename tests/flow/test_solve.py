"""Solved biases and gains against closed forms; the root finder against roots that are known."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.flow._root import bracketed

T = 40
STILL = jnp.zeros((T, 1, 1))


@pytest.mark.parametrize(
    ("function", "root"),
    [
        (lambda x: x**3 - 2, 2 ** (1 / 3)),
        (lambda x: math.exp(-x) - 0.25, math.log(4)),
        (lambda x: -math.inf if x < 1.3 else x - 1.2, 1.3),
        (lambda x: 1.0 if x > 0.7 else -1e-9, 0.7),
        (lambda x: (x - 1) ** 9, 1.0),
    ],
)
def test_roots(function, root):
    """Within the tolerance, after no more evaluations than bisection takes and two, and those of the ends."""
    found, count = bracketed(function, 0.0, 2.0, 1e-6)
    assert abs(found - root) <= 1e-6 or function(found) == 0
    assert count <= math.ceil(math.log2(2 / 2e-6)) + 2 + 2
    assert bracketed(lambda x: x + 1, 0.0, 2.0, 1e-6) == (None, 2)


def test_bias_of_a_gate():
    """All weights zero: dL/dc falls by sigmoid(b) a step, from o = 1/2 of the probe; dL/dh by 1 - z is not there."""
    zero = jax.tree.map(jnp.zeros_like, gr.lstm.init(jax.random.key(0), 1, 3))
    for size, lag in ((-2.0, T), (-1.0, 10)):
        solved = gr.flow.solve_horizon(
            gr.lstm, zero, STILL, size, change=gr.flow.keeping_bias(gr.lstm), bracket=(-2, 12), lag=lag, tolerance=1e-5
        )
        f = (10**size / 0.5) ** (1 / lag)
        assert solved.value == pytest.approx(math.log(f / (1 - f)), abs=1e-3)
        assert solved.found == pytest.approx(size, abs=1e-3)
        assert solved.log10_norm[lag] == solved.found
        np.testing.assert_allclose(
            solved.log10_norm[1:], math.log10(0.5) + np.arange(1, T + 1) * math.log10(f), atol=2e-3
        )
        assert solved.evaluations <= 26


def test_gain_of_an_isometry():
    """At rest an orthogonal tanh network has norm s^lag, and is critical at gain 1 over that of its weights."""
    params = gr.rnn.init(jax.random.key(0), 1, 4, recurrent_init=gr.initializers.orthogonal(0.8))
    solved = gr.flow.solve_horizon(
        gr.rnn, params, STILL[:, 0], -3.0, change=gr.flow.recurrent_gain, bracket=(0.5, 2), tolerance=1e-6
    )
    assert solved.value == pytest.approx(10 ** (-3 / T) / 0.8, rel=1e-4)
    critical = gr.flow.critical_gain(gr.rnn, params, STILL, tolerance=1e-5)
    assert critical.value == pytest.approx(1.25, abs=1e-4)
    assert abs(critical.found) < 1e-4


def test_refused():
    """No change of sign, no bracket, no gate."""
    params = gr.rnn.init(jax.random.key(0), 1, 4)
    with pytest.raises(ValueError, match="`bracket` must be two values with -3 between"):
        gr.flow.solve_horizon(gr.rnn, params, STILL, -3.0, change=gr.flow.recurrent_gain, bracket=(1.0, 1.1))
    for wrong in ((2, 1), 3):
        with pytest.raises(ValueError, match="`bracket` must be two numbers"):
            gr.flow.critical_gain(gr.rnn, params, STILL, bracket=wrong)
    with pytest.raises(ValueError, match="`cell` must be"):
        gr.flow.keeping_bias(gr.rnn)
    with pytest.raises(ValueError, match=r"weights with biases `params.input\['b'\]` \[G \* H\], G = 3;"):
        gr.flow.keeping_bias(gr.gru)(gr.normalised(gr.gru).init(jax.random.key(0), 1, 4), jnp.float32(1))
    with pytest.raises(ValueError, match="`lag` must be"):
        gr.flow.solve_horizon(gr.rnn, params, STILL, -3.0, change=gr.flow.recurrent_gain, bracket=(1, 2), lag=T + 1)
    for weights in (params._replace(recurrent=()), {"w": jnp.ones((4, 4))}):
        with pytest.raises(ValueError, match=r"`params` must be weights with `params.recurrent\['w'\]`") as told:
            gr.flow.recurrent_gain(weights, jnp.float32(1))
        assert "\n" not in str(told.value)


def test_a_gain_of_python():
    """A number as it is written scales as one of JAX, in the weights' own dtype."""
    params = jax.tree.map(lambda a: a.astype("bfloat16"), gr.rnn.init(jax.random.key(0), 1, 4))
    found = gr.flow.recurrent_gain(params, 2.0).recurrent["w"]
    assert found.dtype == jnp.bfloat16 and (found == params.recurrent["w"] + params.recurrent["w"]).all()


def test_the_gain_of_a_network():
    """Of all its cells: of two that do not meet, at rest, the one with the larger gain is critical at its inverse."""
    network = gr.stack(*(gr.rnn, gr.rnn))
    params = network.init(jax.random.key(0), 1, 4)
    apart = params.layers[1]._replace(input=jax.tree.map(jnp.zeros_like, params.layers[1].input))
    params = params._replace(
        layers=tuple(map(gr.flow.recurrent_gain, (params.layers[0], apart), jnp.array([0.4, 0.8])))
    )
    found = gr.flow.critical_gain(network, params, STILL, burn_in=T // 2)  # until the larger one is all there is
    assert found.value == pytest.approx(1 / 0.8, abs=1e-3)


def test_weights_with_a_key_and_a_count():
    """Which are no floats: a decay of x times the gain, in the format of the weight that is one."""

    def step(params, carry, x):
        h = (
            params["decay"] * carry.h
            + x * params["count"].astype(x.dtype)
            + 0 * jax.random.uniform(params["key"], x.shape)
        )
        return gr.RNNState(h), h

    first = lambda params, batch_size=None: gr.RNNState(jnp.zeros((1,) if batch_size is None else (batch_size, 1)))
    cell = gr.Cell.from_step("decay", step, init=None, initial_carry=first)
    params = {"decay": jnp.float32(0.5), "count": jnp.int32(1), "key": jax.random.key(0)}
    seen = []

    def change(params, value):
        seen.append(value.dtype)
        return params | {"decay": params["decay"] * value}

    found = gr.flow.critical_gain(cell, params, STILL, change=change, tolerance=1e-5)
    assert found.value == pytest.approx(2, abs=1e-4) and set(seen) == {jnp.dtype("float32")}
