"""Which device's kernels run a cell: on NVIDIA's GPUs there are two kinds, on TPUs one."""

from typing import Any

from gatedrnn._cell import Cell
from gatedrnn._device import default_device
from gatedrnn._forms import Carry
from gatedrnn.methods.kernels._backend import Backend
from gatedrnn.methods.kernels._budget import VMEM, VMEM_SMALL
from gatedrnn.methods.kernels._fit import verdict
from gatedrnn.methods.kernels._loops import Kernels
from gatedrnn.methods.kernels._mosaic import Mosaic
from gatedrnn.methods.kernels._tpu import TPU
from gatedrnn.methods.kernels._triton import Triton

GPUS = ("cuda", "gpu")
SMALL = ("TPU v2", "TPU v3", "TPU v4")
ANY = "9.0"  # the GPU that is compiled for where none is at hand


def first_that_fits(
    platform: str, interpret: bool, cell: Cell, params: Any, carry: Carry, xs: Any
) -> tuple[Kernels | None, str]:
    """The first kernels that run the cell, and why not those before them; or None, and why none do.

    Pallas's own interpreter knows blocks alone: of a GPU the kernels of Triton are interpreted.
    """
    backends = _backends(platform, interpret)
    refused = "" if backends else f"there is no kernel for the platform {platform!r}"
    for backend in backends:
        kernels = Kernels(backend, interpret)
        fit, why = verdict(kernels, cell, params, carry, xs)
        if fit:
            return kernels, f"Triton's kernels fit; {refused}" if refused else why
        refused = f"{refused}; for Triton, {why}" if refused not in ("", why) else why
    return None, refused


def _backends(platform: str, interpret: bool) -> tuple[Backend, ...]:
    """The first is to be tried first; of other platforms the interpreter alone runs any."""
    device = default_device()
    if platform not in GPUS:
        small = device.platform == "tpu" and device.device_kind.startswith(SMALL)
        return (TPU(VMEM_SMALL if small else VMEM),) if platform == "tpu" or interpret else ()
    capability = str(getattr(device, "compute_capability", ANY)) if device.platform == "gpu" else ANY
    return (Triton(capability),) if interpret else (Mosaic(capability), Triton(capability))
