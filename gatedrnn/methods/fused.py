"""`Segmented` with kernels for loops: a segment's steps run in one kernel, which keeps U beside the processor.

A `lax.scan` on a GPU or a TPU starts several kernels at every step and reads U anew. Here one Pallas kernel per segment
runs all of its steps, forward, and another one backward, made of the cell's own `pointwise` and of the Jacobian's
blocks, as `Segmented` is: no kernel is written for a cell, and no derivative by hand. Everything else is `Segmented`'s.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax

from gatedrnn._cell import Cell
from gatedrnn._check import LARGEST, check_flag, check_number, check_size, fail, shown
from gatedrnn._device import platform
from gatedrnn._forms import Carry
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence
from gatedrnn.methods._engine import segmented
from gatedrnn.methods._length import default_length
from gatedrnn.methods._way import Way
from gatedrnn.methods.segmented import Segmented, check_factored

if TYPE_CHECKING:  # Pallas takes its time to load
    from gatedrnn.methods.kernels._loops import Kernels

PLATFORMS = ("cuda", "tpu")
NO_CPU = "there is no kernel for the CPU"


@jax.tree_util.register_static
@dataclass(frozen=True)
class Fused:
    """For TPUs and NVIDIA's GPUs: `Segmented`, whose loops over a segment are one kernel each, forward and backward.

    For cells in three-function form, of float32 or bfloat16 with carries of float32, and any T, B and H for which the
    recurrent weights fit beside the processor; `gr.explain` says where they do not. There, and on a CPU, it is
    `Segmented` itself. With bfloat16 weights both products of a step, with U and with U^T, take operands of bfloat16
    and sum in float32. Every part of the carry is kept for the backward pass, [T, B, H] each, where `Segmented` on a
    CPU keeps the outputs alone and computes the others again; `Checkpointed(method=Fused())` keeps neither.

    Over several devices use `Sharded(mesh, method=Fused())`: a compiler cannot split a kernel.

    Attributes:
        length: steps per segment, K; by default as in `Segmented`.
        clip: as in `Segmented`.
        interpret: run the kernels in Pallas's interpreter, on any device: slow, to see that they are right.
        platform: "cuda" or "tpu", for which the kernels are made where it is not the default device's, as for
            `jax.export`; a GPU that is not at hand is one with 227 KiB of shared memory (compute capability 9.0).

    Raises:
        ValueError: `length` is not a whole number of at least 1, `clip` no number above 0, `interpret` no flag, or
            `platform` another one; what `Segmented` raises for a cell.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.lstm.init(jax.random.key(0), 8, 16)
        >>> xs = jax.ShapeDtypeStruct((100, 4, 8), "float32")
        >>> print(gr.explain(gr.lstm, params, xs, method=gr.Fused(interpret=True))[0])
        lstm (B = 4, D = 8, H = 16, T = 100): forward kernel, gradient kernel, K = 100; the kernels fit

    References:
        Appleyard, Kocisky, Blunsom, "Optimizing performance of recurrent neural networks on GPUs", 2016,
        https://arxiv.org/abs/1604.01946; Poeppel, Beck, Hochreiter, "FlashRNN: I/O-aware optimization of traditional
        RNNs on modern hardware", 2024, https://arxiv.org/abs/2412.07752.
    """

    length: int | None = None
    clip: float | None = None
    interpret: bool = False
    platform: str | None = None

    def __post_init__(self) -> None:
        if self.clip is not None:
            object.__setattr__(self, "clip", check_number("clip", self.clip, above=0.0))
        if self.length is not None:
            object.__setattr__(self, "length", check_size("length", self.length, most=LARGEST))
        object.__setattr__(self, "interpret", check_flag("interpret", self.interpret))
        if self.platform not in (None, *PLATFORMS):
            raise fail("platform", f"None or one of {PLATFORMS}", shown(self.platform))

    def __call__(self, cell: Cell, params: Any, sequence: Sequence, outputs: Outputs) -> tuple[Carry, Any]:
        if cell.network is not None:
            return cell.network(self, params, sequence, outputs)
        check_factored(self, cell, params, sequence)
        kernels, _ = self._chosen(cell, params, sequence.carry, sequence.xs)
        if kernels is None:
            return Segmented(self.length, self.clip)(cell, params, sequence, outputs)
        xs, carry = sequence.xs, sequence.carry
        end, hs = segmented(
            *(cell, kernels, min(self._length(cell, sequence), xs.shape[0]), sequence.reverse, self.clip),
            *(params._replace(initial=()), xs, carry, sequence.initial, sequence.mask, sequence.reset),
        )
        return end, outputs.of(sequence, hs)

    def way(self, cell: Cell, params: Any, sequence: Sequence) -> Way:
        """How it runs a single cell; of arrays only shapes and dtypes matter."""
        check_factored(self, cell, params, sequence)
        kernels, why = self._chosen(cell, params, sequence.carry, sequence.xs)
        runs = "kernel" if kernels else "segments"
        return Way(runs, runs, self._length(cell, sequence), why)

    def _length(self, cell: Cell, sequence: Sequence) -> int:
        sizes = (sequence.xs.shape[0], sequence.carry.h.size, len(cell.gates))
        return self.length or default_length(*sizes, self.platform)

    def _chosen(self, cell: Cell, params: Any, carry: Carry, xs: Any) -> tuple["Kernels | None", str]:
        """The first kernels that run the cell, and why none before them does; or None, and why none does."""
        there = self.platform or platform()
        if there == "cpu" and not self.interpret:
            return None, NO_CPU
        try:
            from gatedrnn.methods.kernels._choice import first_that_fits
        except ImportError as error:
            return None, f"jax {jax.__version__} has no Pallas ({error})"
        return first_that_fits(there, self.interpret, cell, params, carry, xs)
