"""The default: of the ways that compute the same, the one that fits the cell, its sizes and the device.

Shapes and the machine decide, nothing is tried: equal calls are run alike. `gr.explain` says what was chosen, and why.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from gatedrnn._cell import Cell
from gatedrnn._check import check_number
from gatedrnn._contract import closes_over
from gatedrnn._device import platform
from gatedrnn._forms import Carry, Params
from gatedrnn._jax import is_static
from gatedrnn._memory import device_bytes, readable
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence
from gatedrnn.methods._length import default_length
from gatedrnn.methods._loops import Scans
from gatedrnn.methods._way import ALONE, Way
from gatedrnn.methods.autodiff import Autodiff
from gatedrnn.methods.segmented import check_factored, in_scans, scans

ROWS, STEPS = 64, 64  # from here on many, and up to here few
UNITS, FEWER = 128, 32  # from here on wide; below here so narrow that to compute again costs less than to keep
LONGER = 1_000  # steps, beyond which it costs less, too
NUMBERS = 256  # B * H, from which on a step's own product of few inputs is no slower than a segment's
FEWEST = 4  # steps of one row, which take no longer than to begin a second loop
MORE = 512  # and on the way forward of a derivative
WIDTH, MOST, WORK = 64, 512, 2**28  # D, H and B D H T of large products, which gain more than a loop costs to compile
WHOLE = 2**22  # bytes of the inputs' product of all steps, that stay near while a loop reads them
LAID = 16  # steps, beyond which it pays to lay U^T out
SHARE = 4  # of the memory of a GPU or TPU, that what is saved beside h may take: a quarter
KEPT = 2**25  # bytes; the allocator hands larger arrays out page by page, which costs what is saved

MIXED = "the parts of the carry differ in dtype"
AROUND = "a function of the cell reads a value of a transformation around it, which is none of the weights"
OTHER = "all that need not wait for the carry is one product per segment"
SINGLE = "D = 1 and several gates, and in a step XLA would make the inputs' product part of them, unvectorised"
SHORT = f"B >= {ROWS} rows keep every step's products busy, and T <= {STEPS} steps are few to keep"
HELD = f"H >= {UNITS} and T <= {LONGER:,}, or T <= {STEPS}, and what the gradient reads is kept, not computed again"
NARROW = f"D < H and B H >= {NUMBERS}, and to hoist the inputs' product gains less than it costs"
LARGE = f"D >= {WIDTH}, {UNITS} <= H < {MOST}, B D H T >= 2^28 and several gates: the inputs' product is hoisted"
BRIEF = f"D < H, B = 1 and T <= {FEWEST}, and a second loop takes longer than these steps"
WIDE = f"D >= H or B H < {NUMBERS}, and the inputs' product is hoisted"
ONCE = f"D = 1 or one gate, and it takes at most {WHOLE >> 20} MiB: of all steps at once, where all is kept or nothing"
LONG = f"B > 1 and T > {LAID}, and U^T is laid out before the reverse loop"
FEW = f"B = 1 or T <= {LAID}, and the reverse loop reads U as it is"


@jax.tree_util.register_static
@dataclass(frozen=True)
class Auto:
    """What `unroll` does where no method is given.

    A cell with `step` alone, with a carry of several dtypes, or with a function that reads a value of a transformation
    around it which is none of the weights, is run by `Autodiff`; any other as by `Segmented`, with its gradient. On a
    CPU sizes decide further:

    - B >= 64, T <= 64 and H >= 64, but for several gates at D = 1: `Autodiff`.
    - D < H, and B * H >= 256 or B = 1 and T <= 4: one `lax.scan` of the step runs in the place of segments where no
      derivative is asked for; at B * H >= 512 also on the way forward where one is, if the carry is h alone, or kept.
    - Several gates at D = 1, or at D >= 64 and 128 <= H < 512 where a gate of the inputs takes B * D * H * T >= 2^28
      products: segments forward all the same, which hoist them.
    - One gate or D = 1, and at most 4 MiB of an inputs' product that is hoisted: it is made of all steps at once; where
      a derivative is asked for, only if the carry is h alone, or kept.
    - B = 1 or T <= 16: the reverse loop reads U as it is, and does not lay U^T out first.
    - H >= 128 and T <= 1,000, or H >= 32 and T <= 64: gates and carry are kept for the gradient and not computed again,
      where they take at most 32 MiB.

    On a GPU or TPU the whole carry is saved for the gradient, unless what it has beside h takes more than a quarter of
    the device's memory. A network's cells are each run their own way.

    Attributes:
        clip: as in `Segmented`.

    Raises:
        ValueError: `clip` is no number above 0; of a cell in three-function form, as `Segmented`.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.lstm.init(jax.random.key(0), 8, 16)
        >>> xs = jax.numpy.ones((1000, 4, 8))
        >>> carry, ys = gr.unroll(gr.lstm, params, xs)
        >>> gr.explain(gr.lstm, params, xs)[0].gradient
        'segments'
    """

    clip: float | None = None

    def __post_init__(self) -> None:
        if self.clip is not None:
            object.__setattr__(self, "clip", check_number("clip", self.clip, above=0.0))

    def __call__(self, cell: Cell, params: Any, sequence: Sequence, outputs: Outputs) -> tuple[Carry, Any]:
        if cell.network is not None:
            return cell.network(self, params, sequence, outputs)
        chosen = self._checked(cell, params, sequence)
        if chosen.loops is None:
            return Autodiff(clip=self.clip)(cell, params, sequence, outputs)
        end, hs = in_scans(chosen.loops, chosen.length, self.clip, cell, params, sequence)
        return end, outputs.of(sequence, hs)

    def way(self, cell: Cell, params: Any, sequence: Sequence) -> Way:
        """How it runs a single cell; of arrays only shapes and dtypes matter."""
        chosen = self._checked(cell, params, sequence)
        if chosen.loops is None:
            return Way("scan", "scan", None, chosen.why)
        return Way("scan" if chosen.loops.plain else "segments", "segments", chosen.length, chosen.why)

    def _checked(self, cell: Cell, params: Any, sequence: Sequence) -> "_Chosen":
        alone = _alone(cell, params, sequence)
        if alone:
            return _Chosen(None, 0, alone)
        check_factored(self, cell, params, sequence)  # at all sizes alike
        return _chosen(cell, sequence)


class _Chosen(NamedTuple):
    """None for a plain scan, differentiated by JAX; else the loops of segments of `length` steps."""

    loops: Scans | None
    length: int
    why: str


def _alone(cell: Cell, params: Params, sequence: Sequence) -> str:
    """Why no segments are made of the cell; "" where they are."""
    if not cell.factored:
        return ALONE
    if len({part.dtype for part in sequence.carry}) > 1:
        return MIXED
    return AROUND if closes_over(cell, params, sequence.xs) else ""


def _chosen(cell: Cell, sequence: Sequence) -> _Chosen:
    """A rule for what was measured, at sizes drawn at random, of cells that segments are made of."""
    xs, carry = sequence.xs, sequence.carry
    length = default_length(xs.shape[0], carry.h.size, len(cell.gates))
    if platform() != "cpu" or not all(map(is_static, xs.shape)):
        lacks = _lacks(carry, xs.shape[0])
        return _Chosen(scans(fits=not lacks), length, f"{OTHER}{lacks}")
    steps, batch, width = xs.shape
    units = carry.h.shape[-1]
    single = width == 1 and len(cell.gates) > 1
    if batch >= ROWS and steps <= STEPS and units >= UNITS // 2 and not single:
        return _Chosen(None, 0, SHORT)
    large = len(cell.gates) > 1 and width >= WIDTH and UNITS <= units < MOST and carry.h.size * width * steps >= WORK
    narrow = width < units and carry.h.size >= NUMBERS
    brief = width < units and batch == 1 and steps <= FEWEST
    plain = (narrow or brief) and not (single or large)
    laid_out, keeps = batch > 1 and steps > LAID, _keeps(cell, carry, steps)
    product = steps * carry.h.size * carry.h.dtype.itemsize * len(cell.gates)
    once = carry.h.size >= MORE if plain else product <= WHOLE and (single or len(cell.gates) == 1)
    why = [
        (NARROW if narrow else BRIEF) if plain else SINGLE if single else LARGE if narrow else WIDE,
        *([ONCE] if once and not plain and steps > length else []),
        LONG if laid_out else FEW,
        *([HELD] if keeps else []),
    ]
    return _Chosen(Scans(plain, laid_out, keeps, once=once), length, "; ".join(why))


def _lacks(carry: Carry, steps: Any) -> str:
    """Why not every part of the carry is saved beyond CPUs, where it would take too much of the device's memory."""
    beside = sum(part.size * part.dtype.itemsize for part in carry[1:]) * steps
    if platform() == "cpu" or not is_static(beside) or beside <= device_bytes() // SHARE:
        return ""
    taken = f"{readable(beside)} of the device's {readable(device_bytes())}"
    return f"; what the carry has beside h is computed again, since to save it takes {taken}"


def _keeps(cell: Cell, carry: Carry, steps: int) -> bool:
    """Whether gates and carry are kept for the gradient."""
    units = carry.h.shape[-1]
    stored = steps * carry.h.size * carry.h.dtype.itemsize * (len(cell.gates) + len(carry))
    gains = (units >= UNITS and steps <= LONGER) or (units >= FEWER and steps <= STEPS)
    return cell.norm is None and gains and stored <= KEPT
