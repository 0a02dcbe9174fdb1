"""torch.nn.RNN, GRU and LSTM, of one layer and one direction, and the cells RNNCell, GRUCell and LSTMCell.

weight_ih [G * H, D] = W^T        weight_hh [G * H, H] = U^T        bias_ih, bias_hh [G * H], gates in the house order
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import torch
from jax import Array
from torch import Tensor, nn

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry, Params
from gatedrnn.cells import gru, lstm, rnn
from gatedrnn.interop._blocks import array, check_options, join, kind_of, part
from gatedrnn.interop._torch_weights import base_of, effective, inference
from gatedrnn.interop._verify import Errors, Gradients, Outputs, largest_errors

CELLS: dict[type, Cell] = {
    nn.RNN: rnn.cell,
    nn.GRU: gru.cell,
    nn.LSTM: lstm.cell,
    nn.RNNCell: rnn.cell,
    nn.GRUCell: gru.cell,
    nn.LSTMCell: lstm.cell,
}
LAYERS: dict[Cell, Any] = {rnn.cell: nn.RNN, gru.cell: nn.GRU, lstm.cell: nn.LSTM}


def from_torch(module: nn.Module) -> tuple[Cell, Params]:
    """The cell that a module of torch computes, and its weights.

    Args:
        module: a `torch.nn` RNN, GRU or LSTM (`batch_first` is free), or an RNNCell, GRUCell or LSTMCell; with or
            without bias, on any device, or a subclass that overrides nothing of its function. Weights that are
            parametrised, normed (`weight_norm`, `spectral_norm`) or pruned by `torch.nn.utils` are those of the forward
            pass; of a weight drop, those at inference, `weight_hh_l0_raw`.

    Returns:
        `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`, and copies of the weights in their dtype. torch's two biases
        are summed, but for the GRU's candidate, which keeps both.

    Raises:
        ValueError: the module has another type, more than one layer, a second direction, a projection or a relu; it is
            quantised; a weight is missing, or computed by something else; or its weights are float64 and JAX is not set
            to 64 bits.

    Example:
        >>> import jax, torch, gatedrnn as gr
        >>> from gatedrnn.interop.torch import from_torch
        >>> cell, params = from_torch(torch.nn.LSTM(8, 16))
        >>> carry, ys = gr.unroll(cell, params, jax.numpy.ones((100, 4, 8)))

    References:
        https://docs.pytorch.org/docs/2.13/generated/torch.nn.LSTM.html
    """
    cell = CELLS[base_of(module, CELLS)]
    if isinstance(module, nn.RNNBase):
        check_options(module, cell, num_layers=1, bidirectional=False, proj_size=0)
    if cell == rnn.cell:
        check_options(module, cell, nonlinearity="tanh")
    return cell, converted(cell, _weights(module))


def to_torch(cell: Cell, params: Params) -> nn.RNNBase:
    """The inverse of `from_torch`, to a layer over time-major sequences.

    Args:
        cell: `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`.
        params: its weights.

    Returns:
        A `torch.nn` RNN, GRU or LSTM on the CPU, in the dtype of the weights, with the bias in `bias_ih_l0` and a zero
        `bias_hh_l0`, but for the GRU's candidate. Its `state_dict` fits every layer of the same kind and sizes; in the
        names of RNNCell, GRUCell and LSTMCell, `_l0` is missing.

    Raises:
        ValueError: the cell is another one, or `params` are not its weights.
    """
    layer = kind_of(cell, LAYERS)
    w, u, b_x, b_h = part(cell, params)
    weights = {"weight_ih_l0": w.T, "weight_hh_l0": u.T, "bias_ih_l0": b_x, "bias_hh_l0": b_h}
    # On the device "meta" no starting values are drawn, so torch's generator stays as it was.
    module = layer(w.shape[0], u.shape[0], device="meta")
    module.load_state_dict({name: _tensor(a) for name, a in weights.items()}, assign=True)
    return module


def verify_torch(module: nn.Module, xs: Any) -> Errors:
    """Proves `from_torch(module)`: both sides run over `xs [T, B, D]`, and back by autograd and by `gatedrnn.unroll`.

    Args:
        module: as in `from_torch`.
        xs: inputs, time-major, [T, B, D].

    Returns:
        The largest error of the outputs and of the gradients in `xs`, the first carry and each of torch's weights, as
        its forward pass uses them; the outputs are the module's own at inference.

    Raises:
        ValueError: as `from_torch`.
    """
    cell, _ = from_torch(module)
    peer = functools.partial(_forward_and_back, module)
    return largest_errors(cell, functools.partial(converted, cell), _weights(module), peer, xs)


def _weights(module: nn.Module) -> dict[str, Array]:
    return {name: _array(tensor) for name, tensor in effective(module).items()}


def _plain(module: nn.Module) -> nn.Module:
    """A module of torch's own type on the CPU, whose parameters are the weights that `module` computes with."""
    suffix = "_l0" if isinstance(module, nn.RNNBase) else ""
    weights = {name + suffix: tensor.cpu().clone() for name, tensor in effective(module).items()}
    options: dict[str, Any] = {"batch_first": module.batch_first} if isinstance(module, nn.RNNBase) else {}
    sizes: Any = (module.input_size, module.hidden_size)
    plain = base_of(module, CELLS)(*sizes, bias=module.bias, device="meta", **options)
    plain.load_state_dict(weights, assign=True)
    return plain.requires_grad_()


