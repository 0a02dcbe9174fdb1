"""Mosaic for TPUs: U lies in VMEM, carries in blocks of VMEM that stay from chunk to chunk."""

from dataclasses import dataclass
from typing import Any

from gatedrnn._jax import pallas, without_pallas
from gatedrnn.methods.kernels._budget import VMEM, Load, Tiles, matrices, vmem_lanes, vmem_limit, vmem_tiles
from gatedrnn.methods.kernels._call import InBlocks


@dataclass(frozen=True)
class TPU(InBlocks):
    """A TPU by the bytes of VMEM that a kernel may take."""

    vmem: int = VMEM
    platform = "tpu"
    resident = False
    dense = False

    def missing(self) -> str:
        return without_pallas("tpu")

    def tiles(self, load: Load, steps: int, batch: int, units: int) -> Tiles | None:
        return vmem_tiles(load, steps, batch, units, self.vmem)

    def share(self, load: Load, units: int) -> tuple[int, str]:
        return matrices(load, vmem_lanes(units)), ""

    def memory(self) -> tuple[str, int]:
        return "the share of VMEM that a kernel may take", self.vmem

    def whole(self, array: Any) -> Any:
        pl, _ = pallas()
        return pl.BlockSpec(array.shape, lambda b, t: (0, 0), pipeline_mode=pl.Buffered(1))  # there once, not twice

    def parameters(self) -> Any:
        _, tpu = pallas("tpu")
        return tpu.CompilerParams(dimension_semantics=("parallel", "arbitrary"), vmem_limit_bytes=vmem_limit(self.vmem))
