"""What is read of an ONNX model: a node's attributes, and the constants that its inputs are computed from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, external_data_helper, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from gatedrnn._check import fail, shown

FLOATING = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
}
INTEGER, NUMBER, TEXT = AttributeProto.INT, AttributeProto.FLOAT, AttributeProto.STRING
ATTRIBUTES = {
    "activation_alpha": AttributeProto.FLOATS,
    "activation_beta": AttributeProto.FLOATS,
    "activations": AttributeProto.STRINGS,
    "clip": NUMBER,
    "direction": TEXT,
    "hidden_size": INTEGER,
}
OWN: dict[str, dict[str, Any]] = {"RNN": {}, "GRU": {"linear_before_reset": INTEGER}, "LSTM": {"input_forget": INTEGER}}
VERSIONS = {"layout": INTEGER, "output_sequence": INTEGER}  # of some versions alone
RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node RNN, GRU or LSTM, as Python's own.

    Raises:
        ValueError: one is unknown, or of another type than ONNX says, or refers to a function's.
    """
    known = {**ATTRIBUTES, **VERSIONS, **OWN[node.op_type]}
    found = {}
    for attribute in node.attribute:
        if attribute.name not in known:
            raise fail("model", f"one whose {node.op_type} has attributes among {sorted(known)}", repr(attribute.name))
        if attribute.type != known[attribute.name] or attribute.ref_attr_name:
            types = AttributeProto.AttributeType
            want = types.Name(known[attribute.name])
            got = (
                f"a reference to {attribute.ref_attr_name!r}" if attribute.ref_attr_name else types.Name(attribute.type)
            )
            raise fail(attribute.name, f"an attribute of the type {want}", got)
        found[attribute.name] = _text(helper.get_attribute_value(attribute))
    return found


def _text(value: Any) -> Any:
    """An attribute with its bytes as strings."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return [_text(part) for part in value] if isinstance(value, list) else value


def constant(model: onnx.ModelProto, letter: str, name: str) -> np.ndarray:
    """The floating array that a node's input is: an initialiser, or what nodes compute from constants alone.

    Raises:
        ValueError: it depends on an input of the model or on chance, stands in another file, cannot be computed, or is
            of another type than float32, float64, float16 or bfloat16.
    """
    tensors = _tensors(model)
    nodes = _behind(model, letter, name, tensors)
    used = _used(letter, [name], nodes, tensors)
    stored = tensors.get(name) or _stored(nodes)
    if stored is not None:
        return _array(letter, name, stored)
    value = _run(model, letter, nodes, used, name, {})
    if getattr(value, "dtype", None) is None or value.dtype.name not in FLOATING.values():
        raise _not_floating(letter, shown(value))
    return value


def applied(
    model: onnx.ModelProto, path: Sequence[onnx.NodeProto], name: str, value: np.ndarray, output: str
) -> np.ndarray:
    """What nodes in a row make of a value, whose other inputs are computed from constants or from its shape.

    Args:
        model: the model with the nodes.
        path: nodes, each of which reads the one before it.
        name: what the first of them reads.
        value: what it is.
        output: what the last of them makes.

    Raises:
        ValueError: another input depends on an input of the model or on chance, or nothing can be computed.
    """
    tensors = _tensors(model)
    sides = [side for node in path for side in node.input[1:]]
    needed = [*path, *(node for side in sides for node in _behind(model, "shape", side, tensors, known=name))]
    made = {output for node in needed for output in node.output if output}
    nodes = [node for node in model.graph.node if made & {*node.output}]
    return _run(model, "layout", nodes, _used("shape", sides, nodes, tensors), output, {name: value})


def _tensors(model: onnx.ModelProto) -> dict[str, TensorProto]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


def _used(
    letter: str, names: Sequence[str], nodes: Sequence[onnx.NodeProto], tensors: dict[str, TensorProto]
) -> list[TensorProto]:
    """The initialisers among `names` and what nodes read."""
    used = [tensors[inner] for inner in {*names, *(i for node in nodes for i in node.input)} & set(tensors)]
    for tensor in used:
        if external_data_helper.uses_external_data(tensor):
            raise fail(letter, "in the model, where onnx.load puts it", f"{tensor.name!r} in another file")
    return used


def _run(
    model: onnx.ModelProto,
    letter: str,
    nodes: Sequence[onnx.NodeProto],
    used: Sequence[TensorProto],
    name: str,
    feed: dict[str, np.ndarray],
) -> Any:
    """The output `name` of nodes that read initialisers and what is fed."""
    values = [onnx.ValueInfoProto(name=given) for given in feed]
    graph = helper.make_graph(nodes, letter, values, [onnx.ValueInfoProto(name=name)], used)
    part = helper.make_model(graph, opset_imports=model.opset_import, functions=model.functions)
    try:
        results: Any = ReferenceEvaluator(part).run(None, feed)
    except Exception as error:  # each operator has errors of its own
        reason = f"{name!r}, which they do not give ({type(error).__name__}: {error})"
        raise fail(letter, "what onnx.reference computes from constants", reason.replace("\n", " ")[:300]) from None
    return results[0]


def _behind(
    model: onnx.ModelProto, letter: str, name: str, tensors: dict[str, TensorProto], known: str = ""
) -> list[onnx.NodeProto]:
    """The nodes that compute `name` from constants and `known`, in the order of the graph, in which they can be run."""
    if name in tensors:
        return []
    made = {output: node for node in model.graph.node for output in node.output if output}
    needed: list[int] = []
    seen: set[str] = set()
    open_names = [name]
    while open_names:
        inner = open_names.pop()
        if inner in tensors or inner in seen or inner in ("", known):
            continue
        seen.add(inner)
        node = made.get(inner)
        wanted = "an initialiser of the graph, or computed from constants alone"
        if node is None:
            inputs = {value.name for value in model.graph.input}
            origin = "an input of the model" if inner in inputs else "which no node of the graph makes"
            sparse = {tensor.values.name for tensor in model.graph.sparse_initializer}
            origin = "a sparse initialiser" if inner in sparse else origin
            raise fail(
                letter, wanted, f"{inner!r}, {origin}" if inner == name else f"{name!r} from {inner!r}, {origin}"
            )
        if node.op_type in RANDOM:
            raise fail(letter, wanted, f"{name!r} from the node {node.op_type}, which draws numbers")
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise fail(letter, wanted, f"{name!r} from the node {node.op_type}, which has graphs of its own")
        needed.append(id(node))
        open_names += node.input
    return [node for node in model.graph.node if id(made.get(next(filter(None, node.output), ""))) in needed]


def _stored(nodes: list[onnx.NodeProto]) -> onnx.TensorProto | None:
    """The tensor of a lone node Constant."""
    if [node.op_type for node in nodes] == ["Constant"]:
        return next((attribute.t for attribute in nodes[0].attribute if attribute.name == "value"), None)
    return None


def _array(letter: str, name: str, tensor: onnx.TensorProto) -> np.ndarray:
    if external_data_helper.uses_external_data(tensor):
        raise fail(letter, "in the model, where onnx.load puts it", f"{name!r} in another file")
    if tensor.data_type not in FLOATING:
        types = TensorProto.DataType
        known = tensor.data_type in types.values()
        got = types.Name(tensor.data_type).lower() if known else f"the unknown type {tensor.data_type}"
        raise _not_floating(letter, got)
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise fail(letter, f"a tensor of the shape {list(tensor.dims)}", f"{name!r}: {error}") from None


def _not_floating(letter: str, got: str) -> ValueError:
    return fail(letter, f"of one of the types {', '.join(FLOATING.values())}", got)
