"""Memory for time: of each segment only the carry at its start is kept; backward, the segment is run again.

T = n L steps: n carries and the residuals of L steps are held at once; L near sqrt(T) makes both small.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Carry, Cell
from gatedrnn._check import check_size
from gatedrnn._readout import Outputs, Readout, collected
from gatedrnn._segments import nearest_divisor, over_segments
from gatedrnn._sequence import Sequence
from gatedrnn.methods.autodiff import Autodiff
from gatedrnn.methods.segmented import Segmented


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
    method: "Autodiff | Segmented | Checkpointed" = Segmented()

    def __post_init__(self) -> None:
        if self.length is not None:
            check_size("length", self.length)

    @classmethod
    def in_segments(cls, count: int, steps: int, method: "Autodiff | Segmented | Checkpointed" = Segmented()) -> Self:
        """The method that keeps about `count` carries of a sequence of `steps`."""
        return cls(-(-check_size("steps", steps) // check_size("count", count)), method)

    @classmethod
    def nested(cls, steps: int, method: "Autodiff | Segmented" = Segmented()) -> Self:
        """Two levels for a sequence of `steps`: about T^(1/3) segments of as many segments.

        It pays where T and B * H are large; 16 sequences of 128 units take less so at T = 1,000,000, not at 100,000.
        """
        third = max(round(check_size("steps", steps) ** (1 / 3)), 16)
        inner = nearest_divisor(steps, third)
        outer = inner * nearest_divisor(max(steps // inner, 1), third)
        return cls(outer, Checkpointed(inner, method))

    def __call__(self, cell: Cell, params: Any, sequence: Sequence, reverse: bool) -> tuple[Carry, Array]:
        return self.collect(cell, params, sequence, None, reverse, "all")

    def collect(
        self,
        cell: Cell,
        params: Any,
        sequence: Sequence,
        poisoned: Array | None,
        reverse: bool,
        outputs: Outputs,
    ) -> tuple[Carry, Any]:
        """The last carry and what `collected` makes of the outputs, segment by segment.

        `poisoned [T, B]` marks outputs that must be NaN.
        """
        xs, carry, initial, mask, reset = sequence
        targets, weights = (outputs.targets, outputs.params) if isinstance(outputs, Readout) else (None, None)
        inner = self.method
        alone = xs.shape[1] == 1  # XLA lays that axis out elsewhere in the loop than here, and copies the whole of `xs`

        @jax.checkpoint
        def run(params: Any, weights: Any, start: Carry, initial: Carry, inputs: Any) -> tuple[Carry, Any]:
            x, mask, reset, poisoned, targets = jax.tree.map(lambda a: a[:, None], inputs) if alone else inputs
            piece = Sequence(x, start, initial, mask, reset)
            if isinstance(inner, Checkpointed):
                part = Readout(outputs.function, weights, targets) if isinstance(outputs, Readout) else outputs
                return inner.collect(cell, params, piece, poisoned, reverse, part)
            end, ys = inner(cell, params, piece, reverse)
            return end, collected(outputs, weights, ys, targets, mask, poisoned, reverse)

        def segment(state: tuple[Carry, Any], inputs: Any, _: None) -> tuple[Any, Any, None]:
            start, before = state
            end, found = run(params, weights, start, initial, inputs)
            if isinstance(outputs, Readout):
                return (end, jax.tree.map(jnp.add, before, found)), None, None
            return ((end, found), None, None) if outputs == "last" else ((end, None), found, None)

        inputs = (xs, mask, reset, poisoned, targets)
        if alone:
            inputs = jax.tree.map(lambda a: jnp.squeeze(a, 1), inputs)
        empty = None
        if outputs != "all":  # what no step gives: zeros
            none = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), inputs)
            found = jax.eval_shape(run, params, weights, carry, initial, none)[1]
            empty = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), found)
        length = self.length or nearest_divisor(xs.shape[0], max(math.isqrt(xs.shape[0]), 64))
        (end, total), ys, _ = over_segments(segment, (carry, empty), inputs, (None, None), length, reverse)
        return end, ys if outputs == "all" else total
