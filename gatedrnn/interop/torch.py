"""torch.nn.RNN, GRU and LSTM, of any layers and directions, and the cells RNNCell, GRUCell and LSTMCell.

weight_ih [G * H, D] = W^T        weight_hh [G * H, H] = U^T        bias_ih, bias_hh [G * H], gates in the house order

Layer l reads the outputs of both directions of layer l - 1, forward first: a `gr.stack` of `gr.bidirectional`.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jax import Array
from torch import nn

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn._forms import Carry
from gatedrnn.cells import gru, lstm, relu_rnn, rnn
from gatedrnn.interop import _torch_projected
from gatedrnn.interop._blocks import join, kind_of, part
from gatedrnn.interop._networks import directions_of, layers_of, stacked
from gatedrnn.interop._torch_run import forward_and_back, to_array, to_tensor
from gatedrnn.interop._torch_state import read, shape_of
from gatedrnn.interop._torch_weights import NAMES, base_of, effective, suffixes, suffixes_of
from gatedrnn.interop._verify import Errors, Gradients, Outputs, largest_errors
from gatedrnn.networks.bidirectional import BidirectionalParams, bidirectional

CELLS: dict[type, Cell] = {
    nn.RNN: rnn.cell,
    nn.GRU: gru.cell,
    nn.LSTM: lstm.cell,
    nn.RNNCell: rnn.cell,
    nn.GRUCell: gru.cell,
    nn.LSTMCell: lstm.cell,
}
LAYERS: dict[Cell, Any] = {
    rnn.cell: nn.RNN,
    gru.cell: nn.GRU,
    lstm.cell: nn.LSTM,
    relu_rnn.cell: functools.partial(nn.RNN, nonlinearity="relu"),
    _torch_projected.CELL: nn.LSTM,
}


def from_torch(module: nn.Module) -> tuple[Cell, Any]:
    """The cell or network that a module of torch computes, and its weights.

    Args:
        module: a `torch.nn` RNN, GRU or LSTM, of any `num_layers`, `bidirectional`, `proj_size`, or an RNNCell, GRUCell
            or LSTMCell; with or without bias, on any device, or a subclass that overrides nothing of its function.
            Weights that are parametrised, normed (`weight_norm`, `spectral_norm`) or pruned by `torch.nn.utils` are
            those of the forward pass; of a weight drop, those at inference, `weight_hh_l0_raw`. `batch_first` is a
            layout of its data alone: of what is returned, `gr.unroll` takes [T, B, D], or [B, T, D] with
            `batch_major=True`.

    Returns:
        `gatedrnn.rnn` (tanh), `gatedrnn.relu_rnn`, `gatedrnn.gru` or `gatedrnn.lstm`, or `gr.projected(gr.lstm)`; of
        both directions, `gr.bidirectional` of it; of several layers, a `gr.stack`, with the module's `dropout` between
        them, which drops where `unroll` is given a key. And copies of the weights in their dtype. torch's two biases
        are summed, but for the GRU's candidate, which keeps both.

    Raises:
        ValueError: the module has another type; it is quantised; a weight is missing, or computed by something else; or
            its weights are float64 and JAX is not set to 64 bits.

    Example:
        >>> import jax, torch, gatedrnn as gr
        >>> from gatedrnn.interop.torch import from_torch
        >>> cell, params = from_torch(torch.nn.LSTM(8, 16, num_layers=2, bidirectional=True))
        >>> carry, ys = gr.unroll(cell, params, jax.numpy.ones((100, 4, 8)))
        >>> cell.name, ys.shape
        ('stack(bidirectional(lstm), bidirectional(lstm))', (100, 4, 32))

    References:
        https://docs.pytorch.org/docs/2.13/generated/torch.nn.LSTM.html
    """
    return _network(_cell_of(module), _weights(module), _marks(module), getattr(module, "dropout", 0.0))


def from_torch_weights(
    weights: Mapping[str, Any] | str | Path, *, prefix: str = "", cell: Cell | None = None
) -> tuple[Cell, Any]:
    """What `from_torch` gives, of a layer's weights alone: their names and shapes say what it was.

    They say nothing of `dropout`, which is zero then, and not which function an RNN computes.

    Args:
        weights: a `state_dict` of a `torch.nn` RNN, GRU or LSTM or a cell of these, tensors or arrays by name; or the
            path of a `.safetensors` file of it.
        prefix: what stands before the layer's names where there are others beside it, such as `"encoder.lstm."`.
        cell: `gatedrnn.rnn`, `gatedrnn.relu_rnn`, `gatedrnn.gru` or `gatedrnn.lstm`, by default what the count of gates
            says; an RNN's, tanh or relu, must be said.

    Returns:
        The cell or network, and copies of the weights in their dtype.

    Raises:
        ValueError: there is no such layer below `prefix`; a weight is missing, unknown, of another shape, or what a
            norm, a pruning, a weight drop or a quantisation made of it; or the cell is another one.

    Example:
        >>> import torch
        >>> from gatedrnn.interop.torch import from_torch_weights
        >>> model = torch.nn.ModuleDict({"encoder": torch.nn.GRU(8, 16, num_layers=2)})
        >>> cell, params = from_torch_weights(model.state_dict(), prefix="encoder.")
        >>> cell.name
        'stack(gru, gru)'
    """
    found = read(weights, prefix)
    kind, marks = shape_of(found, [rnn.cell, relu_rnn.cell, gru.cell, lstm.cell], cell)
    return _network(kind, {name: to_array(tensor) for name, tensor in found.items()}, marks, 0.0)


def to_torch(cell: Cell, params: Any) -> nn.RNNBase:
    """The inverse of `from_torch`, to a layer over time-major sequences.

    Args:
        cell: `gatedrnn.rnn`, `gatedrnn.relu_rnn`, `gatedrnn.gru` or `gatedrnn.lstm`, or `gr.projected(gr.lstm)`;
            `gr.bidirectional` of one of them, merged by "concat"; or a `gr.stack` of layers of one kind and size, whose
            `dropout` is kept.
        params: its weights.

    Returns:
        A `torch.nn` RNN, GRU or LSTM on the CPU, in the dtype of the weights, with the bias in `bias_ih_l0` and a zero
        `bias_hh_l0`, but for the GRU's candidate. Its `state_dict` fits every layer of the same kind and sizes; in the
        names of RNNCell, GRUCell and LSTMCell, `_l0` is missing.

    Raises:
        ValueError: the cell is another one, `params` are not its weights, or torch has no layer of such layers.
    """
    layers, dropout = layers_of(cell, params)
    pairs = [directions_of(*layer) for layer in layers]
    merges = {merge for _, merge in pairs}
    singles = [single for cells, _ in pairs for single in cells]
    kinds = [kind_of(one, LAYERS) for one, _ in singles]
    if len(merges) > 1 or len({one for one, _ in singles}) > 1 or not merges <= {"", "concat"}:
        raise fail("cell", "layers of one kind, of one direction or of both merged by 'concat'", repr(cell.name))
    marks = suffixes(len(layers), len(pairs[0][0]))
    named = [_parted(*single) for single in singles]
    weights = {name + mark: a for held, mark in zip(named, marks, strict=True) for name, a in held.items()}
    options: dict[str, Any] = {"num_layers": len(layers), "bidirectional": len(pairs[0][0]) == 2}
    options |= {"dropout": dropout} if len(layers) > 1 else {}
    width, hidden = named[0]["weight_ih"].shape[1], named[0]["weight_hh"].shape[1]
    if "weight_hr" in named[0]:
        options["proj_size"], hidden = named[0]["weight_hr"].shape
    # On the device "meta" no starting values are drawn, so torch's generator stays as it was.
    module: nn.RNNBase = kinds[0](width, hidden, device="meta", **options)
    wanted, got = ({name: tuple(a.shape) for name, a in held.items()} for held in (module.state_dict(), weights))
    if wanted != got:
        name = next(name for name in wanted if wanted[name] != got[name])
        raise fail("params", f"those of layers of one size, with {name} {wanted[name]}", got[name])
    module.load_state_dict({name: to_tensor(a) for name, a in weights.items()}, assign=True)
    return module


def verify_torch(module: nn.Module, xs: Any, *, lengths: Any = None) -> Errors:
    """Proves `from_torch(module)`: both sides run over `xs [T, B, D]`, and back by autograd and by `gatedrnn.unroll`.

    Args:
        module: as in `from_torch`.
        xs: inputs, time-major, [T, B, D].
        lengths: whole numbers [B], the steps of each row that are there, packed by torch's `pack_padded_sequence`; a
            row of none, which torch refuses, keeps its carry.

    Returns:
        The largest error of the outputs and of the gradients in `xs`, the first carry and each of torch's weights, as
        its forward pass uses them; the outputs are the module's own at inference.

    Raises:
        ValueError: as `from_torch`; or as `unroll` of `lengths`.
    """
    network, _ = from_torch(module)
    kind, marks = _cell_of(module), _marks(module)

    def convert(weights: dict[str, Array]) -> Any:
        return _network(kind, weights, marks, 0.0)[1]

    peer = functools.partial(_peer, module, lengths)
    return largest_errors(network, convert, _weights(module), peer, xs, lengths)


def _cell_of(module: nn.Module) -> Cell:
    cell = CELLS[base_of(module, CELLS)]
    return relu_rnn.cell if cell == rnn.cell and module.nonlinearity == "relu" else cell


def converted(cell: Cell, weights: Mapping[str, Array]) -> Any:
    """Ours of a framework's weights by name, as a function that JAX differentiates."""
    if cell == _torch_projected.CELL:
        return _torch_projected.join(weights)
    return join(cell, weights["weight_ih"].T, weights["weight_hh"].T, weights.get("bias_ih"), weights.get("bias_hh"))


