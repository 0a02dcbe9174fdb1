"""ONNX's operators RNN, GRU and LSTM, of one direction.

W [1, G * H, D] = W^T        R [1, G * H, H] = U^T        B [1, 2 * G * H], the input's half first
GRU: gates update, reset, candidate; with `linear_before_reset=1` alone.        LSTM: input, output, forget, candidate.
"""

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import onnx
from jax import Array
from onnx import helper, numpy_helper

from gatedrnn._cell import Cell
from gatedrnn._check import check_size, fail
from gatedrnn._forms import Carry, Params
from gatedrnn.cells import gru, lstm, rnn
from gatedrnn.interop._blocks import array, check_options, join, kind_of, part, reorder
from gatedrnn.interop._onnx_read import attributes, constant
from gatedrnn.interop._verify import ForwardErrors, Outputs, forward_errors

CELLS: dict[str, Cell] = {"RNN": rnn.cell, "GRU": gru.cell, "LSTM": lstm.cell}
OPERATORS: dict[Cell, str] = {cell: operator for operator, cell in CELLS.items()}

FROM_ONNX = {rnn.cell: (0,), gru.cell: (1, 0, 2), lstm.cell: (0, 2, 3, 1)}
"""Which of ONNX's blocks each of our gates reads."""

TO_ONNX = {rnn.cell: (0,), gru.cell: (1, 0, 2), lstm.cell: (0, 3, 1, 2)}
"""The inverse."""

ACTIVATIONS = {rnn.cell: ["Tanh"], gru.cell: ["Sigmoid", "Tanh"], lstm.cell: ["Sigmoid", "Tanh", "Tanh"]}
ABSENT = {"direction": "forward", "clip": None, "linear_before_reset": 0, "input_forget": 0, "layout": 0}
"""What an attribute is where the node does not have it."""

OPSET = 13  # since which Squeeze and Unsqueeze read their axes from an input


def from_onnx(model: onnx.ModelProto, node_name: str | None = None) -> tuple[Cell, Params]:
    """The cell that an operator of an ONNX model computes, and its weights.

    Args:
        model: any model whose graph has a node RNN, GRU or LSTM, with or without bias, whose weights are initialisers
            or computed from constants alone. Only that node is read; its `layout`, `sequence_lens` and first carry do
            not touch the weights and are free.
        node_name: the node's name, or that of its first output where it has none; needed where there are several.

    Returns:
        `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`, and copies of the weights in their dtype. The node's two
        biases are summed, but for the GRU's candidate, which keeps both.

    Raises:
        ValueError: no node, or not just one, is meant; the node has another direction than forward, other activations
            than its defaults, a clip, `input_forget`, peepholes, or `linear_before_reset=0` (the reset gate before the
            product); an attribute is unknown or of another type; its weights depend on an input, stand in another file,
            are not floating, or have no such shapes; or they are float64 and JAX is not set to 64 bits.

    Example:
        >>> import gatedrnn as gr, jax, onnx
        >>> from gatedrnn.interop.onnx import from_onnx, to_onnx
        >>> model = to_onnx(gr.lstm, gr.lstm.init(jax.random.key(0), 8, 16))
        >>> onnx.save(model, "lstm.onnx")
        >>> cell, params = from_onnx(onnx.load("lstm.onnx"))

    References:
        https://onnx.ai/onnx/operators/onnx__LSTM.html
    """
    node = _node(model, node_name)
    cell = CELLS[node.op_type]
    _check_node(cell, node)
    weights = {letter: name for letter, name in zip("WRB", node.input[1:4], strict=False) if name or letter != "B"}
    arrays = {letter: array(constant(model, letter, name)) for letter, name in weights.items()}
    params = _convert(cell, arrays)
    stated, hidden = attributes(node).get("hidden_size"), params.recurrent["w"].shape[0]
    if stated not in (None, hidden):
        raise fail("hidden_size", f"{hidden}, as the shapes of the weights say", stated)
    return cell, params