def converted(cell: Cell, weights: dict[str, Array]) -> Params:
    """Ours of a framework's weights by name, as a function that JAX differentiates."""
    return join(cell, weights["weight_ih"].T, weights["weight_hh"].T, weights.get("bias_ih"), weights.get("bias_hh"))


def _array(tensor: Tensor) -> Array:
    wide = tensor.detach().cpu().double().numpy()  # numpy itself knows no bfloat16
    return array(wide.astype(jnp.dtype(str(tensor.dtype).removeprefix("torch."))))


def _tensor(a: Any) -> Tensor:
    return torch.from_numpy(np.array(a, np.float64)).to(getattr(torch, jnp.dtype(a.dtype).name))


def _forward_and_back(
    module: nn.Module, weights: Any, xs: Array, carry: Carry, cotangents: Outputs
) -> tuple[Outputs, Gradients]:
    """torch's forward pass and autograd; `weights` are the module's own."""
    end, ys = cotangents
    plain = _plain(module)
    leaves = [_tensor(a).requires_grad_() for a in (xs, *carry)]
    outputs = _run(plain, leaves[0], leaves[1:])
    seeds = [_tensor(a).to(output.dtype) for a, output in zip((*end, ys), outputs, strict=True)]
    named = dict(plain.named_parameters())
    found = torch.autograd.grad(outputs, [*leaves, *named.values()], seeds)
    dxs, dcarry, dweights = found[0], found[1 : len(leaves)], found[len(leaves) :]
    by_name = {name.removesuffix("_l0"): _array(d) for name, d in zip(named, dweights, strict=True)}
    if not hasattr(module, "weight_hh_l0_raw"):  # whose wrapper alone can run it
        device = next(module.parameters()).device
        with inference(module):
            outputs = _run(module, leaves[0].to(device), [a.to(device) for a in leaves[1:]])
    *after, ys = map(_array, outputs)
    return (type(carry)(*after), ys), (by_name, _array(dxs), type(carry)(*map(_array, dcarry)))


def _run(module: nn.Module, xs: Tensor, carry: Sequence[Tensor]) -> list[Tensor]:
    """The last carry's parts, then the outputs [T, B, H]."""
    single = len(carry) == 1  # then torch wants and gives a tensor, otherwise a tuple
    if isinstance(module, nn.RNNBase):
        first = [a[None] for a in carry]
        turn = (lambda a: a.transpose(0, 1)) if module.batch_first else (lambda a: a)
        ys, end = module(turn(xs), first[0] if single else tuple(first))
        return [*(a[0] for a in ([end] if single else end)), turn(ys)]
    state: Any = carry[0] if single else tuple(carry)
    outputs = []
    for x in xs:
        state = module(x, state)
        outputs.append(state if single else state[0])
    return [*([state] if single else state), torch.stack(outputs)]
