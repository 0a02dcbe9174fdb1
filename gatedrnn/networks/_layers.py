"""What networks share: a layer's method, and its outputs as they come."""

from dataclasses import dataclass, is_dataclass, replace
from typing import Any

import jax
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import fail, shown
from gatedrnn._forms import Of
from gatedrnn._method import Method
from gatedrnn._outputs import All
from gatedrnn._sequence import Sequence
from gatedrnn.methods.autodiff import Autodiff
from gatedrnn.methods.fused import Fused
from gatedrnn.methods.segmented import Segmented

PROBED = 64  # units of the weights by whose shapes a cell is looked at, which many heads divide


@jax.tree_util.register_static
@dataclass(frozen=True)
class Between(All):
    """The outputs of a layer for the next one, [T, B, H]: what stands at masked steps is never read."""

    def of(self, sequence: Sequence, ys: Array) -> Array:
        return ys


def method_for(cell: Cell, method: Method) -> Method:
    """The method, with a plain scan in the place of `Segmented` or `Fused` for a layer that has `step` alone."""
    if cell.in_segments:
        return method
    if isinstance(method, Segmented | Fused):
        return Autodiff(clip=method.clip)
    inner = getattr(method, "method", None)
    if inner is None or not is_dataclass(method) or isinstance(method, type):
        return method
    changed: Any = replace(method, method=method_for(cell, inner))
    return changed


def as_cell(run: Any, name: str, horizon_option: str, noisy: bool) -> Cell:
    """A network as a cell; with `noisy`, one that has noise where it is trained."""
    init, first, step, options = (Of(run, method) for method in ("init", "initial_carry", "step", "options_of"))
    training = as_cell(replace(run, noisy=True), name, "", False) if noisy else None
    found: Cell = Cell(name, (), init, first, step=step, horizon_option=horizon_option, network=run, options_of=options)
    return found if training is None else replace(found, training=training)


def check_layer(argument: str, cell: Any) -> Cell:
    """Returns the cell, or raises ValueError where it is none."""
    if not isinstance(cell, Cell):
        raise fail(argument, "a gatedrnn.Cell, such as gatedrnn.lstm", shown(cell))
    return cell


def width_of(cell: Cell, params: Any, width: int) -> int:
    """The width of the outputs that a cell gives for inputs of a width; `params` may be shapes."""

    def out(params: Any) -> Array:
        carry = cell.initial_carry(params, 1)
        x = jax.numpy.zeros((1, width), jax.tree.leaves(carry)[0].dtype)
        return cell.step(params, carry, x)[1]

    return jax.eval_shape(out, params).shape[-1]
