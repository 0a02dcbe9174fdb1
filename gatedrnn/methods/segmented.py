"""Segment by segment: the method whose passes stand in `_engine`, and the door to it.

end, hs = in_scans(loops, K, clip, cell, params, sequence)        loops: the two of a segment, as `lax.scan`s
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import LARGEST, check_number, check_size, fail
from gatedrnn._contract import CURE, check_laws, closes_over
from gatedrnn._device import platform
from gatedrnn._forms import Carry
from gatedrnn._jax import is_static
from gatedrnn._method import Method
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence as Steps
from gatedrnn.methods._engine import segmented
from gatedrnn.methods._length import default_length
from gatedrnn.methods._loops import Scans
from gatedrnn.methods._way import ASKED, Way


@jax.tree_util.register_static
@dataclass(frozen=True)
class Segmented:
    """Segment by segment, for cells in three-function form: the gradient of the default, `Auto`.

    Reverse mode is its own; forward mode is that of a plain scan, and higher derivatives are those of what it computes.
    For the gradient the outputs are kept, and on a CPU the rest of the carry is computed again, segment by segment; on
    other backends, where that would start kernels at every step, the whole carry is kept.

    Attributes:
        length: steps per segment, K. By default, on CPU as many as keep a segment's arrays (about `6 G` of [K, B, H])
            within 512 KiB, a core's own cache, but between 25 and 200; where a device has several cores, which share
            larger products, up to 100 within 8 MiB. On other backends up to 256 within 1 GiB, and at least 16. Then the
            nearest divisor of T, if one lies within a factor of 2; else of T - 1, likewise.
        clip: the cotangent of every number of the carry is kept within -clip and clip from step to step (Graves 2013);
            None for the gradient itself. Values are as ever.

    Raises:
        ValueError: `length` is not a whole number of at least 1, or `clip` no number above 0; the cell has `step`
            alone, a `recur` that is not affine, a `pointwise` that is not elementwise, a carry whose parts differ in
            dtype, or a function that reads a value of a transformation around it which is none of the weights.
    """

    length: int | None = None
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.clip is not None:
            object.__setattr__(self, "clip", check_number("clip", self.clip, above=0.0))
        if self.length is not None:
            object.__setattr__(self, "length", check_size("length", self.length, most=LARGEST))

    def __call__(self, cell: Cell, params: Any, sequence: Steps, outputs: Outputs) -> tuple[Carry, Any]:
        if cell.network is not None:
            return cell.network(self, params, sequence, outputs)
        check_factored(self, cell, params, sequence)
        end, hs = in_scans(scans(), self.length, self.clip, cell, params, sequence)
        return end, outputs.of(sequence, hs)

    def way(self, cell: Cell, params: Any, sequence: Steps) -> Way:
        """How it runs a single cell; of arrays only shapes and dtypes matter."""
        check_factored(self, cell, params, sequence)
        length = default_length(sequence.xs.shape[0], sequence.carry.h.size, len(cell.gates))
        return Way("segments", "segments", self.length or length, ASKED)


def scans(fits: bool = True) -> Scans:
    """For the device: a CPU computes what the carry has beside h again; others start kernels at every step of that.

    So they save it, where it `fits`.
    """
    return Scans(saves=fits and platform() != "cpu")


def in_scans(
    loops: Scans, length: int | None, clip: float | None, cell: Cell, params: Any, sequence: Steps
) -> tuple[Carry, Array]:
    """The last carry and the outputs [T, B, H], at masked steps the h that is held."""
    loops.check(cell)
    xs, carry, initial = sequence.xs, sequence.carry, sequence.initial
    mask, reset = sequence.mask, sequence.reset
    length = length or default_length(xs.shape[0], carry.h.size, len(cell.gates))
    params = params._replace(initial=())  # a method is given the carry itself
    run = functools.partial(segmented, cell, loops, length, sequence.reverse, clip)
    if not (is_static(xs.shape[1]) and xs.shape[1] == 1):
        return run(params, xs, carry, initial, mask, reset)
    # One sequence runs without its batch axis: before a product XLA copies [1, H] into another layout, but not [H].
    xs, mask, reset = jax.tree.map(lambda a: jnp.squeeze(a, 1), (xs, mask, reset))
    carry, initial = jax.tree.map(lambda a: jnp.squeeze(a, 0), (carry, initial))
    end, hs = run(params, xs, carry, initial, mask, reset)
    return jax.tree.map(lambda a: a[None], end), hs[:, None]


def check_factored(method: Method, cell: Cell, params: Any, sequence: Steps) -> None:
    """Raises ValueError where the cell is none that this engine runs."""
    if not cell.factored:
        raise ValueError(
            f"`method` must be Autodiff() for the cell {cell.name!r}, which has `step` alone; got {method!r}, which "
            "needs `project`, `recur` and `pointwise`."
        )
    if len({part.dtype for part in sequence.carry}) > 1:
        dtypes = [part.dtype.name for part in sequence.carry]
        raise fail("method", f"Autodiff() for a carry of several dtypes ({', '.join(dtypes)})", repr(method))
    if closes_over(cell, params, sequence.xs):
        got = f"{cell.name!r}, a function of which does"
        raise fail("cell", f"one that reads no value of a transformation around it but `params`; {CURE}", got)
    check_laws(cell, params, sequence.xs)
