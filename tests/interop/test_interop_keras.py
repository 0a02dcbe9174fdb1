"""keras on JAX: converted layers agree with `unroll` in values and in every gradient, there and back."""

import importlib
import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close, tolerance

import gatedrnn as gr

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")
interop = importlib.import_module("gatedrnn.interop.keras")
pytestmark = pytest.mark.usefixtures("keras_broadcasts")

T, B, D, H = 7, 2, 3, 5
LENGTH = T * (D + H)  # additions behind the last output
LAYERS = {"rnn": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}
CELLS = {"rnn": keras.layers.SimpleRNNCell, "gru": keras.layers.GRUCell, "lstm": keras.layers.LSTMCell}
each_kind = pytest.mark.parametrize("kind", [*LAYERS.values(), *CELLS.values()], ids=lambda kind: kind.__name__)
each_cell = pytest.mark.parametrize("cell", [gr.rnn, gr.gru, gr.lstm], ids=lambda cell: cell.name)


def filled(layer):
    """The layer, built, with random numbers in every weight and bias."""
    layer.build((None, None, D) if isinstance(layer, keras.layers.RNN) else (None, D))
    rng = np.random.default_rng(0)
    layer.set_weights([0.7 * rng.normal(size=weight.shape) for weight in layer.weights])
    return layer


@pytest.mark.thinned(5)
@each_kind
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
def test_verified(kind, bias, inputs):
    """Outputs, last carry, and the gradients in xs, the first carry and each of keras's weights."""
    errors = interop.verify_keras(filled(kind(H, use_bias=bias)), inputs)
    assert set(errors.dweights) == {"kernel", "recurrent_kernel"} | ({"bias"} if bias else set())
    assert errors.largest <= tolerance("float32", LENGTH)


VARIANTS = {
    gr.gru_before: [(keras.layers.GRU, {"reset_after": False}), (keras.layers.GRUCell, {"reset_after": False})],
    gr.relu_rnn: [
        (keras.layers.SimpleRNN, {"activation": "relu"}),
        (keras.layers.SimpleRNNCell, {"activation": keras.layers.Activation(jax.nn.relu)}),
    ],
}


@pytest.mark.parametrize("cell", VARIANTS, ids=lambda cell: cell.name)
def test_variants(cell, params_of, inputs):
    """Another cell, not another option; there and back, bit for bit."""
    for kind, options in VARIANTS[cell]:
        layer = filled(kind(H, **options))
        assert interop.from_keras(layer)[0] == cell
    assert interop.verify_keras(filled(VARIANTS[cell][0][0](H, **VARIANTS[cell][0][1])), inputs).largest < 1e-5
    params = params_of(cell)
    back, again = interop.from_keras(interop.to_keras(cell, params))
    assert back == cell
    chex.assert_trees_all_equal(again, params, strict=True)


@pytest.mark.parametrize("name", LAYERS)
def test_agrees_with_the_layer(name, inputs):
    """The layer as its users call it, batch-major, from zeros; and a general RNN over the cell."""
    layer, xs = filled(LAYERS[name](H, return_sequences=True)), jnp.float32(inputs)
    general = filled(keras.layers.RNN(CELLS[name](H), return_sequences=True))
    for one in (layer, general):
        cell, params = interop.from_keras(one)
        assert cell == getattr(gr, name)
        assert_close(gr.unroll(cell, params, xs)[1], one(xs.swapaxes(0, 1)).swapaxes(0, 1), "float32", LENGTH)


