"""ONNX: models of others with several operators, which are layers where each reads what the one before shows."""

import importlib
import io
import warnings

import chex
import numpy as np
import pytest

import gatedrnn as gr

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
interop = importlib.import_module("gatedrnn.interop.onnx")
node, from_array = onnx.helper.make_node, onnx.numpy_helper.from_array

T, B, D, H = 7, 2, 3, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def exported(module, xs):
    """What torch writes of a module, T and B free."""
    torch = importlib.import_module("torch")
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is its older one, which needs no other package
        axes = {"xs": {0: "T", 1: "B"}}
        torch.onnx.export(module.eval(), (xs,), file, dynamo=False, input_names=["xs"], dynamic_axes=axes)
    return onnx.load_from_string(file.getvalue())


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "batch_first": True}], ids=["one_way", "both"])
def test_torch(kind, options):
    """What torch exports of its layers is what `from_torch` reads of them; a layer on top stays outside."""
    torch = pytest.importorskip("torch")
    from gatedrnn.interop.torch import from_torch

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = getattr(torch.nn, kind)(D, H, num_layers=2, **options)
            self.readout = torch.nn.Linear(H * (2 if options else 1), 1)

        def forward(self, xs):
            return self.readout(self.layers(xs)[0])

    with torch.random.fork_rng():
        model = Model()
    cell, params = interop.from_onnx(exported(model, torch.zeros(T, B, D)))
    want_cell, want = from_torch(model.layers)
    assert cell == want_cell
    chex.assert_trees_all_equal(params, want, strict=True)


def operator(kind, name, width, below, directions=1, **attributes):
    """A node with its weights: `{name}_Y` of `below`."""
    rng, wide = np.random.default_rng(len(name)), GATES[kind] * H
    shapes = {"W": (directions, wide, width), "R": (directions, wide, H)}
    weights = [from_array(np.float32(rng.normal(size=shape)), name + letter) for letter, shape in shapes.items()]
    direction = {"direction": "bidirectional"} if directions == 2 else {}
    attributes = {"hidden_size": H} | direction | ({"linear_before_reset": 1} if kind == "GRU" else {}) | attributes
    made = node(kind, [below, name + "W", name + "R"], [f"{name}_Y", f"{name}_Y_h"], name, **attributes)
    return made, weights


def two(between, constants=None, directions=1, below="lower_Y", above="middle", **attributes):
    """An LSTM, nodes between, and a GRU that reads `middle`."""
    lower, weights = operator("LSTM", "lower", D, "X", directions, **attributes)
    upper, more = operator("GRU", "upper", directions * H, above, **attributes)
    initialisers = [from_array(np.array(a), name) for name, a in (constants or {}).items()]
    value = onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, ["T", "B", D])
    graph = onnx.helper.make_graph(
        [lower, *between, upper],
        "two",
        [value],
        [onnx.helper.make_tensor_value_info("upper_Y", onnx.TensorProto.FLOAT, ["T", 1, "B", H])],
        [*weights, *more, *initialisers],
    )
    imports = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=8)


TURN = node("Transpose", ["lower_Y"], ["turned"], perm=[0, 2, 1, 3])
JOINED = {  # the nodes between, their constants, and how many directions the lower one has
    "squeeze": ([node("Squeeze", ["lower_Y", "one"], ["middle"])], {"one": [1]}, 1),
    "constant": (
        [node("Constant", [], ["one"], value_ints=[1]), node("Squeeze", ["lower_Y", "one"], ["middle"])],
        {},
        1,
    ),
    "reshape": ([node("Reshape", ["lower_Y", "shape"], ["middle"])], {"shape": [0, -1, H]}, 1),
    "identity": (
        [node("Identity", ["lower_Y"], ["same"]), TURN, node("Reshape", ["turned", "shape"], ["middle"])],
        {"shape": [0, 0, -1]},
        1,
    ),
    "both": ([TURN, node("Reshape", ["turned", "shape"], ["middle"])], {"shape": [0, 0, -1]}, 2),
    "there_and_back": (
        [
            node("Squeeze", ["lower_Y", "one"], ["flat"]),
            node("Transpose", ["flat"], ["batch_first"], perm=[1, 0, 2]),
            node("Unsqueeze", ["batch_first", "one"], ["batch_first_Y"]),
            node("Transpose", ["batch_first_Y"], ["back"], perm=[2, 1, 0, 3]),
            node("Squeeze", ["back", "one"], ["middle"]),
        ],
        {"one": [1]},
        1,
    ),
    "shape": (
        [
            TURN,
            node("Shape", ["lower_Y"], ["sizes"]),
            node("Gather", ["sizes", "ends"], ["ends_of"]),
            node("Concat", ["ends_of", "rest"], ["shape"], axis=0),
            node("Reshape", ["turned", "shape"], ["middle"]),
        ],
        {"ends": [0, 2], "rest": [-1]},
        2,
    ),
}


@pytest.mark.parametrize("how", JOINED)
def test_joined(how):
    """Every way from one to the other that changes the layout alone."""
    between, constants, directions = JOINED[how]
    model = two(between, constants, directions)
    onnx.checker.check_model(model)
    cell, params = interop.from_onnx(model)
    assert cell == gr.stack(gr.bidirectional(gr.lstm) if directions == 2 else gr.lstm, gr.gru)
    for name, layer in zip(("lower", "upper"), params.layers, strict=True):
        chex.assert_trees_all_equal(layer, interop.from_onnx(model, name)[1], strict=True)


