"""ONNX's operators RNN, GRU and LSTM, alone or on top of each other, of one direction or of both.

gr.lstm, gr.gru, gr.rnn      an operator
gr.bidirectional(cell)       an operator with direction="bidirectional"
gr.stack(...)                an operator for each layer

A graph holds [T, B, D] throughout; each operator's own [T, directions, B, H] is turned into it at once.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from jax import Array
from onnx import helper

from gatedrnn._cell import Cell
from gatedrnn._check import check_flag, check_size, fail
from gatedrnn._forms import Carry
from gatedrnn.interop._networks import stacked
from gatedrnn.interop._onnx_chain import nodes_of
from gatedrnn.interop._onnx_operator import layer_of
from gatedrnn.interop._onnx_write import layers_to_write, sequence_graph, step_graph
from gatedrnn.interop._verify import ForwardErrors, Outputs, forward_errors

OPSET = 13  # since which Squeeze and Unsqueeze read their axes from an input
SILENT = 3  # onnxruntime's level of errors: it warns of every input with a default, that it is none of its constants


def from_onnx(model: onnx.ModelProto, node_name: str | None = None, *, reverse: bool = False) -> tuple[Cell, Any]:
    """The cell or network that the operators of an ONNX model compute, and its weights.

    Args:
        model: any model whose graph has nodes RNN, GRU or LSTM, with or without bias, whose weights are initialisers or
            computed from constants alone. Of several, each reads the outputs of the one before it, brought from
            [T, directions, B, H] to [T, B, directions * H] by Transpose, Reshape, Squeeze and the like. What stands
            before the first and after the last is not read; `layout`, `sequence_lens` and first carries do not touch
            the weights and are free.
        node_name: the name of the one node that is meant, or that of its first output where it has none; by default all
            of them are.
        reverse: whether the nodes have the direction "reverse", for what is run by `gr.unroll(..., reverse=True)`.

    Returns:
        `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`; of both directions, `gr.bidirectional` of it; of several
        nodes, a `gr.stack`. And copies of the weights in their dtype. A node's two biases are summed, but for the GRU's
        candidate, which keeps both.

    Raises:
        ValueError: no node is meant, or several that are not on top of each other; a node has another direction, other
            activations than its defaults, a clip, `input_forget`, peepholes, or `linear_before_reset=0` (the reset gate
            before the product); an attribute is unknown or of another type; weights depend on an input, stand in
            another file, are not floating, or have no such shapes; or they are float64 and JAX is not set to 64 bits.

    Example:
        >>> import gatedrnn as gr, jax, onnx
        >>> from gatedrnn.interop.onnx import from_onnx, to_onnx
        >>> model = to_onnx(gr.lstm, gr.lstm.init(jax.random.key(0), 8, 16))
        >>> onnx.save(model, "lstm.onnx")
        >>> cell, params = from_onnx(onnx.load("lstm.onnx"))

    References:
        https://onnx.ai/onnx/operators/onnx__LSTM.html
    """
    check_flag("reverse", reverse)
    return stacked([layer_of(model, node, reverse) for node in nodes_of(model, node_name)])


def to_onnx(
    cell: Cell,
    params: Any,
    *,
    lengths: bool = False,
    reverse: bool = False,
    step: bool = False,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """The inverse of `from_onnx`, to a model with an RNN, GRU or LSTM operator for each layer.

    Args:
        cell: `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`; `gr.bidirectional` of one of them, merged by "concat";
            or a `gr.stack` of such layers, of any kinds and sizes, whose `dropout` does nothing at inference.
        params: its weights, float32.
        lengths: whether the graph takes `sequence_lens`, as `gr.unroll(..., lengths=...)` does.
        reverse: whether it runs from the last step to the first, as `gr.unroll(..., reverse=True)` does.
        step: whether it is `cell.step` in the place of `gr.unroll`, to be called at every step with the carry that it
            gave.
        opset: version of ONNX's operators, from 13, the default, which the most runtimes read.

    Returns:
        A model with the inputs `xs [T, B, D]` and the first carry; and the outputs `ys [T, B, H]`, of both directions
        `[T, B, 2 * H]`, and the last carry. T and B are free, from 1 on. Every part of the carry is [B, H]: `h`, for
        the LSTM `c`; of the layer i of a stack `h_i`; of both directions `h_forward` and `h_backward`, or `h_i_forward`
        and `h_i_backward`; at the end `h_last` and so on, all in the order of `jax.tree.leaves(carry)`. What is not
        given of the first carry is zero. With `lengths` there is `sequence_lens`, int32 [B], by default T. With `step`
        there are `x [B, D]` and `y [B, H]` in the place of `xs` and `ys`.

        The bias is in the input's half of `B` and the state's is zero, but for the GRU's candidate.

    Raises:
        ValueError: the cell is another one, `params` are not its weights or not float32, the one type in which
            onnxruntime computes these operators; one step or `reverse` is asked for where both directions are read, or
            one step of lengths or in reverse; or the installed onnx does not know `opset`.

    Example:
        >>> import gatedrnn as gr, jax, numpy as np, onnxruntime
        >>> from gatedrnn.interop.onnx import to_onnx
        >>> deep = gr.stack(gr.gru, layers=2)
        >>> model = to_onnx(deep, deep.init(jax.random.key(0), 8, 16))
        >>> session = onnxruntime.InferenceSession(model.SerializeToString())
        >>> xs, h = np.ones((100, 4, 8), np.float32), np.zeros((4, 16), np.float32)
        >>> ys, h_0, h_1 = session.run(None, {"xs": xs, "h_0": h})

    References:
        https://onnx.ai/onnx/operators/onnx__GRU.html
    """
    layers = layers_to_write(cell, params)
    dtypes = {a.dtype.name for layer in layers for a in layer.weights.values()}
    if dtypes != {"float32"}:
        wanted = "float32, the one type in which onnxruntime computes these operators"
        raise fail("params", wanted, ", ".join(sorted(dtypes)))
    newest = onnx.defs.onnx_opset_version()
    if check_size("opset", opset, OPSET) > newest:
        raise fail("opset", f"at most {newest}, the newest that the installed onnx knows", opset)
    both = any(layer.directions == 2 for layer in layers)
    if check_flag("reverse", reverse) and both:
        raise fail("reverse", "False for what reads both directions", reverse)
    if check_flag("step", step) and (both or check_flag("lengths", lengths) or reverse):
        raise fail("step", "False for both directions, with `lengths` and with `reverse`", step)
    name = cell.name
    graph = step_graph(name, layers) if step else sequence_graph(name, layers, check_flag("lengths", lengths), reverse)
    imports = [helper.make_opsetid("", opset)]
    # Left alone, onnx writes its newest file format, which older runtimes refuse.
    version = helper.find_min_ir_version_for(imports)
    return helper.make_model(graph, opset_imports=imports, ir_version=version, producer_name="gatedrnn")


def verify_onnx(
    cell: Cell, params: Any, xs: Any, *, lengths: Any = None, reverse: bool = False, step: bool = False
) -> ForwardErrors:
    """Proves `to_onnx(cell, params, ...)`: onnxruntime and `gatedrnn.unroll` both run over `xs`, forward alone.

    Args:
        cell: as in `to_onnx`.
        params: as in `to_onnx`.
        xs: inputs, time-major, [T, B, D].
        lengths: whole numbers [B], the steps of each row that are there; None for all.
        reverse: as in `to_onnx`.
        step: as in `to_onnx`; onnxruntime is then called at every step.

    Returns:
        The largest error of the outputs and of the last carry, from a random first carry; onnxruntime has no gradients.

    Raises:
        ValueError: `xs` has another rank or width, or no steps or rows, or as `to_onnx`, or as `unroll` of `lengths`.
    """
    import onnxruntime  # not for those who only convert

    if np.ndim(xs) == 3 and 0 in np.shape(xs)[:2]:
        raise fail("xs", "[T, B, D] of at least one step and row, without which onnxruntime can crash", np.shape(xs))
    model = to_onnx(cell, params, lengths=lengths is not None, reverse=reverse, step=step)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    names = [value.name for value in model.graph.input]

    def call(xs: Any, carry: Any) -> list[Any]:
        given = [xs, *carry] if lengths is None else [xs, *carry, np.asarray(lengths, np.int32)]
        return session.run(None, {name: np.asarray(a) for name, a in zip(names, given, strict=True)})

    def run(xs: Array, carry: Carry) -> Outputs:
        first, structure = jax.tree.flatten(carry)
        if not step:
            ys, *end = call(xs, first)
            return jax.tree.unflatten(structure, end), ys
        outputs: list[Any] = []
        for x in np.asarray(xs):
            y, *first = call(x, first)
            outputs.append(y)
        return jax.tree.unflatten(structure, first), jnp.stack(outputs)

    return forward_errors(cell, params, run, xs, lengths=lengths, reverse=reverse)
