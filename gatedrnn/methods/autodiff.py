"""One `lax.scan` of the cell's step, differentiated by JAX: the reference that every other method must equal."""

from dataclasses import dataclass
from typing import Any

import jax

from gatedrnn._cell import Cell
from gatedrnn._check import LARGEST, check_number, check_size
from gatedrnn._forms import Carry
from gatedrnn._jax import scan
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence
from gatedrnn._step import guarded_step


@jax.tree_util.register_static
@dataclass(frozen=True)
class Autodiff:
    """Plain `lax.scan`, for any cell, those made by `Cell.from_step` too.

    Its backward pass stores every intermediate value of every step and sums the weight gradients step by step.

    Attributes:
        unroll: steps per loop iteration, as in `lax.scan`.
        clip: as in `Segmented`.

    Raises:
        ValueError: `unroll` is not a whole number of at least 1, or `clip` no number above 0.
    """

    unroll: int = 1
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.clip is not None:
            object.__setattr__(self, "clip", check_number("clip", self.clip, above=0.0))
        object.__setattr__(self, "unroll", check_size("unroll", self.unroll, most=LARGEST))

    def __call__(self, cell: Cell, params: Any, sequence: Sequence, outputs: Outputs) -> tuple[Carry, Any]:
        step = guarded_step(cell, params, sequence.initial, self.clip)
        inputs = (sequence.xs, sequence.mask, sequence.reset)
        end, ys = scan(step, sequence.carry, inputs, reverse=sequence.reverse, unroll=self.unroll)
        return end, outputs.of(sequence, ys)