def to_onnx(cell: Cell, params: Params, *, opset: int = OPSET) -> onnx.ModelProto:
    """The inverse of `from_onnx`, to a model with one RNN, GRU or LSTM operator.

    Args:
        cell: `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`.
        params: its weights, float32.
        opset: version of ONNX's operators, from 13, the default, which the most runtimes read.

    Returns:
        A model with the inputs `xs [T, B, D]` and the first carry, `h [B, H]` and for the LSTM `c [B, H]`; and the
        outputs `ys [T, B, H]` and the last carry, `h_last` and for the LSTM `c_last`. T and B are free. The bias is in
        the input's half of `B` and the state's is zero, but for the GRU's candidate.

    Raises:
        ValueError: the cell is another one, `params` are not its weights or not float32, the one type in which
            onnxruntime computes these operators; or the installed onnx does not know `opset`.

    Example:
        >>> import gatedrnn as gr, jax, numpy as np, onnxruntime
        >>> from gatedrnn.interop.onnx import to_onnx
        >>> model = to_onnx(gr.gru, gr.gru.init(jax.random.key(0), 8, 16))
        >>> session = onnxruntime.InferenceSession(model.SerializeToString())
        >>> xs, h = np.ones((100, 4, 8), np.float32), np.zeros((4, 16), np.float32)
        >>> ys, h_last = session.run(None, {"xs": xs, "h": h})

    References:
        https://onnx.ai/onnx/operators/onnx__GRU.html
    """
    operator = kind_of(cell, OPERATORS)
    weights = _weights(cell, params)
    dtypes = {a.dtype.name for a in weights.values()}
    if dtypes != {"float32"}:
        wanted = "float32, the one type in which onnxruntime computes these operators"
        raise fail("params", wanted, ", ".join(sorted(dtypes)))
    newest = onnx.defs.onnx_opset_version()
    if check_size("opset", opset, OPSET) > newest:
        raise fail("opset", f"at most {newest}, the newest that the installed onnx knows", opset)

    *_, hidden = weights["R"].shape
    carry = cell.initial_carry(params)._fields
    attributes: dict[str, Any] = {"linear_before_reset": 1} if cell == gru.cell else {}
    inputs = ["xs", *weights, "", *(f"initial_{name}" for name in carry)]  # none of them the sequences' lengths
    outputs = ["Y", *(f"Y_{name}" for name in carry)]
    nodes = [
        *(helper.make_node("Unsqueeze", [name, "axis_0"], [f"initial_{name}"]) for name in carry),
        helper.make_node(operator, inputs, outputs, cell.name, hidden_size=hidden, **attributes),
        helper.make_node("Squeeze", ["Y", "axis_1"], ["ys"]),
        *(helper.make_node("Squeeze", [f"Y_{name}", "axis_0"], [f"{name}_last"]) for name in carry),
    ]
    constants = {**weights, "axis_0": np.array([0]), "axis_1": np.array([1])}
    graph = helper.make_graph(
        nodes,
        cell.name,
        [_value("xs", "T", "B", weights["W"].shape[-1]), *(_value(name, "B", hidden) for name in carry)],
        [_value("ys", "T", "B", hidden), *(_value(f"{name}_last", "B", hidden) for name in carry)],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()],
    )
    imports = [helper.make_opsetid("", opset)]
    # Left alone, onnx writes its newest file format, which older runtimes refuse.
    version = helper.find_min_ir_version_for(imports)
    return helper.make_model(graph, opset_imports=imports, ir_version=version, producer_name="gatedrnn")


def verify_onnx(cell: Cell, params: Params, xs: Any) -> ForwardErrors:
    """Proves `to_onnx(cell, params)`: onnxruntime and `gatedrnn.unroll` both run over `xs [T, B, D]`, forward alone.

    Args:
        cell: as in `to_onnx`.
        params: as in `to_onnx`.
        xs: inputs, time-major, [T, B, D].

    Returns:
        The largest error of the outputs and of the last carry, from a random first carry; onnxruntime has no gradients.

    Raises:
        ValueError: `xs` has another rank or width, or as `to_onnx`.
    """
    import onnxruntime  # not for those who only convert

    model = to_onnx(cell, params).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def run(xs: Array, carry: Carry) -> Outputs:
        inputs = {"xs": xs, **carry._asdict()}
        ys, *end = session.run(None, {name: np.asarray(a) for name, a in inputs.items()})
        return type(carry)(*end), ys

    return forward_errors(cell, params, run, xs)


def _node(model: onnx.ModelProto, name: str | None) -> onnx.NodeProto:
    """The one node that is meant."""
    if not isinstance(model, onnx.ModelProto):
        raise fail("model", "an onnx.ModelProto, as onnx.load gives it", type(model).__name__)
    nodes = [node for node in model.graph.node if node.op_type in CELLS and node.domain in ("", "ai.onnx")]
    if not nodes:
        raise fail("model", f"one whose graph has a node {', '.join(CELLS)}", "one without")
    names = [node.name or next(filter(None, node.output), "") for node in nodes]
    meant = [node for node, known in zip(nodes, names, strict=True) if name in (None, known)]
    if len(meant) != 1:
        raise fail("node_name", f"the name of one node among {', '.join(map(repr, names))}", repr(name))
    return meant[0]


def _check_node(cell: Cell, node: onnx.NodeProto) -> None:
    """Refuses what makes another function of the weights."""
    wanted = ACTIVATIONS[cell]
    options = SimpleNamespace(**{**ABSENT, "activations": wanted, **attributes(node)})
    options.activations = options.activations[: len(wanted)]  # RNN's default has a second, for the second direction
    options.P = next(iter(node.input[7:]), "") or None
    if options.layout not in (0, 1):
        raise fail("layout", "0 (time first) or 1 (batch first)", options.layout)
    check_options(options, cell, direction="forward", activations=wanted, clip=None)
    if cell == lstm.cell:
        check_options(options, cell, input_forget=0, P=None)
    if cell == gru.cell:
        check_options(options, cell, linear_before_reset=1)


def _convert(cell: Cell, weights: dict[str, Array]) -> Params:
    gates = len(cell.gates)
    if len({a.dtype for a in weights.values()}) > 1:
        raise fail("weights", "of one type (W, R, B)", ", ".join(a.dtype.name for a in weights.values()))
    match shapes := [a.shape for a in weights.values()]:
        case [(1, wide, _), (1, same, hidden), *bias] if wide == same == gates * hidden and bias in (
            [],
            [(1, 2 * wide)],
        ):
            w, r, *biases = (a[0] for a in weights.values())
        case _:
            wanted = f"of the shapes [1, G * H, D], [1, G * H, H], [1, 2 * G * H] (W, R, B) with G = {gates}"
            raise fail("weights", f"{wanted} to make gatedrnn.{cell.name}", shapes)
    halves = [half for b in biases for half in jnp.split(b, 2)]
    return join(cell, *(reorder(blocks, FROM_ONNX[cell]) for blocks in (w.T, r.T, *halves)))


def _weights(cell: Cell, params: Params) -> dict[str, Array]:
    """The weights under the names that the operator has for them, in the order of its inputs."""
    w, u, b_x, b_h = (reorder(blocks, TO_ONNX[cell]) for blocks in part(cell, params))
    return {"W": w.T[None], "R": u.T[None], "B": jnp.concatenate([b_x, b_h])[None]}


def _value(name: str, *shape: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