def _parted(cell: Cell, params: Any) -> dict[str, Array]:
    """torch's weights of one cell by name."""
    if cell == _torch_projected.CELL:
        return _torch_projected.part(params)
    w, u, b_x, b_h = part(cell, params)
    return {"weight_ih": w.T, "weight_hh": u.T, "bias_ih": b_x, "bias_hh": b_h}


def _network(cell: Cell, weights: Mapping[str, Array], marks: Sequence[str], dropout: float) -> tuple[Cell, Any]:
    """The network of the layers and directions that `marks` name, and its weights."""
    if f"weight_hr{marks[0]}" in weights:
        cell = _torch_projected.CELL
    singles = [converted(cell, {n: weights[n + mark] for n in NAMES if n + mark in weights}) for mark in marks]
    if not any(mark.endswith("_reverse") for mark in marks):
        return stacked([(cell, params) for params in singles], dropout)
    pairs = [BidirectionalParams(*pair) for pair in zip(singles[::2], singles[1::2], strict=True)]
    both = bidirectional(cell)
    return stacked([(both, params) for params in pairs], dropout)


def _marks(module: nn.Module) -> list[str]:
    """Of a single layer none, as of a cell: then the weights have the names that they have there."""
    marks = suffixes_of(module)
    return marks if len(marks) > 1 else [""]


