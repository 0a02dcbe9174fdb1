"""Which nodes of a model are the layers of one network: each reads what the one before it shows, in another layout.

Y [T, directions, B, H] -> X [T, B, directions * H]
Y [B, T, directions, H] -> X [B, T, directions * H]        with `layout=1`

What stands between them is run over numbers that tell every place from every other, and what comes is compared.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import onnx

from gatedrnn._check import fail
from gatedrnn.interop._onnx_operator import CELLS
from gatedrnn.interop._onnx_read import applied, attributes, constant

LAYOUT = ("Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
SIZES = ((3, 2), (5, 4))  # T and B of what is run: no shape that is written down fits both


def nodes_of(model: onnx.ModelProto, name: str | None) -> list[onnx.NodeProto]:
    """The one node that is meant, or all of them, in the order in which they are run.

    Raises:
        ValueError: there is none, or none or several of the name; or without a name, they are not on top of each other.
    """
    if not isinstance(model, onnx.ModelProto):
        raise fail("model", "an onnx.ModelProto, as onnx.load gives it", type(model).__name__)
    nodes = [node for node in model.graph.node if node.op_type in CELLS and node.domain in ("", "ai.onnx")]
    if not nodes:
        raise fail("model", f"one whose graph has a node {', '.join(CELLS)}", "one without")
    names = [_name(node) for node in nodes]
    known = ", ".join(map(repr, names))
    if name is not None:
        meant = [node for node, one in zip(nodes, names, strict=True) if name == one]
        if len(meant) != 1:
            raise fail("node_name", f"the name of one node among {known}", repr(name))
        return meant
    for lower, upper in pairwise(nodes):
        if reason := _apart(model, lower, upper):
            wanted = f"the name of one node, where they are not the layers of one network, among {known}"
            raise fail("node_name", wanted, f"None, and {_name(upper)!r} {reason}")
    return nodes


def _name(node: onnx.NodeProto) -> str:
    return node.name or next(filter(None, node.output), "")


def _apart(model: onnx.ModelProto, lower: onnx.NodeProto, upper: onnx.NodeProto) -> str:
    """Why `upper` does not read what `lower` shows; "" where it does."""
    path, begin = _path(model, upper)
    ys = next(iter(lower.output), "")
    if begin != ys:
        made = [node.op_type for node in model.graph.node if begin in node.output]
        return f"reads {begin!r}{f' of a node {made[0]}' if made else ''}, not the outputs of {_name(lower)!r}"
    try:
        hidden = [0, *constant(model, "R", [*lower.input, "", "", ""][2]).shape][-1]
        for steps, rows in SIZES:
            given, wanted = _numbers(lower, upper, hidden, steps, rows)
            got = applied(model, path, ys, given, upper.input[0])
            if got.shape != wanted.shape or not np.array_equal(got, wanted):
                return f"reads the outputs of {_name(lower)!r} in another layout than [T, B, directions * H]"
    except ValueError as error:
        why = str(error).partition("; got ")[2].rstrip(".")
        return f"reads the outputs of {_name(lower)!r} through what constants do not give: {why}"
    return ""


def _path(model: onnx.ModelProto, upper: onnx.NodeProto) -> tuple[Sequence[onnx.NodeProto], str]:
    """The nodes that change the layout alone, from below to what `upper` reads; and what they begin with."""
    made = {output: node for node in model.graph.node for output in node.output if output}
    path: list[onnx.NodeProto] = []
    name = next(iter(upper.input), "")
    while (node := made.pop(name, None)) is not None:  # each once, though a graph run in a circle
        if node.op_type not in LAYOUT or node.domain not in ("", "ai.onnx") or not node.input:
            break
        path.insert(0, node)
        name = node.input[0]
    return path, name


def _numbers(
    lower: onnx.NodeProto, upper: onnx.NodeProto, hidden: int, steps: int, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """What `lower` might show, and what `upper` must read of it, each in the node's own layout."""
    below, above = attributes(lower), attributes(upper)
    directions = 2 if below.get("direction") == "bidirectional" else 1
    ys = np.arange(steps * directions * rows * hidden, dtype=np.float32).reshape(steps, directions, rows, hidden)
    xs = ys.transpose(0, 2, 1, 3).reshape(steps, rows, directions * hidden)
    given = ys.transpose(2, 0, 1, 3) if below.get("layout", 0) == 1 else ys
    return given, xs.swapaxes(0, 1) if above.get("layout", 0) == 1 else xs
