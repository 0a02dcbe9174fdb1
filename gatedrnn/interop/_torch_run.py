"""A module of torch run forward and back, from any first carry, over sequences of any lengths."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import Array
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatedrnn._forms import Carry
from gatedrnn.interop._blocks import array
from gatedrnn.interop._torch_weights import inference
from gatedrnn.interop._verify import Gradients, Outputs


def to_array(tensor: Tensor) -> Array:
    """A copy, in the dtype it has."""
    wide = tensor.detach().cpu().double().numpy()  # numpy itself knows no bfloat16
    return array(wide.astype(jnp.dtype(str(tensor.dtype).removeprefix("torch."))))


def to_tensor(a: Any) -> Tensor:
    """A copy, in the dtype it has."""
    return torch.from_numpy(np.array(a, np.float64)).to(getattr(torch, jnp.dtype(a.dtype).name))


def forward_and_back(
    module: nn.Module, plain: nn.Module, xs: Array, carry: Carry, cotangents: Outputs, lengths: Any = None
) -> tuple[Outputs, Gradients]:
    """The module's forward pass at inference, and autograd through `plain`, of torch's own type with equal weights.

    Args:
        module: an RNN, GRU or LSTM, or a cell of these.
        plain: one on the CPU whose parameters are all that autograd is to reach.
        xs: [T, B, D].
        carry: of the network that `module` is converted to.
        cotangents: of the last carry and the outputs.
        lengths: whole numbers [B], or None.

    Returns:
        The last carry and the outputs [T, B, H]; the gradients in the parameters by name, the inputs and the carry.
    """
    end, ys = cotangents
    steps = None if lengths is None else torch.tensor(np.asarray(lengths), dtype=torch.int64)
    first, structure = jax.tree.flatten(carry)
    leaves = [to_tensor(a).requires_grad_() for a in (xs, *first)]
    outputs = _run(plain, leaves[0], leaves[1:], steps)
    pairs = zip(outputs, map(to_tensor, (*jax.tree.leaves(end), ys)), strict=True)
    reached = [(output, seed.to(output.dtype)) for output, seed in pairs if output.requires_grad]  # some step was run
    named = dict(plain.named_parameters())
    ends, seeds = zip(*reached, strict=True)
    found = torch.autograd.grad(ends, [*leaves, *named.values()], seeds, materialize_grads=True)
    dxs, *dcarry = map(to_array, found[: len(leaves)])
    by_name = {name: to_array(d) for name, d in zip(named, found[len(leaves) :], strict=True)}
    if not any(name.endswith("_raw") for name in module._parameters):  # whose wrapper alone can run it
        device = next(module.parameters()).device
        with inference(module):
            outputs = _run(module, leaves[0].to(device), [a.to(device) for a in leaves[1:]], steps)
    *after, ys = map(to_array, outputs)
    return (jax.tree.unflatten(structure, after), ys), (by_name, dxs, jax.tree.unflatten(structure, dcarry))


def _run(module: nn.Module, xs: Tensor, carry: Sequence[Tensor], steps: Tensor | None) -> list[Tensor]:
    """The last carries' parts, layer by layer and forward first, then the outputs [T, B, H]."""
    if not isinstance(module, nn.RNNBase):
        return _stepped(module, xs, carry, steps)
    parts = 2 if isinstance(module, nn.LSTM) else 1
    first = [torch.stack(list(carry[part::parts])) for part in range(parts)]
    end, ys = _whole(module, xs, first) if steps is None else _packed(module, xs, first, steps)
    return [*(part[place] for place in range(len(first[0])) for part in end), ys]


def _whole(module: nn.RNNBase, xs: Tensor, first: list[Tensor]) -> tuple[list[Tensor], Tensor]:
    turn = (lambda a: a.transpose(0, 1)) if module.batch_first else (lambda a: a)
    end, ys = _called(module, turn(xs), first)
    return end, turn(ys)


def _packed(module: nn.RNNBase, xs: Tensor, first: list[Tensor], steps: Tensor) -> tuple[list[Tensor], Tensor]:
    """torch's packed sequences, which refuse a row of no steps: that one keeps its carry, and its outputs are zero."""
    rows = steps.nonzero()[:, 0].to(xs.device)
    width = (module.proj_size or module.hidden_size) * (2 if module.bidirectional else 1)
    ys = xs.new_zeros(*xs.shape[:2], width)
    if not len(rows):
        return first, ys
    packed = pack_padded_sequence(xs[:, rows], steps[rows.cpu()], enforce_sorted=False)
    end, found = _called(module, packed, [part[:, rows] for part in first])
    padded, _ = pad_packed_sequence(found, total_length=len(xs))
    end = [whole.index_copy(1, rows, part) for whole, part in zip(first, end, strict=True)]
    return end, ys.index_copy(1, rows, padded)


def _called(module: nn.RNNBase, xs: Any, first: list[Tensor]) -> tuple[list[Tensor], Any]:
    single = len(first) == 1  # then torch wants and gives a tensor, otherwise a tuple
    ys, end = module(xs, first[0] if single else tuple(first))
    return ([end] if single else list(end)), ys


def _stepped(module: nn.Module, xs: Tensor, carry: Sequence[Tensor], steps: Tensor | None) -> list[Tensor]:
    single = len(carry) == 1
    state, outputs = list(carry), []
    for place, x in enumerate(xs):
        after = module(x, state[0] if single else tuple(state))
        after = [after] if single else list(after)
        if steps is None:
            state, y = after, after[0]
        else:
            inside = (place < steps).to(x.device)[:, None]
            y = torch.where(inside, after[0], torch.zeros_like(after[0]))
            state = [torch.where(inside, new, old) for new, old in zip(after, state, strict=True)]
        outputs.append(y)
    return [*state, torch.stack(outputs)]
