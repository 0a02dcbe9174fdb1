"""ONNX: models agree with `unroll` in onnxruntime, and operators read from any model in ONNX's own NumPy loops."""

import importlib
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from tolerances import assert_close, tolerance

import gatedrnn as gr

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
interop = importlib.import_module("gatedrnn.interop.onnx")
evaluator = importlib.import_module("onnx.reference")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

T, B, D, H = 7, 2, 3, 5
LENGTH = T * (D + H)  # additions behind the last output
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
CARRY = {"RNN": ["h"], "GRU": ["h"], "LSTM": ["h", "c"]}
each_operator = pytest.mark.parametrize("operator", GATES)
each_cell = pytest.mark.parametrize("cell", [gr.rnn, gr.gru, gr.lstm], ids=lambda cell: cell.name)


def params_of(cell, dtype="float32"):
    """Random weights and biases of ours; inside `jax.enable_x64` where they are float64."""
    weights = gr.Params(*reference.weights(cell.name, D, H, np.random.default_rng(0)))
    return jax.tree.map(lambda a: jnp.asarray(a, dtype), weights)


def inputs():
    """Random xs, [T, B, D]."""
    return np.random.default_rng(1).normal(size=(T, B, D))


def first_carry(names):
    """A random first carry by its parts' names, [B, H] each."""
    rng = np.random.default_rng(2)
    return {name: rng.normal(size=(B, H)) for name in names}


def run(model, feed, dtype="float32"):
    """onnxruntime's outputs."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: np.asarray(a, dtype) for name, a in feed.items()})


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


@each_cell
@pytest.mark.parametrize("opset", [13, 17, onnx.defs.onnx_opset_version()])
def test_model(cell, opset):
    """One operator, which the checker accepts with its shapes, with T and B free."""
    model = interop.to_onnx(cell, params_of(cell), opset=opset)
    onnx.checker.check_model(model, full_check=True)
    operators = [node.op_type for node in model.graph.node]
    assert [name for name in operators if name not in ("Squeeze", "Unsqueeze")] == [cell.name.upper()]
    assert [imported.version for imported in model.opset_import] == [opset]
    parts = CARRY[cell.name.upper()]
    sizes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    ends = {name: ["B", H] for part in parts for name in (part, f"{part}_last")}
    assert sizes == {"xs": ["T", "B", D], "ys": ["T", "B", H], **ends}


@each_cell
def test_sizes_are_free(cell):
    """One model for every length and batch."""
    model, parts = interop.to_onnx(cell, params_of(cell)), CARRY[cell.name.upper()]
    for steps, batch in ((1, 1), (T, 3)):
        feed = {"xs": np.zeros((steps, batch, D))} | {name: np.zeros((batch, H)) for name in parts}
        ys, *end = run(model, feed)
        assert [ys.shape, *(a.shape for a in end)] == [(steps, batch, H)] + [(batch, H)] * len(parts)


@each_cell
def test_verified(cell):
    """Outputs and last carry, from a random first carry."""
    assert interop.verify_onnx(cell, params_of(cell), inputs()).largest <= tolerance("float32", LENGTH)


@each_cell
@pytest.mark.parametrize("opset", [13, 22])
def test_agrees_with_the_loops(cell, opset):
    """onnxruntime against literal NumPy loops, with nothing of `unroll` between them."""
    params, first = params_of(cell), first_carry(CARRY[cell.name.upper()])
    want = getattr(reference, cell.name)(params, inputs(), list(first.values()))
    got = run(interop.to_onnx(cell, params, opset=opset), {"xs": inputs(), **first})
    assert_close(tuple(got), (want.ys, *want.carry), "float32", LENGTH)


@each_operator
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_models(operator, bias, dtype):
    """Operators of others with both biases: float32 against onnxruntime, float64 against ONNX's own evaluator."""
    model = operator_model(operator, dtype, bias)
    onnx.checker.check_model(model, full_check=True)
    first = first_carry(CARRY[operator])
    feed = {"X": inputs()} | {f"initial_{name}": a[None] for name, a in first.items()}
    evaluate = run if dtype == "float32" else lambda model, feed: evaluator.ReferenceEvaluator(model).run(None, feed)
    ys, *end = evaluate(model, feed)
    with jax.enable_x64(dtype == "float64"):
        cell, params = interop.from_onnx(model)
        carry = type(cell.initial_carry(params))(*(jnp.asarray(a, dtype) for a in first.values()))
        got_end, got_ys = gr.unroll(cell, params, jnp.asarray(inputs(), dtype), carry)
        assert {a.dtype.name for a in jax.tree.leaves(params)} == {dtype}
    assert cell == getattr(gr, operator.lower())
    assert_close((got_ys, *got_end), (ys[:, 0], *(a[0] for a in end)), dtype, LENGTH)


