"""keras: both directions and layers on top of each other, there and back, with masks."""

import importlib
import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fuzz_settings import bounded
from hypothesis import strategies as st
from tolerances import assert_close

import gatedrnn as gr

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")
interop = importlib.import_module("gatedrnn.interop.keras")
layers = keras.layers
pytestmark = [
    pytest.mark.usefixtures("keras_broadcasts"),
    pytest.mark.filterwarnings(
        "ignore:Layer .* does not support masking"
    ),  # a Sequential passes its mask on and says so
]

T, B, D, H = 7, 2, 3, 5
LENGTH = T * (D + H) * 3
RTOL = 1e-5  # what is promised of outputs and gradients
KINDS = {"rnn": layers.SimpleRNN, "gru": layers.GRU, "lstm": layers.LSTM}
CELLS = {"rnn": layers.SimpleRNNCell, "gru": layers.GRUCell, "lstm": layers.LSTMCell}


def filled(layer, width=D):
    """The layer, built, with random numbers in every weight and bias."""
    layer.build((None, None, width))
    rng = np.random.default_rng(0)
    layer.set_weights([0.5 * rng.normal(size=weight.shape) for weight in layer.weights])
    return layer


def sequence(kind="gru", **options):
    """One layer that another can read."""
    return KINDS[kind](H, return_sequences=True, **options)


def model(*parts):
    """A Sequential over sequences."""
    return filled(keras.Sequential([keras.Input((None, D)), *parts]))


MODELS = {
    "both": lambda: filled(layers.Bidirectional(layers.LSTM(H))),
    "sum": lambda: filled(layers.Bidirectional(layers.GRU(H), "sum")),
    "ave": lambda: filled(layers.Bidirectional(sequence("rnn"), "ave")),
    "mul": lambda: filled(layers.Bidirectional(layers.GRU(H), "mul")),
    "other": lambda: filled(layers.Bidirectional(layers.LSTM(H), backward_layer=layers.LSTM(H + 1, go_backwards=True))),
    "cells": lambda: filled(layers.RNN([layers.LSTMCell(H), layers.GRUCell(H + 1), layers.SimpleRNNCell(H)])),
    "both_of_cells": lambda: filled(layers.Bidirectional(layers.RNN([layers.LSTMCell(H), layers.GRUCell(H)]))),
    "sequential": lambda: model(sequence("lstm"), layers.Dropout(0.3), layers.Bidirectional(layers.GRU(H))),
    "variants": lambda: model(
        sequence("gru", reset_after=False), layers.Bidirectional(sequence("rnn", activation="relu"))
    ),
    "nested": lambda: model(keras.Sequential([sequence("rnn")]), sequence("lstm"), layers.GRU(H)),
    "list": lambda: [filled(sequence("lstm")), filled(sequence("gru"), H)],
}


@pytest.mark.thinned(9)
@pytest.mark.parametrize("lengths", [None, [4, 7]], ids=["whole", "masked"])
@pytest.mark.parametrize("name", MODELS)
def test_verified(name, lengths, inputs):
    """Outputs, last carries, and the gradients in xs, the first carries and each of keras's weights."""
    errors = interop.verify_keras(MODELS[name](), inputs, lengths=lengths)
    assert errors.largest < RTOL


@pytest.mark.slow
@bounded(2)
def test_any_model_over_any_lengths(data):
    """Layers, directions, biases, merges; rows of no steps among the lengths."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    parts = []
    for _ in range(data.draw(st.integers(1, 3))):
        kind = data.draw(st.sampled_from(sorted(KINDS)))
        layer, both = sequence(kind, use_bias=data.draw(st.booleans())), data.draw(st.booleans())
        parts.append(layers.Bidirectional(layer, data.draw(st.sampled_from(["concat", "ave"]))) if both else layer)
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=3, max_size=3))
    with jax.numpy_rank_promotion("allow"):
        errors = interop.verify_keras(model(*parts), rng.normal(size=(4, 3, D)), lengths=lengths)
    assert errors.largest < RTOL


def test_agrees_with_the_model(inputs):
    """The model as its users call it, batch-major, from zeros, with a mask; what is last is each direction's own."""
    net = model(layers.Bidirectional(sequence("lstm", dropout=0.2)), layers.Dropout(0.4), sequence("gru"))
    cell, params = interop.from_keras(net)
    assert cell == gr.stack(gr.bidirectional(gr.lstm), gr.gru, dropout=0.4)
    xs, lengths = jnp.float32(inputs).swapaxes(0, 1), jnp.array([4, 7])
    mask = jnp.arange(T)[None] < lengths[:, None]
    want = jnp.where(mask[..., None], net(xs, mask=mask), 0.0)
    assert_close(gr.unroll(cell, params, xs, lengths=lengths, batch_major=True)[1], want, "float32", LENGTH)
    both = filled(layers.Bidirectional(layers.GRU(H)))
    cell, params = interop.from_keras(both)
    last = gr.unroll(cell, params, xs, lengths=lengths, batch_major=True, outputs="last")[1]
    assert_close(last, both(xs, mask=mask), "float32", LENGTH)


