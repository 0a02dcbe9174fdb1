"""One operator RNN, GRU or LSTM of ONNX and the layer that it computes: of one direction, or of both.

W [directions, G * H, D] = W^T        R [directions, G * H, H] = U^T
B [directions, 2 * G * H], the bias of the input's half first
GRU: gates update, reset, candidate; with `linear_before_reset=1` alone.        LSTM: input, output, forget, candidate.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import onnx
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn._forms import Params
from gatedrnn.cells import gru, lstm, rnn
from gatedrnn.interop._blocks import array, check_options, join, kind_of, part, reorder
from gatedrnn.interop._onnx_read import attributes, constant
from gatedrnn.networks.bidirectional import BidirectionalParams, bidirectional

CELLS: dict[str, Cell] = {"RNN": rnn.cell, "GRU": gru.cell, "LSTM": lstm.cell}
OPERATORS: dict[Cell, str] = {cell: operator for operator, cell in CELLS.items()}

FROM_ONNX = {rnn.cell: (0,), gru.cell: (1, 0, 2), lstm.cell: (0, 2, 3, 1)}
"""Which of ONNX's blocks each of our gates reads."""

TO_ONNX = {rnn.cell: (0,), gru.cell: (1, 0, 2), lstm.cell: (0, 3, 1, 2)}
"""The inverse."""

ACTIVATIONS = {rnn.cell: ["Tanh"], gru.cell: ["Sigmoid", "Tanh"], lstm.cell: ["Sigmoid", "Tanh", "Tanh"]}
ABSENT = {"direction": "forward", "clip": None, "linear_before_reset": 0, "input_forget": 0, "layout": 0}
"""What an attribute is where the node does not have it."""


def layer_of(model: onnx.ModelProto, node: onnx.NodeProto, reverse: bool) -> tuple[Cell, Any]:
    """The cell that a node computes, or `bidirectional` of it, and its weights.

    Args:
        model: the model with the node.
        node: an RNN, GRU or LSTM.
        reverse: whether it is to run from the last step to the first.

    Raises:
        ValueError: the node computes another function, or its weights are not constants of their shapes.
    """
    cell = CELLS[node.op_type]
    both = _check_node(cell, node, reverse)
    names = {letter: name for letter, name in zip("WRB", node.input[1:4], strict=False) if name or letter != "B"}
    singles = _converted(cell, {letter: array(constant(model, letter, name)) for letter, name in names.items()}, both)
    stated, hidden = attributes(node).get("hidden_size"), singles[0].recurrent["w"].shape[0]
    if stated not in (None, hidden):
        raise fail("hidden_size", f"{hidden}, as the shapes of the weights say", stated)
    return (bidirectional(cell), BidirectionalParams(*singles)) if both else (cell, singles[0])


def weights_of(directions: Sequence[tuple[Cell, Any]]) -> dict[str, Array]:
    """A layer's weights under the names that the operator has for them, in the order of its inputs.

    Args:
        directions: a cell and its weights, forward and backward where there are both.

    Raises:
        ValueError: a cell has no operator, both are not of one kind and size, or weights are not their cell's.
    """
    kinds = [kind_of(cell, OPERATORS) for cell, _ in directions]
    singles = [_parted(*single) for single in directions]
    shapes = [{name: a.shape for name, a in single.items()} for single in singles]
    if len(set(kinds)) > 1 or any(other != shapes[0] for other in shapes):
        got = " and ".join(f"{kind} of {of['W']}" for kind, of in zip(kinds, shapes, strict=True))
        raise fail("cell", "one whose two directions are of one kind and size, as they are in ONNX", got)
    return {name: jnp.stack([single[name] for single in singles]) for name in shapes[0]}


def _check_node(cell: Cell, node: onnx.NodeProto, reverse: bool) -> bool:
    """Refuses what makes another function of the weights; whether the node reads both directions."""
    given = {**ABSENT, **attributes(node)}
    allowed = ["reverse"] if reverse else ["forward", "bidirectional"]
    if given["direction"] not in allowed:
        expected = f"{' or '.join(map(repr, allowed))} where `reverse={reverse}`"
        raise fail("direction", f"{expected} to make gatedrnn.{cell.name}", repr(given["direction"]))
    both = given["direction"] == "bidirectional"
    wanted = ACTIVATIONS[cell] * (2 if both else 1)
    options = SimpleNamespace(**{"activations": wanted, **given})
    options.activations = options.activations[: len(wanted)]  # RNN's default has a second, for the second direction
    options.P = next(iter(node.input[7:]), "") or None
    if options.layout not in (0, 1):
        raise fail("layout", "0 (time first) or 1 (batch first)", options.layout)
    check_options(options, cell, activations=wanted, clip=None)
    if cell == lstm.cell:
        check_options(options, cell, input_forget=0, P=None)
    if cell == gru.cell:
        check_options(options, cell, linear_before_reset=1)
    return both


def _converted(cell: Cell, weights: Mapping[str, Array], both: bool) -> list[Params]:
    """Ours of each direction."""
    gates, count = len(cell.gates), 2 if both else 1
    if len({a.dtype for a in weights.values()}) > 1:
        raise fail("weights", "of one type (W, R, B)", ", ".join(a.dtype.name for a in weights.values()))
    match shapes := [a.shape for a in weights.values()]:
        case [(n, wide, _), (m, same, hidden), *bias] if (
            n == m == count and wide == same == gates * hidden and bias in ([], [(count, 2 * wide)])
        ):
            return [_joined(cell, *(a[place] for a in weights.values())) for place in range(count)]
        case _:
            wanted = f"of the shapes [{count}, G * H, D], [{count}, G * H, H], [{count}, 2 * G * H] (W, R, B)"
            raise fail("weights", f"{wanted} with G = {gates} to make gatedrnn.{cell.name}", shapes)


def _joined(cell: Cell, w: Array, r: Array, *biases: Array) -> Params:
    halves = [half for b in biases for half in jnp.split(b, 2)]
    return join(cell, *(reorder(blocks, FROM_ONNX[cell]) for blocks in (w.T, r.T, *halves)))


def _parted(cell: Cell, params: Any) -> dict[str, Array]:
    """W [G * H, D], R [G * H, H] and B [2 * G * H] of one direction."""
    w, u, b_x, b_h = (reorder(blocks, TO_ONNX[cell]) for blocks in part(cell, params))
    return {"W": w.T, "R": u.T, "B": jnp.concatenate([b_x, b_h])}
