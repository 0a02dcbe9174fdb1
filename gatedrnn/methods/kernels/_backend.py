"""What a device has to say of a kernel; nothing of it is about cells."""

from typing import Any, Protocol

from gatedrnn.methods.kernels._budget import Load, Tiles


class Backend(Protocol):
    """One kind of device.

    Attributes:
        platform: its name in `jax.export`.
        resident: as in `Part`.
    """

    @property
    def platform(self) -> str: ...

    @property
    def resident(self) -> bool: ...

    def missing(self) -> str:
        """Why there is no kernel here, whatever its sizes; "" where there is."""

    def tiles(self, load: Load, steps: int, batch: int, units: int) -> Tiles | None:
        """How a kernel is cut; None where it does not fit."""

    def lanes(self, units: int) -> int:
        """How many units a kernel has for H = `units`."""

    def memory(self) -> tuple[str, int]:
        """The name of what U must fit into, and its bytes."""

    def whole(self, array: Any) -> Any:
        """The block of an array that every program reads whole."""

    def parameters(self) -> Any:
        """What the compiler is told."""
