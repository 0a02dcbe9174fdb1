"""Memory for time: of each segment only the carry at its start is kept; backward, the segment is run again.

T = n L steps: n carries and the residuals of L steps are held at once; L near sqrt(T) makes both small.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import jax
import jax.numpy as jnp

from gatedrnn._cell import Cell
from gatedrnn._check import LARGEST, check_size
from gatedrnn._forms import Carry
from gatedrnn._jax import is_static
from gatedrnn._method import Method, check_method_value
from gatedrnn._outputs import Outputs
from gatedrnn._segments import nearest_divisor
from gatedrnn._sequence import Sequence
from gatedrnn.methods._pieces import over_pieces
from gatedrnn.methods.auto import Auto


@jax.tree_util.register_static
@dataclass(frozen=True)
class Checkpointed:
    """For a loss that needs only the last output or a sum over time: `unroll(..., outputs="last")` or a `Readout`.

    The memory of the backward pass beside the inputs is O(sqrt(T)), for one more forward pass. (With `outputs="all"`
    the outputs [T, B, H] and their cotangents exist all the same.)

    Attributes:
        length: steps per segment, L; by default the divisor of T nearest to its square root (a rest is a program of its
            own), or to 64 where that is more: what shorter segments save is less than what they cost.
        method: how each segment is evaluated; a `Checkpointed` again makes it O(T^(1/3)), for a second forward pass;
            see `nested`.

    Raises:
        ValueError: `length` is not a whole number of at least 1.

    References:
        Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost", 2016,
        https://arxiv.org/abs/1604.06174; Gruslys, Munos, Danihelka, Lanctot, Graves, "Memory-efficient backpropagation
        through time", 2016, https://arxiv.org/abs/1606.03401
    """

    length: int | None = None
    method: Method = Auto()

    def __post_init__(self) -> None:
        if self.length is not None:
            object.__setattr__(self, "length", check_size("length", self.length, most=LARGEST))
        check_method_value(self.method)

    @classmethod
    def in_segments(cls, count: int, steps: int, method: Method = Auto()) -> Self:
        """The method that keeps about `count` carries of a sequence of `steps`."""
        return cls(-(-check_size("steps", steps) // check_size("count", count)), method)

    @classmethod
    def nested(cls, steps: int, method: Method = Auto()) -> Self:
        """Two levels for a sequence of `steps`: about T^(1/3) segments of as many segments.

        It pays where T and B * H are large; 16 sequences of 128 units take less so at T = 1,000,000, not at 100,000.
        """
        third = max(round(check_size("steps", steps) ** (1 / 3)), 16)
        inner = nearest_divisor(steps, third)
        outer = inner * nearest_divisor(max(steps // inner, 1), third)
        return cls(outer, Checkpointed(inner, method))

    def piece(self, steps: int, rows: int) -> tuple[int, int]:
        """T and B of what its method is given, but for the rest."""
        return min(self._length(steps), steps) if is_static(steps) else steps, rows

    def _length(self, steps: int) -> int:
        if not is_static(steps):  # a symbol of `jax.export`, which is one segment whatever it comes to be
            return self.length or 1
        return self.length or nearest_divisor(steps, max(math.isqrt(steps), 64))

    def __call__(self, cell: Cell, params: Any, sequence: Sequence, outputs: Outputs) -> tuple[Carry, Any]:
        steps = sequence.steps
        alone = sequence.xs.shape[1] == 1  # XLA lays that axis out elsewhere in the loop, and copies the whole of `xs`
        if alone:
            steps = jax.tree.map(lambda a: jnp.squeeze(a, 1), steps)

        @jax.checkpoint
        def run(params: Any, outputs: Outputs, initial: Carry, start: Carry, steps: Any) -> tuple[Carry, Any]:
            steps = jax.tree.map(lambda a: a[:, None], steps) if alone else steps
            return self.method(cell, params, replace(sequence, initial=initial).piece(steps, start), outputs)

        return over_pieces(
            lambda start, steps: run(params, outputs, sequence.initial, start, steps),
            sequence.carry,
            steps,
            outputs,
            self._length(sequence.xs.shape[0]),
            sequence.reverse,
        )
