"""ONNX: weights as constants that are not folded, and types, attributes and sizes that are refused."""

import importlib

import chex
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
interop = importlib.import_module("gatedrnn.interop.onnx")
node, from_array = onnx.helper.make_node, onnx.numpy_helper.from_array

T, B, D, H = 7, 2, 3, 5
LENGTH = T * (D + H)


def half(a, part):
    """One half of an array's second axis."""
    return from_array(np.ascontiguousarray(np.array_split(a, 2, axis=1)[part]), f"half_{part}")


UNFOLDED = {  # how a weight `a` may come about: its initialisers, and the nodes that make "W" of them
    "constant": lambda a: ([], [node("Constant", [], ["W"], value=from_array(a))]),
    "identity": lambda a: ([from_array(a, "a")], [node("Identity", ["a"], ["W"])]),
    "transpose": lambda a: (
        [from_array(a.swapaxes(1, 2).copy(), "a")],
        [node("Transpose", ["a"], ["W"], perm=[0, 2, 1])],
    ),
    "cast": lambda a: ([from_array(a.astype(np.float64), "a")], [node("Cast", ["a"], ["W"], to=1)]),
    "concat": lambda a: ([half(a, 0), half(a, 1)], [node("Concat", ["half_0", "half_1"], ["W"], axis=1)]),
    "unsqueeze": lambda a: (
        [from_array(a[0], "a")],
        [node("Constant", [], ["axis"], value_ints=[0]), node("Unsqueeze", ["a", "axis"], ["W"])],
    ),
    "chain": lambda a: (
        [],
        [
            node("Constant", [], ["a"], value=from_array(a[0].T.copy())),
            node("Constant", [], ["axis"], value_ints=[0]),
            node("Transpose", ["a"], ["b"]),
            node("Unsqueeze", ["b", "axis"], ["c"]),
            node("Identity", ["c"], ["W"]),
        ],
    ),
    "product": lambda a: (
        [from_array(a / 2, "a"), from_array(np.float32(2), "two")],
        [node("Mul", ["a", "two"], ["W"])],
    ),
}


def without(model, name):
    """Takes an initialiser out of a model; returns its numbers."""
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
    value = onnx.numpy_helper.to_array(tensor).copy()
    model.graph.initializer.remove(tensor)
    return value


def unfolded(model, how):
    """The model with `W` made by nodes."""
    initialisers, nodes = UNFOLDED[how](without(model, "W"))
    (last,) = model.graph.node
    kept = onnx.NodeProto()
    kept.CopyFrom(last)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, kept])
    model.graph.initializer.extend(initialisers)
    return model


