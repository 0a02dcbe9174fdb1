"""The weights with which a module of torch computes: its parameters, or what a parametrisation makes of others.

parametrizations.*     `module.weight` is computed when it is read
weight_norm, spectral_norm, prune     a hook computes it from `weight_g` and `weight_v`, or `weight_orig`, at each call
weight drop            `weight_raw`, which dropout leaves as it is at inference
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from gatedrnn._check import fail

NAMES = ("weight_ih", "weight_hh", "weight_hr", "bias_ih", "bias_hh")
"""`weight_hr` with `proj_size` alone, the others always, but for the biases."""

FREE = {"__init__", "__module__", "__doc__", "__qualname__", "__annotations__", "__parameters__", "__orig_bases__"}
FREE |= {"__firstlineno__", "__static_attributes__", "extra_repr", "reset_parameters", "forward_annotations"}
"""What a subclass may have of its own and still compute what its base computes."""


def base_of(module: Any, kinds: Mapping[type, Any]) -> type:
    """The type of torch whose function the module computes; a subclass that overrides a part of it has none.

    Raises:
        ValueError: the module has another type, a `forward` of its own, or is quantised.
    """
    kind = parametrize.type_before_parametrizations(module) if isinstance(module, nn.Module) else type(module)
    names = ", ".join(known.__name__ for known in kinds)
    shown = kind.__name__
    if "quantiz" in kind.__module__:
        shown = f"{kind.__module__}.{shown}"
        wanted = f"one of {names} in floating point; convert the module as it was before it was quantised"
        raise fail("module", wanted, f"{shown}, whose weights and activations are rounded to integers")
    base = next((parent for parent in kind.__mro__ if parent in kinds), None)
    if base is None:
        held = [name for name, inner in getattr(module, "named_modules", list)() if type(inner) in kinds]
        raise fail("module", f"one of {names}", f"{shown}, which holds one as {held[0]!r}" if held else shown)
    own = kind.__mro__[: kind.__mro__.index(base)]
    changed = {name for parent in own for name in vars(parent) if hasattr(base, name)} - FREE
    changed |= {"forward"} & set(vars(module))
    if changed:
        raise fail("module", f"one of {names}", f"{shown}, whose {min(changed)} is its own and may compute anything")
    return base


@contextlib.contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """Without gradients and in inference mode, where spectral norm leaves its vectors as they are."""
    modes = [(inner, inner.training) for inner in module.modules()]
    for inner, _ in modes:
        inner.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for inner, mode in modes:
            inner.training = mode


def suffixes(layers: int, directions: int) -> list[str]:
    """How torch marks the weights of each layer and direction, in the order of its `h_n`."""
    return [f"_l{layer}{mark}" for layer in range(layers) for mark in ("", "_reverse")[:directions]]


def suffixes_of(module: nn.Module) -> list[str]:
    """Those of a module; the weights of a cell have no mark."""
    if not isinstance(module, nn.RNNBase):
        return [""]
    return suffixes(module.num_layers, 2 if module.bidirectional else 1)


def effective(module: nn.Module) -> dict[str, Tensor]:
    """The weights that the module's forward pass uses at inference, under the names that torch has for them.

    Raises:
        ValueError: one is missing, or nothing says how it is computed, or it is not floating.
    """
    left_out = set() if module.bias else {"bias_ih", "bias_hh"}
    left_out |= set() if getattr(module, "proj_size", 0) else {"weight_hr"}
    names = [name for name in NAMES if name not in left_out]
    names = [name + suffix for suffix in suffixes_of(module) for name in names]
    with inference(module):
        return {name: _weight(module, name) for name in names}


def _weight(module: nn.Module, name: str) -> Tensor:
    hooks = [hook for hook in module._forward_pre_hooks.values() if _of(hook) == name]
    own = module._parameters.get(name)
    raw = module._parameters.get(f"{name}_raw")
    tensor: Any
    if hooks:
        tensor = _computed(module, hooks[-1])
    elif own is not None or parametrize.is_parametrized(module, name):
        tensor = getattr(module, name)
    else:
        tensor = raw
    if tensor is None:
        others = sorted(key for key in module._parameters if key.startswith(name)) or ["no parameter of that name"]
        wanted = f"one whose {name} is a parameter, parametrised, normed or pruned by torch.nn.utils, or {name}_raw"
        raise fail("module", wanted, ", ".join(others))
    if type(tensor.data) is not Tensor or not tensor.is_floating_point() or tensor.is_meta or tensor.is_sparse:
        kind = f"{type(tensor.data).__name__} of {str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"
        raise fail("module", f"one whose {name} is a dense tensor of floating numbers, as before quantisation", kind)
    return tensor.detach()


def _of(hook: Any) -> str | None:
    """The weight that a hook of torch computes."""
    if isinstance(hook, WeightNorm | SpectralNorm):
        return hook.name
    return hook._tensor_name if isinstance(hook, BasePruningMethod) else None


def _computed(module: nn.Module, hook: Any) -> Tensor:
    if isinstance(hook, SpectralNorm):
        return hook.compute_weight(module, do_power_iteration=False)
    return hook.compute_weight(module) if isinstance(hook, WeightNorm) else hook.apply_mask(module)
