"""ONNX: operators, weights and cells that make another function are refused by name."""

import importlib

import jax
import numpy as np
import pytest

import gatedrnn as gr

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
interop = importlib.import_module("gatedrnn.interop.onnx")

D, H = 3, 5
REFUSED = {  # an operator, its options, and what is said of them
    "reverse": ("RNN", {"direction": "reverse"}, "`direction` must be 'forward' .*; got 'reverse'"),
    "bidirectional": (
        "LSTM",
        {"direction": "bidirectional"},
        r"`weights` must be of the shapes \[2, G \* H, D\], .*; got \[\(1, 20, 3\), ",
    ),
    "relu": ("RNN", {"activations": ["Relu"]}, r"`activations` must be \['Tanh'\] .*; got \['Relu'\]"),
    "hard_sigmoid": (
        "GRU",
        {"activations": ["HardSigmoid", "Tanh"]},
        r"`activations` must be \['Sigmoid', 'Tanh'\] .*; got \['HardSigmoid', 'Tanh'\]",
    ),
    "clip": ("LSTM", {"clip": 3.0}, "`clip` must be None .*; got 3.0"),
    "input_forget": ("LSTM", {"input_forget": 1}, "`input_forget` must be 0 .*; got 1"),
    "peepholes": (
        "LSTM",
        {"inputs": ["X", "W", "R", "B", "", "initial_h", "initial_c", "P"]},
        "`P` must be None .*; got 'P'",
    ),
    "reset_before": ("GRU", {"linear_before_reset": 0}, "`linear_before_reset` must be 1 .*; got 0"),
    "weight_of_a_node": (
        "LSTM",
        {"inputs": ["X", "W", "computed"]},
        "`R` must be an initialiser .*; got 'computed', which no node of the graph makes",
    ),
    "bias_of_a_node": (
        "LSTM",
        {"inputs": ["X", "W", "R", "computed"]},
        "`B` must be an initialiser .*; got 'computed', which no node of the graph makes",
    ),
    "other_domain": (
        "LSTM",
        {"domain": "com.example"},
        "`model` must be one whose graph has a node .*; got one without",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_refused(why, operator_model):
    """Each option that makes another function, by name."""
    operator, options, phrase = REFUSED[why]
    with pytest.raises(ValueError, match=f"^{phrase}"):
        interop.from_onnx(operator_model(operator, **options))


@pytest.mark.parametrize(
    ("name", "shape", "got"),
    [
        ("W", (2, 4 * H, D), [(2, 4 * H, D), (1, 4 * H, H), (1, 8 * H)]),
        ("B", (1, 4 * H), [(1, 4 * H, D), (1, 4 * H, H), (1, 4 * H)]),
        ("R", (), [(1, 4 * H, D), (), (1, 8 * H)]),
    ],
    ids=["two directions", "half a bias", "a scalar"],
)
def test_other_shapes_refused(name, shape, got, operator_model):
    """A weight of another shape, beside those that are due."""
    model = operator_model("LSTM")
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name))
    with pytest.raises(ValueError, match=r"^`weights` must be of the shapes .* with G = 4 .*; got ") as caught:
        interop.from_onnx(model)
    assert f"got {got}" in str(caught.value)


def test_weights_in_another_file_refused(operator_model):
    """A model as `onnx.load` gives it without its data."""
    model = operator_model("LSTM")
    onnx.external_data_helper.set_external_data(model.graph.initializer[1], "weights.bin")
    with pytest.raises(ValueError, match="^`R` must be in the model, .*; got 'R' in another file"):
        interop.from_onnx(model)


def test_a_graph_without_nodes_refused():
    """Nothing to read."""
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    with pytest.raises(ValueError, match="^`model` must be one whose graph has a node RNN, GRU, LSTM; got one without"):
        interop.from_onnx(empty)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_other_dtypes_refused(dtype, params_of, inputs):
    """onnxruntime computes float32 alone."""
    with jax.enable_x64(dtype == "float64"):
        params = params_of(gr.gru, dtype)
        for refuse in (interop.to_onnx, lambda cell, params: interop.verify_onnx(cell, params, inputs)):
            with pytest.raises(ValueError, match=f"^`params` must be float32, .*onnxruntime.*; got {dtype}"):
                refuse(gr.gru, params)


def test_opset_refused(params_of):
    """Squeeze had no axes input before 13, and the installed onnx has a last version."""
    newest = onnx.defs.onnx_opset_version()
    for opset, message in (
        (12, "^`opset` must be a whole number of at least 13; got 12"),
        (newest + 1, f"^`opset` must be at most {newest}, .*; got {newest + 1}"),
    ):
        with pytest.raises(ValueError, match=message):
            interop.to_onnx(gr.rnn, params_of(gr.rnn), opset=opset)


def test_inputs_refused(params_of, inputs, check_inputs_refused):
    """The proof runs over a batch of the weights' width."""
    params = params_of(gr.lstm)
    check_inputs_refused(lambda xs: interop.verify_onnx(gr.lstm, params, xs), inputs)


def test_narrowing_is_refused(operator_model, check_narrowing_refused):
    """float64 weights are not rounded in silence."""
    check_narrowing_refused(interop.from_onnx, operator_model("RNN", "float64"))


def test_foreign_cells_and_weights_are_refused(check_foreign_refused):
    """`to_onnx` takes our three cells, each with weights of its own structure and shapes."""
    check_foreign_refused(interop.to_onnx)