@pytest.mark.parametrize("how", UNFOLDED)
@pytest.mark.parametrize("operator", ["RNN", "GRU", "LSTM"])
def test_unfolded(operator, how, inputs, operator_model):
    """What onnxruntime computes of the same model; the weights bit for bit."""
    model = unfolded(operator_model(operator), how)
    onnx.checker.check_model(model, full_check=True)
    cell, params = interop.from_onnx(model)
    chex.assert_trees_all_equal(params, interop.from_onnx(operator_model(operator))[1], strict=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    first = {value.name: np.zeros((1, B, H), np.float32) for value in session.get_inputs()[1:]}
    ys = session.run(None, {"X": np.float32(inputs), **first})[0]
    assert_close(gr.unroll(cell, params, jnp.float32(inputs))[1], ys[:, 0], "float32", LENGTH)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_constants_keep_their_type(dtype, operator_model):
    """A node Constant in another floating type."""
    model = operator_model("GRU", jnp.dtype(dtype))
    with jax.enable_x64(dtype == "float64"):
        want = interop.from_onnx(model)[1]
        chex.assert_trees_all_equal(interop.from_onnx(unfolded(model, "constant"))[1], want, strict=True)


def test_computed_from_an_input_refused(operator_model):
    """Weights that are no constants: of an input, of chance, of nothing that can be computed."""
    start = "^`W` must be an initialiser of the graph, or computed from constants alone; got "
    for made, message in (
        (node("Identity", ["X"], ["W"]), start + "'W' from 'X', an input of the model"),
        (node("RandomNormal", [], ["W"], shape=[1, H, D]), start + "'W' from the node RandomNormal, which draws"),
        (node("Reshape", ["R", "R"], ["W"]), "^`W` must be what onnx.reference computes .*; got 'W', which they"),
        (node("Shape", ["R"], ["W"]), r"^`W` must be of one of the types float32, .*; got int64 \(3,\)"),
    ):
        model = operator_model("RNN")
        without(model, "W")
        model.graph.node.insert(0, made)
        with pytest.raises(ValueError, match=message):
            interop.from_onnx(model)


@pytest.mark.parametrize(
    "dtype", [np.int32, np.int8, ml_dtypes.int4, np.complex64, ml_dtypes.float8_e4m3fn, np.bool_], ids=str
)
@pytest.mark.parametrize("how", [None, "constant"])
def test_other_types_refused(dtype, how, operator_model):
    """Integers, complex numbers and narrower floats are no weights."""
    model = operator_model("RNN")
    tensor = from_array(np.ones((1, H, D)).astype(dtype), "W")
    without(model, "W")
    if how:
        model.graph.node.insert(0, node("Constant", [], ["W"], value=tensor))
    else:
        model.graph.initializer.append(tensor)
    with pytest.raises(ValueError, match="^`W` must be of one of the types float32, float64, float16, bfloat16; got "):
        interop.from_onnx(model)


def test_unknown_and_broken_tensors_refused(operator_model):
    """A type that ONNX has not, and fewer bytes than the shape says."""
    for change, message in (
        ({"data_type": 99}, "of one of the types .*; got the unknown type 99"),
        ({"raw_data": b"1234"}, r"a tensor of the shape \[1, 5, 3\]; got 'W': "),
    ):
        model = operator_model("RNN")
        ((name, value),) = change.items()
        setattr(next(tensor for tensor in model.graph.initializer if tensor.name == "W"), name, value)
        with pytest.raises(ValueError, match="^`W` must be " + message):
            interop.from_onnx(model)


def test_mixed_types_refused(operator_model):
    """One type for W, R and B."""
    model = operator_model("RNN")
    model.graph.initializer.append(from_array(np.float16(without(model, "B")), "B"))
    with pytest.raises(ValueError, match=r"^`weights` must be of one type .*; got float32, float32, float16"):
        interop.from_onnx(model)


ATTRIBUTES = {
    "size": ("hidden_size", 999, "`hidden_size` must be 5, as the shapes .*; got 999"),
    "unknown": ("zoneout", 0.5, "`model` must be one whose LSTM has attributes among .*; got 'zoneout'"),
    "of_another": ("linear_before_reset", 1, "`model` must be .* attributes among .*; got 'linear_before_reset'"),
    "type": ("clip", "much", "`clip` must be an attribute of the type FLOAT; got STRING"),
    "types": ("activations", 3, "`activations` must be an attribute of the type STRINGS; got INT"),
    "layout": ("layout", 2, "`layout` must be 0 .* or 1 .*; got 2"),
    "direction": ("direction", b"\xff", "`direction` must be 'forward' .*; got "),
}


@pytest.mark.parametrize("why", ATTRIBUTES)
def test_attributes_refused(why, operator_model):
    """What is unknown, of another type, or at odds with the weights."""
    name, value, message = ATTRIBUTES[why]
    model = operator_model("LSTM")
    kept = [attribute for attribute in model.graph.node[0].attribute if attribute.name != name]
    del model.graph.node[0].attribute[:]
    model.graph.node[0].attribute.extend([*kept, onnx.helper.make_attribute(name, value)])
    with pytest.raises(ValueError, match=f"^{message}"):
        interop.from_onnx(model)


def test_other_models_refused():
    """A path in the place of a model."""
    with pytest.raises(ValueError, match="^`model` must be an onnx.ModelProto, .*; got str"):
        interop.from_onnx("lstm.onnx")
