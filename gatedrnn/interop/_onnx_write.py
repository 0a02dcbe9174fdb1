"""The graph of a network: an operator for each layer, and between them only what changes their layout.

Y [T, 1, B, H] -> ys [T, B, H]        Y [T, 2, B, H] -> ys [T, B, 2 * H]        Y_h [directions, B, H] -> [B, H] each

First carries and lengths are inputs with a default, an initialiser of one row that is expanded to all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import onnx
from jax import Array
from onnx import TensorProto, helper, numpy_helper

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn.cells import gru
from gatedrnn.interop._networks import directions_of, layers_of
from gatedrnn.interop._onnx_operator import OPERATORS, weights_of

EVERY = np.iinfo(np.int32).max  # as a length: all steps
DIRECTIONS = {1: ("",), 2: ("forward", "backward")}


class Layer(NamedTuple):
    """One operator.

    Attributes:
        cell: what it runs in each direction.
        weights: W [directions, G * H, D], R [directions, G * H, H], B [directions, 2 * G * H].
        parts: each part of the carry in each direction, [H]; by its name, forward first.
        mark: what its names end with.
    """

    cell: Cell
    weights: dict[str, Array]
    parts: dict[str, list[Array]]
    mark: str

    @property
    def directions(self) -> int:
        return len(self.weights["R"])

    @property
    def hidden(self) -> int:
        return self.weights["R"].shape[-1]

    @property
    def carries(self) -> Iterator[tuple[str, Array]]:
        """The carry's leaves and their names in the graph, in the order that JAX has them in."""
        for place, direction in enumerate(DIRECTIONS[self.directions]):
            for part, rows in self.parts.items():
                yield self.carry(part, direction), rows[place]

    def carry(self, part: str, direction: str) -> str:
        return f"{part}{self.mark}_{direction}".rstrip("_")


@dataclass
class Draft:
    """A graph that is being written."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """A node of one output, whose name is returned."""
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def integers(self, *values: int) -> str:
        """The name of a constant int64 [n]."""
        name = "_".join(map(str, ("integers", *values)))
        self.constants[name] = np.array(values)
        return name


def layers_to_write(cell: Cell, params: Any) -> list[Layer]:
    """The operators of a network, from the input's side.

    Raises:
        ValueError: a layer has no operator, or does not read what the one below shows.
    """
    pairs, _ = layers_of(cell, params)
    marks = [f"_{place}" for place in range(len(pairs))] if len(pairs) > 1 else [""]
    layers: list[Layer] = []
    for pair, mark in zip(pairs, marks, strict=True):
        singles, merge = directions_of(*pair)
        if merge not in ("", "concat"):
            raise fail("cell", "merged by 'concat', as ONNX's directions are", repr(pair[0].name))
        weights = weights_of(singles)
        first = [single.initial_carry(held)._asdict() for single, held in singles]
        parts = {part: [rows[part] for rows in first] for part in first[0]}
        layer = Layer(singles[0][0], weights, parts, mark)
        if layers and weights["W"].shape[-1] != (shown := layers[-1].directions * layers[-1].hidden):
            raise fail("params", f"of layers that read the {shown} outputs of the one below", weights["W"].shape[-1])
        layers.append(layer)
    return layers


def sequence_graph(name: str, layers: Sequence[Layer], lengths: bool, reverse: bool) -> onnx.GraphProto:
    """From `xs` [T, B, D], the first carries and, with `lengths`, `sequence_lens` to `ys` and the last carries."""
    draft = Draft(inputs=[_value("xs", "T", "B", layers[0].weights["W"].shape[-1])])
    last = layers[-1]
    draft.outputs.append(_value("ys", "T", "B", last.directions * last.hidden))
    _run(draft, layers, lengths, reverse)
    return _finished(name, draft)


def step_graph(name: str, layers: Sequence[Layer]) -> onnx.GraphProto:
    """From `x` [B, D] and the carries before it to `y` [B, H] and those after it."""
    draft = Draft(inputs=[_value("x", "B", layers[0].weights["W"].shape[-1])])
    draft.outputs.append(_value("y", "B", layers[-1].hidden))
    draft.add("Unsqueeze", ["x", draft.integers(0)], "xs")
    _run(draft, layers, lengths=False, reverse=False)
    draft.add("Squeeze", ["ys", draft.integers(0)], "y")
    return _finished(name, draft)


def _run(draft: Draft, layers: Sequence[Layer], lengths: bool, reverse: bool) -> None:
    """All layers over `xs`, with their carries as inputs and outputs of the graph."""
    draft.add("Shape", ["xs"], "shape")
    draft.add("Slice", ["shape", draft.integers(1), draft.integers(2)], "rows")
    lens = _lengths(draft) if lengths else ""
    below = "xs"
    for layer in layers:
        first = {part: _first(draft, layer, part) for part in layer.parts}
        outputs = [f"{name}{layer.mark}" for name in ("Y", *(f"Y_{part}" for part in layer.parts))]
        draft.nodes.append(_operator(draft, layer, [below, lens, *first.values()], outputs, reverse))
        below = _shown(draft, layer, outputs[0], "ys" if layer is layers[-1] else f"ys{layer.mark}")
        for (part, initial), after in zip(first.items(), outputs[1:], strict=True):
            if lengths:  # of a row of no steps, onnxruntime's last carry is zero
                after = draft.add("Where", ["begun", after, initial], f"end_{part}{layer.mark}")
            _last(draft, layer, part, after)
        for name, rows in layer.carries:
            draft.constants[name] = np.asarray(rows)[None]
            draft.inputs.append(_value(name, "B", layer.hidden))
            draft.outputs.append(_value(f"{name}_last", "B", layer.hidden))
    if lengths:
        draft.inputs.append(helper.make_tensor_value_info("sequence_lens", TensorProto.INT32, ["B"]))


def _lengths(draft: Draft) -> str:
    """The name of the rows' lengths, no longer than the sequence; and `begun` [B, 1], whether there is any step."""
    draft.constants |= {"sequence_lens": np.array([EVERY], np.int32), "none": np.array(0, np.int32)}
    draft.add("Slice", ["shape", draft.integers(0), draft.integers(1)], "steps_64")
    draft.add("Cast", ["steps_64"], "steps", to=TensorProto.INT32)
    draft.add("Min", ["sequence_lens", "steps"], "shortened")
    lens = draft.add("Expand", ["shortened", "rows"], "lens")
    draft.add("Unsqueeze", [draft.add("Greater", [lens, "none"], "begun_rows"), draft.integers(1)], "begun")
    return lens


