"""Triton for NVIDIA's GPUs: one block of threads per 16 rows of the batch, U in its shared memory."""

from dataclasses import dataclass
from typing import Any

from gatedrnn._jax import pallas, without_pallas
from gatedrnn.methods.kernels._budget import SHARED, Load, Tiles, matrices, shared_lanes, shared_tiles
from gatedrnn.methods.kernels._call import InBlocks


@dataclass(frozen=True)
class Triton(InBlocks):
    """A GPU by its compute capability, such as "9.0"."""

    capability: str
    platform = "cuda"
    resident = True
    dense = False

    def missing(self) -> str:
        if self.capability not in SHARED:
            return f"no kernel for a GPU of compute capability {self.capability}"
        return without_pallas("triton")

    def tiles(self, load: Load, steps: int, batch: int, units: int) -> Tiles | None:
        return shared_tiles(load, steps, units, SHARED[self.capability])

    def share(self, load: Load, units: int) -> tuple[int, str]:
        return matrices(load, shared_lanes(units)), ""

    def memory(self) -> tuple[str, int]:
        return "the shared memory of a block", SHARED[self.capability]

    def whole(self, array: Any) -> Any:
        pl, _ = pallas()
        return pl.BlockSpec(array.shape, lambda b, t: (0, 0))

    def parameters(self) -> Any:
        _, triton = pallas("triton")
        return triton.CompilerParams(num_warps=8, num_stages=1)