def test_runs_as_read():
    """onnxruntime of such a model, and `unroll` of what is read of it."""
    model = two(*JOINED["both"])
    xs = np.float32(np.random.default_rng(1).normal(size=(T, B, D)))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    cell, params = interop.from_onnx(model)
    chex.assert_trees_all_close(gr.unroll(cell, params, xs)[1], session.run(None, {"X": xs})[0][:, 0], atol=1e-5)


def test_batch_first():
    """Operators with `layout=1` show [B, T, directions, H]."""
    reshaped = node("Reshape", ["lower_Y", "shape"], ["middle"])
    cell, _ = interop.from_onnx(two([reshaped], {"shape": [0, 0, -1]}, 2, layout=1))
    assert cell == gr.stack(gr.bidirectional(gr.lstm), gr.gru)
    with pytest.raises(ValueError, match="^`node_name` must be .* in another layout than"):
        interop.from_onnx(two(*JOINED["both"], layout=1))


APART = {  # what is no chain, and what is said of it
    "no_turn": (
        [node("Reshape", ["lower_Y", "shape"], ["middle"])],  # [T, 1, B * H]
        {"shape": [0, 0, -1]},
        1,
        "reads the outputs of 'lower' in another layout than",
    ),
    "not_turned": (
        [node("Reshape", ["lower_Y", "shape"], ["middle"])],
        {"shape": [0, -1, 2 * H]},
        2,
        "reads the outputs of 'lower' in another layout than",
    ),
    "wrong_turn": (
        [
            node("Transpose", ["lower_Y"], ["turned"], perm=[0, 2, 3, 1]),
            node("Reshape", ["turned", "shape"], ["middle"]),
        ],
        {"shape": [0, 0, -1]},
        2,
        "reads the outputs of 'lower' in another layout than",
    ),
    "written_sizes": (
        [TURN, node("Reshape", ["turned", "shape"], ["middle"])],
        {"shape": [T, B, 2 * H]},
        2,
        "reads the outputs of 'lower' through what constants do not give: 'middle', which they do not give",
    ),
    "sizes_of_an_input": (
        [node("Shape", ["X"], ["shape"]), TURN, node("Reshape", ["turned", "shape"], ["middle"])],
        {},
        1,
        "reads the outputs of 'lower' through what constants do not give: 'shape' from 'X', an input of the model",
    ),
    "relu": (
        [node("Squeeze", ["lower_Y", "one"], ["flat"]), node("Relu", ["flat"], ["middle"])],
        {"one": [1]},
        1,
        "reads 'middle' of a node Relu, not the outputs of 'lower'",
    ),
    "residual": (
        [node("Squeeze", ["lower_Y", "one"], ["flat"]), node("Add", ["flat", "flat"], ["middle"])],
        {"one": [1]},
        1,
        "reads 'middle' of a node Add, not the outputs of 'lower'",
    ),
    "last_state": ([node("Identity", ["lower_Y_h"], ["middle"])], {}, 1, "reads 'lower_Y_h' of a node LSTM, not the"),
    "side_by_side": ([node("Identity", ["X"], ["middle"])], {}, 1, "reads 'X', not the outputs of 'lower'"),
    "in_a_circle": (
        [node("Identity", ["other"], ["middle"]), node("Identity", ["middle"], ["other"])],
        {},
        1,
        "reads '(other|middle)' of a node Identity, not the outputs",
    ),
}


@pytest.mark.parametrize("why", APART)
def test_apart(why):
    """Nodes that are not on top of each other are read by their names alone."""
    between, constants, directions, reason = APART[why]
    model = two(between, constants, directions)
    with pytest.raises(
        ValueError, match=f"^`node_name` must be .* among 'lower', 'upper'; got None, and 'upper' {reason}"
    ):
        interop.from_onnx(model)
    assert interop.from_onnx(model, "upper")[0] == gr.gru


def test_reversed_nodes():
    """A chain that runs backward is read for `reverse=True` alone, and of one direction throughout."""
    model = two(*JOINED["squeeze"], direction="reverse")
    assert interop.from_onnx(model, reverse=True)[0] == gr.stack(gr.lstm, gr.gru)
    with pytest.raises(
        ValueError, match="^`direction` must be 'forward' or .* where `reverse=False` .*; got 'reverse'"
    ):
        interop.from_onnx(model)
    with pytest.raises(ValueError, match="^`direction` must be 'reverse' where `reverse=True` .*; got 'forward'"):
        interop.from_onnx(two(*JOINED["squeeze"]), reverse=True)


@pytest.mark.parametrize("kind", GATES)
def test_activations_of_both_directions(kind):
    """They are written for each; another one in the second is another function."""
    usual = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}[kind]
    for activations, sound in ((usual * 2, True), ([*usual, *usual[:-1], "Relu"], False)):
        made, weights = operator(kind, "one", D, "X", 2, activations=activations)
        model = onnx.helper.make_model(onnx.helper.make_graph([made], "one", [], [], weights))
        if sound:
            assert interop.from_onnx(model)[0] == gr.bidirectional(getattr(gr, kind.lower()))
        else:
            with pytest.raises(ValueError, match="^`activations` must be "):
                interop.from_onnx(model)
