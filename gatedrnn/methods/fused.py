"""`Segmented` with kernels for loops: a segment's steps run in one kernel, which keeps U beside the processor.

A `lax.scan` on a GPU or a TPU starts several kernels at every step and reads U anew. Here one Pallas kernel per segment
runs all of its steps, forward, and another one backward, made of the cell's own `pointwise` and of the Jacobian's
blocks, as `Segmented` is: no kernel is written for a cell, and no derivative by hand. Everything else is `Segmented`'s.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import LARGEST, check_flag, check_number, check_size, fail, shown
from gatedrnn._forms import Carry
from gatedrnn._jax import varying_alike
from gatedrnn._method import run_whole
from gatedrnn._outputs import All, Outputs
from gatedrnn._sequence import Sequence, check_sequence
from gatedrnn.methods._length import default_length
from gatedrnn.methods._way import Way
from gatedrnn.methods.autodiff import Autodiff
from gatedrnn.methods.segmented import Segmented, check_factored, segmented

if TYPE_CHECKING:  # Pallas takes its time to load
    from gatedrnn.methods.kernels._loops import Kernels

PLATFORMS = ("cuda", "tpu")
NO_CPU = "there is no kernel for the CPU"
STEP_ALONE = "the cell has `step` alone"


@jax.tree_util.register_static
@dataclass(frozen=True)
class Fused:
    """For TPUs and NVIDIA's GPUs: `Segmented`, whose loops over a segment are one kernel each, forward and backward.

    For cells in three-function form, of float32 or bfloat16 with carries of float32, and any T, B and H for which the
    recurrent weights fit beside the processor; `reason` says where they do not. There, and on a CPU, it is `Segmented`
    itself. With bfloat16 weights both products of a step, with U and with U^T, take operands of bfloat16 and sum in
    float32. Every part of the carry is kept for the backward pass, [T, B, H] each, where `Segmented` keeps the outputs
    alone and computes the others again; `Checkpointed(method=Fused())` keeps neither.

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
        >>> xs = jax.numpy.ones((100, 4, 8))
        >>> method = gr.Fused(interpret=True)
        >>> method.reason(gr.lstm, params, xs)
        ''

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
        if self._refusal(cell, params, sequence.carry, sequence.xs):
            return Segmented(self.length, self.clip)(cell, params, sequence, outputs)
        xs, carry = sequence.xs, sequence.carry
        end, hs = segmented(
            *(cell, self._kernels(), min(self._length(cell, sequence), xs.shape[0]), sequence.reverse, self.clip),
            *(params._replace(initial=()), xs, carry, sequence.initial, sequence.mask, sequence.reset),
        )
        return end, outputs.of(sequence, hs)

    def way(self, cell: Cell, params: Any, sequence: Sequence) -> Way:
        """How it runs a single cell; of arrays only shapes and dtypes matter."""
        if not cell.factored:
            return Way("scan", "scan", None, STEP_ALONE)
        why = self._refusal(cell, params, sequence.carry, sequence.xs)
        runs = "segments" if why else "kernel"
        return Way(runs, runs, self._length(cell, sequence), why or "the kernels fit")

    def reason(self, cell: Cell, params: Any, xs: Array | jax.ShapeDtypeStruct) -> str:
        """Why `Segmented` runs in the place of kernels; "" where kernels run.

        Args:
            cell: any cell; of a network the first layer that has a reason is named.
            params: its weights.
            xs: inputs [T, B, D] or [T, D], or a `jax.ShapeDtypeStruct` of them.

        Raises:
            ValueError: an argument has the wrong rank, width, dtype or structure.

        Example:
            >>> import jax, gatedrnn as gr
            >>> params = gr.gru.init(jax.random.key(0), 8, 512)
            >>> xs = jax.ShapeDtypeStruct((100, 4, 8), "float32")
            >>> gr.Fused(platform="cuda").reason(gr.gru, params, xs)[:45]
            'U of 3 gates of H = 512 takes 3,145,728 bytes'
        """
        found: list[tuple[str, str]] = []

        def ask(cell: Cell, params: Any, sequence: Sequence, outputs: Outputs) -> tuple[Carry, Any]:
            if cell.network is not None:
                return cell.network(ask, params, sequence, outputs)
            if not cell.factored:
                found.append((cell.name, STEP_ALONE))
                return Autodiff()(cell, params, sequence, outputs)
            check_factored(self, cell, params, sequence)
            found.append((cell.name, self._refusal(cell, params, sequence.carry, sequence.xs)))
            return Segmented()(cell, params, sequence, outputs)

        def run(params: Any, xs: Array) -> tuple[Carry, Any]:
            params, sequence = varying_alike((params, check_sequence(cell, params, xs, None, stepwise=False)))
            return run_whole(ask, cell, params, sequence, All())

        jax.eval_shape(run, params, xs)
        reasons = [(name, why) for name, why in found if why]
        if not reasons:
            return ""
        return reasons[0][1] if cell.network is None else f"layer {reasons[0][0]!r}: {reasons[0][1]}"

    def _length(self, cell: Cell, sequence: Sequence) -> int:
        return self.length or default_length(sequence.xs.shape[0], sequence.carry.h.size, len(cell.gates))

    def _refusal(self, cell: Cell, params: Any, carry: Carry, xs: Any) -> str:
        if self.platform is None and not self.interpret and _default_platform() == "cpu":
            return NO_CPU
        try:
            from gatedrnn.methods.kernels._fit import refusal
        except ImportError as error:
            return f"jax {jax.__version__} has no Pallas ({error})"
        return refusal(self._kernels(), cell, params, carry, xs)

    def _kernels(self) -> "Kernels":
        from gatedrnn.methods.kernels import _loops, _tpu, _triton

        platform = self.platform or _default_platform()
        backend = _triton.at_hand() if platform in ("cuda", "gpu") else _tpu.TPU()
        return _loops.Kernels(backend, self.interpret)


def _default_platform() -> str:
    """Of the device on which JAX puts arrays."""
    chosen: Any = getattr(jax.config, "jax_default_device", None) or jax.devices()[0]
    return str(getattr(chosen, "platform", chosen))
