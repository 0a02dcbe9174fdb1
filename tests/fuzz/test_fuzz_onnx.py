"""Operators of ONNX with one thing about them that is otherwise.

Of the kinds of faults that were found from outside, these would have shown: weights that are no numbers of the kind
that is due, a size that is not theirs, constants that are nodes, attributes that are ignored, and errors of others.
"""

import importlib

import jax
import numpy as np
import pytest
from fuzz_settings import attempted, bounded
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx")
interop = importlib.import_module("gatedrnn.interop.onnx")

D, H = 2, 3
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
FLOATS = ["float32", "float16", "bfloat16"]
TYPES = [*FLOATS, "int32", "int8", "uint8", "int4", "complex64", "bool", "float8_e4m3fn"]
ATTRIBUTES = {
    "hidden_size": [H, 1, 999, -1, 2.5, "3", [H]],
    "direction": ["forward", "reverse", "bidirectional", "sideways", 1],
    "clip": [1.0, 1, "x"],
    "activations": [["Tanh"], ["Relu"], ["Sigmoid", "Tanh", "Tanh"], [], "Tanh"],
    "input_forget": [0, 1, 0.5],
    "linear_before_reset": [0, 1, "1"],
    "layout": [0, 1, 2],
    "unknown": [1],
}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


def stored(values, kind):
    """A tensor of a type, as a file has it."""
    number = getattr(onnx.TensorProto, {"float32": "FLOAT", "float8_e4m3fn": "FLOAT8E4M3FN"}.get(kind, kind.upper()))
    if kind == "complex64":
        return onnx.numpy_helper.from_array(values.astype("complex64"))
    return onnx.helper.make_tensor("", number, values.shape, values.ravel().astype("float32"))


def model_of(operator, weights, attributes, nodes=()):
    """The operator, with some of its weights as nodes."""
    given = {"hidden_size": H} | ({"linear_before_reset": 1} if operator == "GRU" else {}) | attributes
    constants = [onnx.helper.make_node("Constant", [], [name], value=weights[name]) for name in nodes]
    for name, tensor in weights.items():
        tensor.name = name
    names = ["X", "W", "R", "B" if "B" in weights else ""]
    node = onnx.helper.make_node(
        operator, names, ["Y"], **{name: value for name, value in given.items() if value != []}
    )
    kept = [tensor for name, tensor in weights.items() if name not in nodes]
    inputs = [onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, ["T", "B", D])]
    graph = onnx.helper.make_graph([*constants, node], "drawn", inputs, [onnx.ValueInfoProto(name="Y")], kept)
    return onnx.helper.make_model(graph)


def harmless(operator, name, value):
    """Whether an attribute says what is so anyway."""
    own = {"linear_before_reset": operator == "GRU" and value == 1, "input_forget": operator == "LSTM" and value == 0}
    anyway = {"hidden_size": H, "direction": "forward"}
    if name == "activations":
        return value == [] or value == DEFAULTS[operator]
    return own.get(name, (name == "layout" and value in (0, 1)) or (name in anyway and value == anyway[name]))


@bounded(80)
def test_the_same_weights_or_one_sentence(data):
    """What is read is what is stored; what would be another function is refused."""
    draw = data.draw
    operator, kind = draw(st.sampled_from(sorted(GATES))), draw(st.sampled_from(["float32"] * 4 + TYPES))
    wide, rng = GATES[operator] * H, np.random.default_rng(draw(st.integers(0, 99)))
    shapes = {"W": (1, wide, D), "R": (1, wide, H)} | ({"B": (1, 2 * wide)} if draw(st.booleans()) else {})
    numbers = {name: rng.integers(0, 2, shape).astype("float32") for name, shape in shapes.items()}  # of every type
    one = draw(st.sampled_from([None, *shapes]))  # or all of another type
    kinds = {name: kind if one in (None, name) else "float32" for name in shapes}
    name = draw(st.sampled_from([None, *ATTRIBUTES]))
    attributes = {} if name is None else {name: draw(st.sampled_from(ATTRIBUTES[name]))}
    nodes = draw(st.sets(st.sampled_from(sorted(shapes))))
    weights = {name: stored(values, kinds[name]) for name, values in numbers.items()}
    got, refused = attempted(lambda: interop.from_onnx(model_of(operator, weights, attributes, sorted(nodes))))
    sound = len({*kinds.values()}) == 1 and kind in FLOATS
    sound = sound and all(harmless(operator, *pair) for pair in attributes.items())
    assert (refused is None) == sound, (kinds, attributes, refused)
    if refused is not None:
        return
    plain = {name: stored(values, "float32") for name, values in numbers.items()}
    want = interop.from_onnx(model_of(operator, plain, {}))
    assert got[0] == want[0]
    for one, other in zip(jax.tree.leaves(got[1]), jax.tree.leaves(want[1]), strict=True):
        np.testing.assert_array_equal(np.asarray(one, "float32"), other)


