"""What the conversions are tried on: random weights and inputs of one size, and models such as others make."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

import gatedrnn as gr

T, B, D, H = 7, 2, 3, 5  # as in each of the files beside this one


@pytest.fixture
def inputs():
    """Random xs, float64 [T, B, D]."""
    return np.random.default_rng(1).normal(size=(T, B, D))


@pytest.fixture
def params_of():
    """(cell, dtype) -> random weights and biases of ours; inside `jax.enable_x64` where they are float64."""

    def make(cell, dtype="float32"):
        weights = gr.Params(*reference.weights(cell.name, D, H, np.random.default_rng(0)))
        return jax.tree.map(lambda a: jnp.asarray(a, dtype), weights)

    return make


@pytest.fixture
def network_params():
    """(cell, dtype, hidden_size) -> random weights of any cell or network; its own `init` is not compiled."""

    def make(cell, dtype="float32", hidden_size=H):
        rng = np.random.default_rng(0)
        shapes = jax.eval_shape(lambda key: cell.init(key, D, hidden_size), jax.random.key(0))
        return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), dtype), shapes)

    return make


@pytest.fixture
def operator_model():
    """(operator, dtype, ...) -> an ONNX model such as others make: the operator alone, with random weights and biases.

    `prefix` stands before the names of the weights and outputs; `inputs` replaces the names of what the node takes.
    """
    helper = pytest.importorskip("onnx").helper
    numpy_helper = pytest.importorskip("onnx").numpy_helper

    def make(operator, dtype="float32", bias=True, prefix="", inputs=None, **attributes):
        rng, wide = np.random.default_rng(0), {"RNN": 1, "GRU": 3, "LSTM": 4}[operator] * H
        shapes = {"W": (1, wide, D), "R": (1, wide, H)} | ({"B": (1, 2 * wide)} if bias else {})
        draw = lambda shape: (0.7 * rng.normal(size=shape)).astype(dtype)
        weights = [numpy_helper.from_array(draw(shape), prefix + name) for name, shape in shapes.items()]
        parts = ["h", "c"] if operator == "LSTM" else ["h"]
        first = [f"initial_{part}" for part in parts]
        if operator == "GRU":
            attributes = {"linear_before_reset": 1} | attributes
        names = inputs or ["X", *(prefix + k if k in shapes else "" for k in "WRB"), "", *first]
        outputs = [prefix + name for name in ("Y", *(f"Y_{part}" for part in parts))]
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

    return make


@pytest.fixture
def check_inputs_refused():
    """(verify, xs) -> `verify(xs)` runs over a batch [T, B, D] of the weights' width, as `xs` is, and over no other."""

    def check(verify, xs):
        with pytest.raises(ValueError, match=r"^`xs` must be \[T, B, D\]; got \(7, 3\)"):
            verify(xs[:, 0])
        with pytest.raises(ValueError, match=r"^`xs` must be .* with D = 3 .*; got \(7, 2, 2\)"):
            verify(xs[..., :2])

    return check


@pytest.fixture
def check_narrowing_refused():
    """(convert, model) -> the float64 weights of a model are not rounded in silence."""

    def check(convert, model):
        with pytest.raises(ValueError, match="^`weights` must be float32, or jax_enable_x64 set; got float64"):
            convert(model)

    return check


@pytest.fixture
def check_foreign_refused(params_of):
    """(convert) -> `convert(cell, params)` takes our three cells alone, each with weights of its own."""
    foreign = gr.Cell.from_step("foreign", gr.lstm.step, init=gr.lstm.init, initial_carry=gr.lstm.initial_carry)

    def check(convert):
        params = params_of(gr.lstm)
        with pytest.raises(ValueError, match="^`cell` must be one of gatedrnn.rnn, gatedrnn.gru, .*; got 'foreign'"):
            convert(foreign, params)
        with pytest.raises(ValueError, match="^`params` must be the weights of gatedrnn.gru, .*; got "):
            convert(gr.gru, params)
        with pytest.raises(ValueError, match=r"^`weights` must be of the shapes \[\(3, 5\), \(5, 5\), .*; got "):
            convert(gr.rnn, params)

    return check
