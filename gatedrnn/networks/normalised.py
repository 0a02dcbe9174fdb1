"""A cell whose gates' halves are normalised: recurrent layer norm, or RMS norm.

gates = norm_x(x W) + norm_h(h U) + b        over all G * H numbers of a row, each norm with weights of its own

What the cell makes of its gates stays. The input's half needs no state: it is normalised for all steps at once.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import fail, shown
from gatedrnn._forms import Carry, Gates, Of, Params, serialisable
from gatedrnn._method import Method
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence
from gatedrnn.linear import split
from gatedrnn.networks._layers import as_cell, check_layer, method_for
from gatedrnn.networks.norms import NORMS, Norm, layer_norm


@serialisable
class NormalisedParams(NamedTuple):
    """The weights of a cell with normalised gates.

    Attributes:
        cell: the cell's own.
        input: of the norm of x W, [G * H] each.
        recurrent: of the norm of h U, [G * H] each.
    """

    cell: Params
    input: Any
    recurrent: Any


@jax.tree_util.register_static
@dataclass(frozen=True)
class Normalisation:
    """How it is run: the inputs' half first, of all steps at once, then a loop by JAX's own rules."""

    cell: Cell
    norm: Norm

    causal = True

    def init(
        self, key: Array, input_size: int, hidden_size: int, *, dtype: DTypeLike = jnp.float32, **options: Any
    ) -> NormalisedParams:
        """Draws the cell's weights by its own `init`; the norms begin as 1, and shifts as 0."""
        params = self.cell.draw(key, input_size, hidden_size, dtype, **options)
        x = jax.ShapeDtypeStruct((input_size,), dtype)
        width = sum(gate.shape[-1] for gate in jax.eval_shape(self.cell.project, params.input, x))
        return NormalisedParams(params, *(self.norm.init(width, dtype) for _ in range(2)))

    def options_of(self, params: NormalisedParams) -> dict[str, Any]:
        """What the cell's own weights show."""
        return self.cell.options_of(params.cell)

    def initial_carry(self, params: NormalisedParams, batch_size: int | None = None) -> Carry:
        """The cell's own."""
        return self.cell.initial_carry(params.cell, batch_size)

    def step(self, params: NormalisedParams, carry: Carry, x: Array) -> tuple[Carry, Array]:
        """x [B, D] -> the carry after it, y [B, H]."""
        return self.gated(params, carry, self._inputs(params, x))

    def gated(self, params: NormalisedParams, carry: Carry, gates_x: Array) -> tuple[Carry, Array]:
        """The step of normalised inputs, [B, G * H]."""
        recur = lambda h: self.cell.recur(params.cell.recurrent, h)
        gates_h = self._normalised(params.recurrent, recur(carry.h), recur(jnp.zeros_like(carry.h)))
        count = gates_x.shape[-1] // carry.h.shape[-1]
        halves = split(gates_x, count), split(gates_h, count)
        after = self.cell.pointwise(*halves, carry, *params.cell.spread(carry.h))
        return after, after.h

    def __call__(
        self, method: Method, params: NormalisedParams, sequence: Sequence, outputs: Outputs
    ) -> tuple[Carry, Any]:
        """By the method, or a plain scan in the place of `Segmented`."""
        gates_x = self._inputs(params, sequence.xs)
        init, first, step = (Of(self, name) for name in ("init", "initial_carry", "gated"))
        inner: Cell = Cell(f"gated {self.cell.name}", (), init, first, step=step)
        return method_for(inner, method)(inner, params, replace(sequence, xs=gates_x), outputs)

    def _inputs(self, params: NormalisedParams, x: Array) -> Array:
        """norm_x(x W) + b, [..., G * H]."""
        project = lambda x: self.cell.project(params.cell.input, x)
        return self._normalised(params.input, project(x), project(jnp.zeros_like(x)))

    def _normalised(self, weights: Any, gates: Gates, bias: Gates) -> Array:
        """The norm of what stands above the bias, and the bias."""
        apart = jnp.concatenate(gates, axis=-1), jnp.concatenate(bias, axis=-1)
        return self.norm.apply(weights, apart[0] - apart[1]) + apart[1]


def normalised(cell: Cell, norm: Norm = layer_norm) -> Cell:
    """The cell with its gates' halves normalised, each before they meet.

    It has `step` and a hoisted input, and runs by JAX's own differentiation. The bias is added after the norms, so that
    `forget_bias` and `chrono` mean what they do without. (The LSTM of Ba et al. also normalises c on its way out.)

    Args:
        cell: in three-function form, with `project` affine in x.
        norm: `gr.networks.layer_norm` or `gr.networks.rms_norm`.

    Raises:
        ValueError: `cell` is not in three-function form, is a network or has noise, or `norm` is no norm.

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
    if not cell.bare:
        raise fail("cell", "in three-function form, without noise, `damp` or `extra` of its own", repr(cell))
    if not isinstance(norm, Norm):
        raise fail("norm", f"one of gatedrnn.networks.{', '.join(NORMS)}", shown(norm))
    words = [cell.name] + [f"norm={norm.name}"] * (norm is not layer_norm)
    return as_cell(Normalisation(cell, norm), f"normalised({', '.join(words)})", cell.horizon_option, False)