JOINS = {1: [("Squeeze", [1])], 2: [("Transpose", [0, 2, 1, 3]), ("Reshape", [0, 0, -1])]}
"""What stands between two operators, by the lower one's directions."""


def moved(a, moves):
    """What nodes make of an array, in NumPy; None where they make nothing."""
    for operator, numbers in moves:
        try:
            if operator == "Reshape":
                numbers = [a.shape[place] if size == 0 else size for place, size in enumerate(numbers)]
            a = {
                "Reshape": lambda a, shape: a.reshape(shape),
                "Transpose": lambda a, axes: a.transpose(axes),
                "Squeeze": lambda a, axes: a.squeeze(tuple(axes)),
                "Unsqueeze": lambda a, axes: np.expand_dims(a, tuple(axes)),
                "Identity": lambda a, _: a,
                "Neg": lambda a, _: -a,
            }[operator](a, numbers)
        except (ValueError, IndexError):
            return None
    return a


def chained(moves, directions):
    """Two RNNs with nodes between them."""
    helper, nodes, tensors, below = onnx.helper, [], [], "X"
    for name, count, width in (("lower", directions, D), ("upper", 1, directions * H)):
        tensors += [
            onnx.numpy_helper.from_array(np.ones((count, H, size), "float32"), name + letter)
            for letter, size in (("W", width), ("R", H))
        ]
        options = {"direction": "bidirectional"} if count == 2 else {}
        nodes.append(helper.make_node("RNN", [below, name + "W", name + "R"], [name], name, hidden_size=H, **options))
        below = name
        for place, (operator, numbers) in enumerate(moves if name == "lower" else []):
            taken, options = [below], {"perm": numbers} if operator == "Transpose" else {}
            if operator in ("Reshape", "Squeeze", "Unsqueeze"):
                tensors.append(onnx.numpy_helper.from_array(np.array(numbers), f"numbers_{place}"))
                taken.append(f"numbers_{place}")
            below = f"moved_{place}"
            nodes.append(helper.make_node(operator, taken, [below], **options))
    inputs = [helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, ["T", "B", D])]
    graph = helper.make_graph(nodes, "chained", inputs, [onnx.ValueInfoProto(name="upper")], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@bounded(60)
def test_layers_or_one_sentence(data):
    """Two operators are one network where the nodes between them change the layout, and do nothing else."""
    draw = data.draw
    directions = draw(st.sampled_from([1, 2]))
    moves = list(JOINS[draw(st.sampled_from([directions] * 3 + [3 - directions]))])
    axes = st.lists(st.integers(0, 3), min_size=1, max_size=1)
    for _ in range(draw(st.integers(0, 3))):
        one = draw(
            st.one_of(
                st.tuples(st.just("Transpose"), st.sampled_from([3, 4]).flatmap(lambda n: st.permutations(range(n)))),
                st.tuples(st.sampled_from(["Squeeze", "Unsqueeze"]), axes),
                st.tuples(st.just("Reshape"), st.permutations([0, 0, -1])),
                st.tuples(st.just("Reshape"), st.permutations([0, 1, -1, H])),
                st.tuples(st.sampled_from(["Identity", "Neg"]), st.just([])),
            )
        )
        moves.insert(draw(st.integers(0, len(moves))), one)
    ys = np.random.default_rng(0).normal(size=(6, directions, 7, H))
    want, got = ys.swapaxes(1, 2).reshape(6, 7, -1), moved(ys, moves)
    sound = got is not None and got.shape == want.shape and np.array_equal(got, want)
    sound = sound and all(operator != "Neg" for operator, _ in moves)  # though it be there twice
    found, refused = attempted(lambda: interop.from_onnx(chained(moves, directions)))
    assert (refused is None) == sound, (moves, refused)
    if refused is None:
        assert len(found[1].layers) == 2