FAULTS = {
    "swapped_gates": lambda w: {**w, "W": jnp.roll(w["W"], H, 1)},
    "swapped_recurrent_gates": lambda w: {**w, "R": jnp.roll(w["R"], H, 1)},
    "swapped_bias": lambda w: {**w, "B": jnp.roll(w["B"], H, 1)},
    "lost_bias": lambda w: {**w, "B": jnp.zeros_like(w["B"])},
    "transposed": lambda w: {**w, "R": w["R"].reshape(-1, H, H).mT.reshape(1, -1, H)},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("cell", [gr.gru, gr.lstm], ids=lambda cell: cell.name)
def test_a_wrong_conversion_shows(cell, fault, monkeypatch):
    """What verify_onnx proves can fail."""
    right = interop._weights
    monkeypatch.setattr(interop, "_weights", lambda cell, params: FAULTS[fault](right(cell, params)))
    errors = interop.verify_onnx(cell, params_of(cell), inputs())
    assert min(errors) > 1e-2


@each_cell
def test_round_trip(cell, tmp_path):
    """Ours, through a file and back, bit for bit; our one bias is in the input's half."""
    params = params_of(cell)
    model = interop.to_onnx(cell, params)
    onnx.save(model, tmp_path / "model.onnx")
    for one in (model, onnx.load(tmp_path / "model.onnx")):
        back, again = interop.from_onnx(one)
        assert back == cell
        chex.assert_trees_all_equal(again, params, strict=True)
    bias = next(numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == "B")
    _, state = np.split(bias[0], 2)
    assert not state[: 2 * H if cell is gr.gru else None].any()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_weights_are_read(dtype):
    """Models of others in 16 bits: copied without a change of type."""
    model = operator_model("LSTM", jnp.dtype(dtype), bias=False)
    _, params = interop.from_onnx(model)
    recurrent = numpy_helper.to_array(next(tensor for tensor in model.graph.initializer if tensor.name == "R"))
    i, o, f, c = np.split(recurrent[0].T, 4, axis=1)
    chex.assert_trees_all_equal(params.recurrent["w"], jnp.concatenate([i, f, c, o], axis=1), strict=True)
    assert {a.dtype.name for a in jax.tree.leaves(params)} == {dtype}


def test_options_that_change_nothing():
    """The weights do not depend on the layout, and defaults may be written out."""
    _, want = interop.from_onnx(operator_model("LSTM"))
    written = ["Sigmoid", "Tanh", "Tanh"]
    model = operator_model("LSTM", layout=1, activations=written, direction="forward", input_forget=0)
    chex.assert_trees_all_equal(interop.from_onnx(model)[1], want)
    _, want = interop.from_onnx(operator_model("RNN"))
    _, params = interop.from_onnx(operator_model("RNN", activations=["Tanh", "Tanh"]))
    chex.assert_trees_all_equal(params, want)


def test_one_of_several():
    """A node is chosen by its name, or by its first output's where it has none."""
    model, other = operator_model("LSTM", name="lower"), operator_model("GRU", prefix="upper_")
    model.graph.node.extend(other.graph.node)
    model.graph.initializer.extend(other.graph.initializer)
    for name, alone in (("lower", operator_model("LSTM")), ("upper_Y", other)):
        cell, params = interop.from_onnx(model, name)
        want_cell, want = interop.from_onnx(alone)
        assert cell == want_cell
        chex.assert_trees_all_equal(params, want)
    for name in (None, "middle"):
        message = f"`node_name` must be the name of one node among 'lower', 'upper_Y'; got {name!r}."
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            interop.from_onnx(model, name)


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
    with pytest.raises(ValueError, match=r"^`xs` must be \[T, B, D\]; got \(7, 3\)\.$"):
        interop.verify_onnx(gr.lstm, params, inputs()[:, 0])
    with pytest.raises(ValueError, match=r"^`xs` must be .* with D = 3 .*; got \(7, 2, 2\)\."):
        interop.verify_onnx(gr.lstm, params, inputs()[..., :2])


def test_narrowing_is_refused():
    """float64 weights are not rounded in silence."""
    with pytest.raises(ValueError, match=r"^`weights` must be float32, or jax_enable_x64 set; got float64\.$"):
        interop.from_onnx(operator_model("RNN", "float64"))


def test_foreign_cells_and_weights_are_refused():
    """`to_onnx` takes our three cells, each with weights of its own structure and shapes."""
    foreign = gr.Cell.from_step("foreign", gr.lstm.step, init=gr.lstm.init, initial_carry=gr.lstm.initial_carry)
    params = params_of(gr.lstm)
    with pytest.raises(ValueError, match=r"^`cell` must be one of gatedrnn.rnn, gatedrnn.gru, .*; got 'foreign'\.$"):
        interop.to_onnx(foreign, params)
    with pytest.raises(ValueError, match=r"^`params` must be the weights of gatedrnn.gru, .*; got "):
        interop.to_onnx(gr.gru, params)
    with pytest.raises(ValueError, match=r"^`weights` must be of the shapes \[\(3, 5\), \(5, 5\), .*; got "):
        interop.to_onnx(gr.rnn, params)