def _weights(module: nn.Module) -> dict[str, Array]:
    return {_bare(module, name): to_array(tensor) for name, tensor in effective(module).items()}


def _bare(module: nn.Module, name: str) -> str:
    return name if len(_marks(module)) > 1 else name.removesuffix("_l0")


def _plain(module: nn.Module) -> nn.Module:
    """A module of torch's own type on the CPU, whose parameters are the weights that `module` computes with."""
    weights = {name: tensor.cpu().clone() for name, tensor in effective(module).items()}
    kept = ("num_layers", "bidirectional", "batch_first", "proj_size", "nonlinearity")
    options: dict[str, Any] = {name: value for name in kept if (value := getattr(module, name, None))}
    sizes: Any = (module.input_size, module.hidden_size)
    plain = base_of(module, CELLS)(*sizes, bias=module.bias, device="meta", **options)
    plain.load_state_dict(weights, assign=True)
    return plain.requires_grad_()


def _peer(
    module: nn.Module, lengths: Any, weights: Any, xs: Array, carry: Carry, cotangents: Outputs
) -> tuple[Outputs, Gradients]:
    """torch's forward pass and autograd; `weights` are the module's own."""
    outputs, (dweights, dxs, dcarry) = forward_and_back(module, _plain(module), xs, carry, cotangents, lengths)
    return outputs, ({_bare(module, name): d for name, d in dweights.items()}, dxs, dcarry)
