"""ONNX: models agree with `unroll` in onnxruntime, and operators read from any model in ONNX's own NumPy loops."""

import importlib

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
evaluator = importlib.import_module("onnx.reference")
interop = importlib.import_module("gatedrnn.interop.onnx")

T, B, D, H = 7, 2, 3, 5
LENGTH = T * (D + H)  # additions behind the last output
CARRY = {"RNN": ["h"], "GRU": ["h"], "LSTM": ["h", "c"]}
each_cell = pytest.mark.parametrize("cell", [gr.rnn, gr.gru, gr.lstm], ids=lambda cell: cell.name)
each_operator = pytest.mark.parametrize("operator", CARRY)


def first_carry(names):
    """A random first carry by its parts' names, [B, H] each."""
    rng = np.random.default_rng(2)
    return {name: rng.normal(size=(B, H)) for name in names}


def run(model, feed, dtype="float32"):
    """onnxruntime's outputs."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: np.asarray(a, dtype) for name, a in feed.items()})


@each_cell
@pytest.mark.parametrize("opset", [13, 17, onnx.defs.onnx_opset_version()])
def test_model(cell, opset, params_of):
    """One operator, which the checker accepts with its shapes, with T and B free; only xs must be given."""
    model = interop.to_onnx(cell, params_of(cell), opset=opset)
    onnx.checker.check_model(model, full_check=True)
    operators = [node.op_type for node in model.graph.node]
    assert [name for name in operators if name in CARRY] == [cell.name.upper()]
    assert {*operators} <= {cell.name.upper(), "Shape", "Slice", "Concat", "Expand", "Squeeze"}
    assert [imported.version for imported in model.opset_import] == [opset]
    parts = CARRY[cell.name.upper()]
    sizes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    ends = {name: ["B", H] for part in parts for name in (part, f"{part}_last")}
    assert sizes == {"xs": ["T", "B", D], "ys": ["T", "B", H], **ends}
    defaults = {tensor.name for tensor in model.graph.initializer}
    assert [value.name for value in model.graph.input if value.name not in defaults] == ["xs"]


@each_cell
def test_sizes_are_free(cell, params_of):
    """One model for every length and batch."""
    model, parts = interop.to_onnx(cell, params_of(cell)), CARRY[cell.name.upper()]
    for steps, batch in ((1, 1), (T, 3)):
        feed = {"xs": np.zeros((steps, batch, D))} | {name: np.zeros((batch, H)) for name in parts}
        ys, *end = run(model, feed)
        assert [ys.shape, *(a.shape for a in end)] == [(steps, batch, H)] + [(batch, H)] * len(parts)


@each_cell
def test_verified(cell, params_of, inputs):
    """Outputs and last carry, from a random first carry."""
    assert interop.verify_onnx(cell, params_of(cell), inputs).largest <= tolerance("float32", LENGTH)


@each_cell
@pytest.mark.parametrize("opset", [13, 22])
def test_agrees_with_the_loops(cell, opset, params_of, inputs):
    """onnxruntime against literal NumPy loops, with nothing of `unroll` between them."""
    params, first = params_of(cell), first_carry(CARRY[cell.name.upper()])
    want = reference.LOOPS[cell.name](params, inputs, list(first.values()))
    got = run(interop.to_onnx(cell, params, opset=opset), {"xs": inputs, **first})
    assert_close(tuple(got), (want.ys, *want.carry), "float32", LENGTH)


@each_operator
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_models(operator, bias, dtype, inputs, operator_model):
    """Operators of others with both biases: float32 against onnxruntime, float64 against ONNX's own evaluator."""
    model = operator_model(operator, dtype, bias)
    onnx.checker.check_model(model, full_check=True)
    first = first_carry(CARRY[operator])
    feed = {"X": inputs} | {f"initial_{name}": a[None] for name, a in first.items()}
    evaluate = run if dtype == "float32" else lambda model, feed: evaluator.ReferenceEvaluator(model).run(None, feed)
    ys, *end = evaluate(model, feed)
    with jax.enable_x64(dtype == "float64"):
        cell, params = interop.from_onnx(model)
        carry = type(cell.initial_carry(params))(*(jnp.asarray(a, dtype) for a in first.values()))
        got_end, got_ys = gr.unroll(cell, params, jnp.asarray(inputs, dtype), carry)
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
def test_a_wrong_conversion_shows(cell, fault, monkeypatch, params_of, inputs):
    """What verify_onnx proves can fail."""
    writer = importlib.import_module("gatedrnn.interop._onnx_write")
    right = writer.weights_of
    monkeypatch.setattr(writer, "weights_of", lambda directions: FAULTS[fault](right(directions)))
    errors = interop.verify_onnx(cell, params_of(cell), inputs)
    assert min(errors) > 1e-2


@each_cell
def test_round_trip(cell, tmp_path, params_of):
    """Ours, through a file and back, bit for bit; our one bias is in the input's half."""
    params = params_of(cell)
    model = interop.to_onnx(cell, params)
    onnx.save(model, tmp_path / "model.onnx")
    for one in (model, onnx.load(tmp_path / "model.onnx")):
        back, again = interop.from_onnx(one)
        assert back == cell
        chex.assert_trees_all_equal(again, params, strict=True)
    bias = next(onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == "B")
    _, state = np.split(bias[0], 2)
    assert not state[: 2 * H if cell is gr.gru else None].any()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_weights_are_read(dtype, operator_model):
    """Models of others in 16 bits: copied without a change of type."""
    model = operator_model("LSTM", jnp.dtype(dtype), bias=False)
    _, params = interop.from_onnx(model)
    recurrent = onnx.numpy_helper.to_array(next(tensor for tensor in model.graph.initializer if tensor.name == "R"))
    i, o, f, c = np.split(recurrent[0].T, 4, axis=1)
    chex.assert_trees_all_equal(params.recurrent["w"], jnp.concatenate([i, f, c, o], axis=1), strict=True)
    assert {a.dtype.name for a in jax.tree.leaves(params)} == {dtype}


def test_options_that_change_nothing(operator_model):
    """The weights do not depend on the layout, and defaults may be written out."""
    _, want = interop.from_onnx(operator_model("LSTM"))
    written = ["Sigmoid", "Tanh", "Tanh"]
    model = operator_model("LSTM", layout=1, activations=written, direction="forward", input_forget=0)
    chex.assert_trees_all_equal(interop.from_onnx(model)[1], want)
    _, want = interop.from_onnx(operator_model("RNN"))
    _, params = interop.from_onnx(operator_model("RNN", activations=["Tanh", "Tanh"]))
    chex.assert_trees_all_equal(params, want)


def test_one_of_several(operator_model):
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
        with pytest.raises(ValueError, match=f"^`node_name` must be .* among 'lower', 'upper_Y'; got {name!r}"):
            interop.from_onnx(model, name)