FAULTS = {
    "swapped_gates": lambda w: {**w, "kernel": jnp.roll(w["kernel"], H, -1)},
    "swapped_recurrent_gates": lambda w: {**w, "recurrent_kernel": jnp.roll(w["recurrent_kernel"], H, -1)},
    "swapped_bias": lambda w: {**w, "bias": jnp.roll(w["bias"], H, -1)},
    "lost_bias": lambda w: {name: a for name, a in w.items() if name != "bias"},
    "swapped_halves": lambda w: {**w, "bias": w["bias"][::-1]},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_conversion_shows(fault, monkeypatch, inputs):
    """What verify_keras proves can fail: in the outputs, and in the gradients of the weights."""
    right = interop.converted
    monkeypatch.setattr(interop, "converted", lambda cell, weights: right(cell, FAULTS[fault](weights)))
    errors = interop.verify_keras(filled(keras.layers.GRU(H)), inputs)
    assert min(errors.ys, errors.carry, errors.dxs, errors.dcarry, max(errors.dweights.values())) > 1e-2


@pytest.mark.thinned(4)
@each_cell
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_round_trip(cell, dtype, params_of, inputs):
    """Ours, through keras and back, bit for bit."""
    with jax.enable_x64(dtype == "float64"):
        params = params_of(cell, dtype)
        layer = interop.to_keras(cell, params)
        back, again = interop.from_keras(layer)
    if dtype == "float32":
        assert interop.verify_keras(layer, inputs).largest <= tolerance(dtype, LENGTH)
    assert type(layer) is LAYERS[cell.name]
    assert back == cell
    chex.assert_trees_all_equal(again, params, strict=True)


def test_returns_what_unroll_returns(params_of, inputs):
    """The layer made of ours gives its sequence and its state."""
    params, xs = params_of(gr.lstm, "float32"), jnp.float32(inputs)
    (h, c), ys = gr.unroll(gr.lstm, params, xs)
    got = interop.to_keras(gr.lstm, params)(xs.swapaxes(0, 1))
    assert_close(tuple(got), (ys.swapaxes(0, 1), h, c), "float32", LENGTH)


@pytest.mark.thinned(5)
@pytest.mark.parametrize("kind", LAYERS.values(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "tanh",
    ["tanh", keras.activations.tanh, keras.ops.tanh, jnp.tanh, jax.lax.tanh, keras.layers.Activation("tanh")],
    ids=["name", "activations", "ops", "jnp", "lax", "layer"],
)
def test_one_function_by_many_names(kind, tanh, inputs):
    """tanh and sigmoid wherever they come from; dropout does nothing at inference."""
    gates = [keras.ops.sigmoid, jax.nn.sigmoid, jax.scipy.special.expit, jax.lax.logistic]
    options = [{"recurrent_activation": gate} for gate in gates] if kind is not LAYERS["rnn"] else [{}]
    for option in options:
        drop = {"dropout": 0.3, "recurrent_dropout": 0.2}
        layer = filled(kind(H, activation=tanh, return_sequences=True, **drop, **option))
        cell, params = interop.from_keras(layer)
        want = layer(jnp.float32(inputs).swapaxes(0, 1), training=False).swapaxes(0, 1)
        assert_close(gr.unroll(cell, params, jnp.float32(inputs))[1], want, "float32", LENGTH)
    assert interop.verify_keras(layer, inputs).largest <= tolerance("float32", LENGTH)


def tanh(x):
    """Another function of the same name."""
    return 1.7 * jnp.tanh(x)


REFUSED = [
    (keras.layers.SimpleRNN(H, activation="elu"), "`activation` must be tanh .*; got elu"),
    (keras.layers.LSTM(H, activation=None), "`activation` must be tanh .*; got linear"),
    (keras.layers.GRUCell(H, recurrent_activation="relu"), "`recurrent_activation` must be sigmoid .*; got relu"),
    (
        keras.layers.GRU(H, activation="relu", reset_after=False),
        "`activation` must be tanh to make gatedrnn.gru_before",
    ),
    (keras.layers.LSTM(H, recurrent_activation="hard_sigmoid"), "`recurrent_activation` .*; got hard_sigmoid"),
    (keras.layers.LSTM(H, activation=tanh), "`activation` must be tanh .*; got test_interop_keras.tanh"),
    (keras.layers.SimpleRNN(H, go_backwards=True), "`go_backwards` must be False, .*; got True"),
    (keras.layers.Dense(H), "`layer` must be one of SimpleRNN, .* LSTMCell, .*; got Dense"),
]


@pytest.mark.parametrize(("layer", "message"), REFUSED, ids=lambda part: type(part).__name__)
def test_refused(layer, message):
    """Each option that makes another function, by name."""
    with pytest.raises(ValueError, match=f"^{message}"):
        interop.from_keras(layer)


def test_unbuilt_layer_refused():
    """A layer has no weights before it has seen an input."""
    for kind in (keras.layers.LSTM, keras.layers.LSTMCell):
        with pytest.raises(ValueError, match="^`layer` must be built, .*; got one without weights"):
            interop.from_keras(kind(H))


def test_other_backends_are_not_verified(monkeypatch, inputs):
    """JAX differentiates keras on JAX alone."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ValueError, match="^`KERAS_BACKEND` must be jax, .*; got torch"):
        interop.verify_keras(filled(keras.layers.LSTM(H)), inputs)
