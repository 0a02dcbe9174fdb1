"""One `lax.scan` of the cell's step, differentiated by JAX: the reference that every other method must equal."""

from dataclasses import dataclass
from typing import Any

import jax
from jax import Array, lax

from gatedrnn._cell import Carry, Cell
from gatedrnn._sequence import Sequence
from gatedrnn._step import guarded_step


@jax.tree_util.register_static
@dataclass(frozen=True)
class Autodiff:
    """Plain `lax.scan`; supports forward mode, second derivatives and cells made by `Cell.from_step`.

    Its backward pass stores every intermediate value of every step and sums the weight gradients step by step.

    Attributes:
        unroll: steps per loop iteration, as in `lax.scan`.
    """

    unroll: int = 1

    def __call__(self, cell: Cell, params: Any, sequence: Sequence, reverse: bool) -> tuple[Carry, Array]:
        xs, carry, initial, mask, reset = sequence
        step = guarded_step(cell, params, initial)
        return lax.scan(step, carry, (xs, mask, reset), reverse=reverse, unroll=self.unroll)