def _first(draft: Draft, layer: Layer, part: str) -> str:
    """[directions, B, H] of a part's inputs, [B, H] or [1, H] each."""
    one, hidden = draft.integers(1), draft.integers(layer.hidden)
    shape = draft.add("Concat", [one, "rows", hidden], f"shape_{part}{layer.mark}", axis=0)
    names = [layer.carry(part, direction) for direction in DIRECTIONS[layer.directions]]
    spread = [draft.add("Expand", [name, shape], f"initial_{name}") for name in names]
    return spread[0] if len(spread) == 1 else draft.add("Concat", spread, f"initial_{part}{layer.mark}_both", axis=0)


def _operator(
    draft: Draft, layer: Layer, inputs: Sequence[str], outputs: Sequence[str], reverse: bool
) -> onnx.NodeProto:
    attributes: dict[str, Any] = {"linear_before_reset": 1} if layer.cell == gru.cell else {}
    if layer.directions == 2:
        attributes["direction"] = "bidirectional"
    elif reverse:
        attributes["direction"] = "reverse"
    held = {f"{letter}{layer.mark}": np.asarray(a) for letter, a in layer.weights.items()}
    draft.constants |= held
    below, lens, *first = inputs
    name = f"{layer.cell.name}{layer.mark}"
    taken = [below, *held, lens, *first]
    return helper.make_node(OPERATORS[layer.cell], taken, outputs, name, hidden_size=layer.hidden, **attributes)


def _shown(draft: Draft, layer: Layer, ys: str, output: str) -> str:
    """[T, directions, B, H] -> [T, B, directions * H]."""
    if layer.directions == 1:
        return draft.add("Squeeze", [ys, draft.integers(1)], output)
    turned = draft.add("Transpose", [ys], f"turned{layer.mark}", perm=[0, 2, 1, 3])
    return draft.add("Reshape", [turned, draft.integers(0, 0, 2 * layer.hidden)], output)


def _last(draft: Draft, layer: Layer, part: str, after: str) -> None:
    """[directions, B, H] -> an output [B, H] of each direction."""
    for place, direction in enumerate(DIRECTIONS[layer.directions]):
        output = f"{layer.carry(part, direction)}_last"
        if layer.directions == 1:
            draft.add("Squeeze", [after, draft.integers(0)], output)
        else:
            draft.constants[direction] = np.array(place)
            draft.add("Gather", [after, direction], output, axis=0)


def _finished(name: str, draft: Draft) -> onnx.GraphProto:
    constants = [numpy_helper.from_array(a, name) for name, a in draft.constants.items()]
    return helper.make_graph(draft.nodes, name, draft.inputs, draft.outputs, constants)


def _value(name: str, *shape: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
