"""What the tests of ONNX share: weights of ours, models such as others make, and onnx itself where it is there."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

import gatedrnn as gr

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
interop = importlib.import_module("gatedrnn.interop.onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

T, B, D, H = 7, 2, 3, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
CARRY = {"RNN": ["h"], "GRU": ["h"], "LSTM": ["h", "c"]}
each_cell = pytest.mark.parametrize("cell", [gr.rnn, gr.gru, gr.lstm], ids=lambda cell: cell.name)


def params_of(cell, dtype="float32"):
    """Random weights and biases of ours; inside `jax.enable_x64` where they are float64."""
    weights = gr.Params(*reference.weights(cell.name, D, H, np.random.default_rng(0)))
    return jax.tree.map(lambda a: jnp.asarray(a, dtype), weights)


def inputs():
    """Random xs, [T, B, D]."""
    return np.random.default_rng(1).normal(size=(T, B, D))


def operator_model(operator, dtype="float32", bias=True, prefix="", inputs=None, **attributes):
    """A model such as others make: the operator alone, with a random number in every weight and both biases."""
    rng, wide = np.random.default_rng(0), GATES[operator] * H
    shapes = {"W": (1, wide, D), "R": (1, wide, H)} | ({"B": (1, 2 * wide)} if bias else {})
    weights = [numpy_helper.from_array((0.7 * rng.normal(size=shapes[k])).astype(dtype), prefix + k) for k in shapes]
    first = [f"initial_{name}" for name in CARRY[operator]]
    if operator == "GRU":
        attributes = {"linear_before_reset": 1} | attributes
    names = inputs or ["X", *(prefix + k if k in shapes else "" for k in "WRB"), "", *first]
    outputs = [prefix + name for name in ("Y", *(f"Y_{name}" for name in CARRY[operator]))]
    node = helper.make_node(operator, names, outputs, hidden_size=H, **attributes)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    values = lambda name, shape: helper.make_tensor_value_info(name, kind, shape)
    graph = helper.make_graph(
        [node],
        "other",
        [values(name, (T, B, D) if name == "X" else (1, B, H)) for name in ("X", *first)],
        [values(name, (T, 1, B, H) if name == outputs[0] else (1, B, H)) for name in outputs],
        weights,
    )
    imports = [helper.make_opsetid("", 22)]
    return helper.make_model(graph, opset_imports=imports, ir_version=helper.find_min_ir_version_for(imports))
