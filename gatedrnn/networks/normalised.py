"""A cell whose gates' halves are normalised: recurrent layer norm, or RMS norm.

gates = norm_x(x W) + norm_h(h U) + b        over all G * H numbers of a row, each norm with weights of its own

What the cell makes of its gates stays, and so do its three functions: the input's half is normalised where it is
projected, for whole segments, the state's by `Cell.norm`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import fail, shown
from gatedrnn._forms import Carry, Gates, Params, serialisable
from gatedrnn.linear import split
from gatedrnn.networks._layers import check_layer
from gatedrnn.networks.norms import NORMS, Norm, layer_norm


@serialisable
class NormalisedInput(NamedTuple):
    """What a normalised cell projects its inputs with.

    Attributes:
        cell: the cell's own `params.input`.
        norm: of the norm of x W, [G * H] each.
    """

    cell: Any
    norm: Any


@dataclass(frozen=True)
class _Init:
    """The cell's own weights; the norms begin as 1, and shifts as 0."""

    cell: Cell
    norm: Norm

    def __call__(
        self, key: Array, input_size: int, hidden_size: int, *, dtype: DTypeLike = jnp.float32, **options: Any
    ) -> Params:
        params = self.cell.draw(key, input_size, hidden_size, dtype, **options)
        x = jax.ShapeDtypeStruct((input_size,), dtype)
        width = sum(gate.shape[-1] for gate in jax.eval_shape(self.cell.project, params.input, x))
        first, second = (self.norm.init(width, dtype) for _ in range(2))
        return params._replace(input=NormalisedInput(params.input, first), norm=second)


@dataclass(frozen=True)
class _Own:
    """A function of the cell's own weights."""

    function: Callable[..., Any]

    def __call__(self, params: Params, *arguments: Any) -> Any:
        return self.function(params._replace(input=params.input.cell), *arguments)


@dataclass(frozen=True)
class _Project:
    """norm_x(x W) + b of a row x [D]: G arrays [H]."""

    project: Callable[[Any, Array], Gates]
    norm: Norm

    def __call__(self, weights: NormalisedInput, x: Array) -> Gates:
        bias = self.project(weights.cell, jnp.zeros_like(x))
        above = (gate - b for gate, b in zip(self.project(weights.cell, x), bias, strict=True))
        found = _Joined(self.norm)(weights.norm, tuple(above))
        return tuple(gate + b for gate, b in zip(found, bias, strict=True))


@dataclass(frozen=True)
class _Joined:
    """The norm of all gates of a row side by side: G arrays [H] -> as many."""

    norm: Norm

    def __call__(self, weights: Any, gates: Gates) -> Gates:
        return split(self.norm.apply(weights, jnp.concatenate(gates)), len(gates))


def normalised(cell: Cell, norm: Norm = layer_norm) -> Cell:
    """The cell with its gates' halves normalised, each before they meet.

    It stays in three-function form and is differentiated by `Segmented`. The bias is added after the norms, so that
    `forget_bias` and `chrono` mean what they do without. (The LSTM of Ba et al. also normalises c on its way out.)

    Args:
        cell: in three-function form, with `project` affine in x.
        norm: `gr.networks.layer_norm` or `gr.networks.rms_norm`.

    Raises:
        ValueError: `cell` is not in three-function form, is a network, has noise or a norm, or `norm` is no norm.

    Example:
        >>> import jax, gatedrnn as gr
        >>> cell = gr.normalised(gr.lstm)
        >>> params = cell.init(jax.random.key(0), 3, 8)
        >>> gr.unroll(cell, params, jax.numpy.ones((100, 4, 3)))[1].shape
        (100, 4, 8)

    References:
        Ba, Kiros, Hinton, "Layer normalization", 2016, https://arxiv.org/abs/1607.06450
    """
    cell = check_layer("cell", cell)
    if not cell.bare or cell.norm is not None:
        raise fail("cell", "in three-function form, without noise, `damp`, `extra` or `norm` of its own", repr(cell))
    if not isinstance(norm, Norm):
        raise fail("norm", f"one of gatedrnn.networks.{', '.join(NORMS)}", shown(norm))
    words = [cell.name] + [f"norm={norm.name}"] * (norm is not layer_norm)
    project: Any = cell.project
    init: Callable[..., Params] = _Init(cell, norm)
    initial: Callable[..., Carry] = _Own(cell.initial_carry)
    return replace(
        cell,
        name=f"normalised({', '.join(words)})",
        init=init,
        initial_carry=initial,
        project=_Project(project.function, norm),
        norm=_Joined(norm),
        options_of=_Own(cell.options_of),
    )
