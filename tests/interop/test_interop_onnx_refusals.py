"""ONNX: operators, weights and cells that make another function are refused by name."""

import re

import jax
import numpy as np
import pytest
from interop_refusals import check_foreign_refused, check_inputs_refused, check_narrowing_refused
from onnx_models import D, H, helper, inputs, interop, numpy_helper, onnx, operator_model, params_of

import gatedrnn as gr


def with_shape(name, shape):
    """An LSTM with a weight of another shape."""
    model = operator_model("LSTM")
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(np.zeros(shape, np.float32), name))
    return model


def in_another_file():
    """An LSTM as `onnx.load` gives it without its data."""
    model = operator_model("LSTM")
    onnx.external_data_helper.set_external_data(model.graph.initializer[1], "weights.bin")
    return model


PEEPHOLES = ["X", "W", "R", "B", "", "initial_h", "initial_c", "P"]
SHAPES = (
    "`weights` must be of the shapes [1, G * H, D], [1, G * H, H], [1, 2 * G * H] (W, R, B) with G = 4 to make "
    "gatedrnn.lstm; got "
)
REFUSED = {
    "reverse": (
        operator_model("RNN", direction="reverse"),
        "`direction` must be 'forward' to make gatedrnn.rnn; got 'reverse'.",
    ),
    "bidirectional": (
        operator_model("LSTM", direction="bidirectional"),
        "`direction` must be 'forward' to make gatedrnn.lstm; got 'bidirectional'.",
    ),
    "relu": (
        operator_model("RNN", activations=["Relu"]),
        "`activations` must be ['Tanh'] to make gatedrnn.rnn; got ['Relu'].",
    ),
    "hard_sigmoid": (
        operator_model("GRU", activations=["HardSigmoid", "Tanh"]),
        "`activations` must be ['Sigmoid', 'Tanh'] to make gatedrnn.gru; got ['HardSigmoid', 'Tanh'].",
    ),
    "clip": (operator_model("LSTM", clip=3.0), "`clip` must be None to make gatedrnn.lstm; got 3.0."),
    "input_forget": (
        operator_model("LSTM", input_forget=1),
        "`input_forget` must be 0 to make gatedrnn.lstm; got 1.",
    ),
    "peepholes": (operator_model("LSTM", inputs=PEEPHOLES), "`P` must be None to make gatedrnn.lstm; got 'P'."),
    "reset_before": (
        operator_model("GRU", linear_before_reset=0),
        "`linear_before_reset` must be 1 to make gatedrnn.gru; got 0.",
    ),
    "weight_of_a_node": (
        operator_model("LSTM", inputs=["X", "W", "computed"]),
        "`R` must be an initialiser of the graph; got 'computed'.",
    ),
    "bias_of_a_node": (
        operator_model("LSTM", inputs=["X", "W", "R", "computed"]),
        "`B` must be an initialiser of the graph; got 'computed'.",
    ),
    "other_file": (
        in_another_file(),
        "`R` must be in the model, where onnx.load puts it; got 'R' in another file.",
    ),
    "two_directions": (
        with_shape("W", (2, 4 * H, D)),
        SHAPES + f"[(2, {4 * H}, {D}), (1, {4 * H}, {H}), (1, {8 * H})].",
    ),
    "half_a_bias": (
        with_shape("B", (1, 4 * H)),
        SHAPES + f"[(1, {4 * H}, {D}), (1, {4 * H}, {H}), (1, {4 * H})].",
    ),
    "scalar": (with_shape("R", ()), SHAPES + f"[(1, {4 * H}, {D}), (), (1, {8 * H})]."),
    "no_node": (
        helper.make_model(helper.make_graph([], "empty", [], [])),
        "`model` must be one whose graph has a node RNN, GRU, LSTM; got one without.",
    ),
    "other_domain": (
        operator_model("LSTM", domain="com.example"),
        "`model` must be one whose graph has a node RNN, GRU, LSTM; got one without.",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_refused(why):
    """Each option that makes another function, and each weight that cannot be read, by name."""
    model, message = REFUSED[why]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        interop.from_onnx(model)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_other_dtypes_refused(dtype):
    """onnxruntime computes float32 alone."""
    message = f"`params` must be float32, the one type in which onnxruntime computes these operators; got {dtype}."
    with jax.enable_x64(dtype == "float64"):
        params = params_of(gr.gru, dtype)
        for refuse in (interop.to_onnx, lambda cell, params: interop.verify_onnx(cell, params, inputs())):
            with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
                refuse(gr.gru, params)


def test_opset_refused():
    """Squeeze had no axes input before 13, and the installed onnx has a last version."""
    newest = onnx.defs.onnx_opset_version()
    for opset, message in (
        (12, r"^`opset` must be a whole number of at least 13; got 12\.$"),
        (newest + 1, rf"^`opset` must be at most {newest}, the newest that .*; got {newest + 1}\.$"),
    ):
        with pytest.raises(ValueError, match=message):
            interop.to_onnx(gr.rnn, params_of(gr.rnn), opset=opset)


def test_inputs_refused():
    """The proof runs over a batch of the weights' width."""
    params = params_of(gr.lstm)
    check_inputs_refused(lambda xs: interop.verify_onnx(gr.lstm, params, xs), inputs())


def test_narrowing_is_refused():
    """float64 weights are not rounded in silence."""
    check_narrowing_refused(interop.from_onnx, operator_model("RNN", "float64"))


def test_foreign_cells_and_weights_are_refused():
    """`to_onnx` takes our three cells, each with weights of its own structure and shapes."""
    check_foreign_refused(interop.to_onnx, params_of(gr.lstm))