def test_dropout_of_several_rates(inputs):
    """Each between the layers where keras has it; a gap without is one of rate zero."""
    drop = layers.Dropout
    below = sequence("lstm"), drop(0.3), sequence("gru"), drop(0.3), sequence("rnn")
    net = model(*below, drop(0.6), sequence("rnn"), sequence("rnn"))
    cell, _ = interop.from_keras(net)
    lower = gr.stack(gr.lstm, gr.gru, gr.rnn, dropout=0.3)
    assert cell == gr.stack(gr.stack(lower, gr.rnn, dropout=0.6), gr.rnn)
    assert interop.verify_keras(net, inputs, lengths=[4, 7]).largest < RTOL
    again = interop.to_keras(*interop.from_keras(net))
    rates = [getattr(layer, "rate", None) for layer in again.layers]
    assert rates == [None, 0.3, None, 0.3, None, 0.6, None, None]


def test_two_kinds_in_one_pair(inputs):
    """An LSTM one way and a GRU the other; keras cannot give both a first state, so there is no proof from any."""
    both = filled(layers.Bidirectional(sequence("lstm"), backward_layer=sequence("gru", go_backwards=True)))
    cell, params = interop.from_keras(both)
    assert cell == gr.bidirectional(gr.lstm, gr.gru)
    xs = jnp.float32(inputs).swapaxes(0, 1)
    assert_close(gr.unroll(cell, params, xs, batch_major=True)[1], both(xs), "float32", LENGTH)
    with pytest.raises(ValueError, match="^`layer` must be one of directions with states .*; got 2 and 1"):
        interop.verify_keras(both, inputs)


NETWORKS = [
    gr.bidirectional(gr.gru),
    gr.bidirectional(gr.lstm, gr.gru, merge="product"),
    gr.stack(gr.bidirectional(gr.rnn, merge="mean"), gr.lstm, dropout=0.2),
    gr.stack(gr.gru, layers=3),
    gr.stack(gr.stack(gr.stack(gr.gru, layers=2, dropout=0.1), gr.rnn), gr.bidirectional(gr.gru), dropout=0.3),
    gr.stack(gr.bidirectional(gr.gru_before), gr.relu_rnn),
]


@pytest.mark.parametrize("cell", NETWORKS, ids=lambda cell: cell.name)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_round_trip(cell, dtype, network_params):
    """Ours, through keras and back, bit for bit."""
    params = network_params(cell, dtype)
    back, again = interop.from_keras(interop.to_keras(cell, params))
    assert back == cell
    chex.assert_trees_all_equal(again, params, strict=True)


def test_returns_what_unroll_returns(inputs, network_params):
    """The layer of both directions gives its sequence and its states, a model its sequence."""
    xs = jnp.float32(inputs)
    for cell in (NETWORKS[0], NETWORKS[3]):
        params = network_params(cell)
        carry, ys = gr.unroll(cell, params, xs)
        got = interop.to_keras(cell, params)(xs.swapaxes(0, 1))
        want = (ys.swapaxes(0, 1), carry.forward.h, carry.backward.h) if cell is NETWORKS[0] else ys.swapaxes(0, 1)
        assert_close(tuple(got) if cell is NETWORKS[0] else got, want, "float32", LENGTH)


REFUSED = [
    (lambda: filled(layers.Bidirectional(sequence(), None)), "`merge_mode` must be one of concat, .*; got None"),
    (
        lambda: layers.Bidirectional(sequence(go_backwards=True), backward_layer=sequence()),
        "`go_backwards` must be Fal",
    ),
    (lambda: layers.Bidirectional(layers.LSTM(H)), "`layer` must be built, "),
    (lambda: layers.Bidirectional(layers.LSTM(H, activation="relu")), "`activation` must be tanh "),
    (lambda: model(sequence(), layers.Dense(3)), "`layer` must be one of SimpleRNN, .*; got Dense"),
    (lambda: model(sequence(), layers.Dropout(0.1)), r"`layer` must be one whose Dropout .*; got \w+, Dropout\."),
    (lambda: model(layers.Dropout(0.1), sequence()), r"`layer` must be one whose Dropout .*; got Dropout, \w+\."),
    (
        lambda: model(sequence(), layers.Dropout(0.1), layers.Dropout(0.2), sequence()),
        "`layer` must be one whose Dropout .*, and alone there; got",
    ),
    (lambda: model(sequence(), layers.Dropout(0.1, (1, 1, 5)), sequence()), "`noise_shape` must be None"),
    (
        lambda: [filled(layers.GRU(H)), filled(layers.GRU(H), H)],
        "`return_sequences` must be True .*; got False of 'gru",
    ),
    (lambda: keras.Model(*[keras.Input((None, D))] * 2), "`layer` must be one of .*, Sequential or .*; got Functional"),
    (list, "`layer` must be recurrent layers, at least one; got none"),
    (lambda: filled(layers.RNN([layers.GRUCell(H)], go_backwards=True)), "`go_backwards` must be False, .*; got True"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refused(make, message):
    """Each option that makes another function, by name."""
    with pytest.raises(ValueError, match=f"^{message}"):
        interop.from_keras(make())


def test_networks_that_keras_has_not(network_params):
    """What lies between the layers, and cells that are none of keras's."""
    params = network_params(gr.stack(gr.lstm, layers=2))
    with pytest.raises(ValueError, match="^`cell` must be a stack without `residual`, "):
        interop.to_keras(gr.stack(gr.lstm, layers=2, residual=True), params)
    with pytest.raises(ValueError, match="^`cell` must be one of gatedrnn.rnn, .*; got 'learned_carry"):
        interop.to_keras(gr.stack(gr.learned_carry(gr.lstm), gr.lstm), params)
    with pytest.raises(ValueError, match="^`params` must be the BidirectionalParams of "):
        interop.to_keras(gr.bidirectional(gr.lstm), params)
