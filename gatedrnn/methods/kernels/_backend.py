"""What a device has to say of a kernel; nothing of it is about cells."""

from collections.abc import Callable
from typing import Any, Protocol

from gatedrnn.methods.kernels._body import Part
from gatedrnn.methods.kernels._budget import Load, Tiles


class Backend(Protocol):
    """One kind of device.

    Attributes:
        platform: its name in `jax.export`.
        resident: as in `Part`.
        dense: whether kernels are only for a U that is a matrix.
    """

    @property
    def platform(self) -> str: ...

    @property
    def resident(self) -> bool: ...

    @property
    def dense(self) -> bool: ...

    def missing(self) -> str:
        """Why there is no kernel here, whatever its sizes; "" where there is."""

    def tiles(self, load: Load, steps: int, batch: int, units: int) -> Tiles | None:
        """How a kernel is cut; None where it does not fit."""

    def share(self, load: Load, units: int) -> tuple[int, str]:
        """The fewest bytes that U takes beside one processor, as it is laid out; and where, if it is shared out."""

    def memory(self) -> tuple[str, int]:
        """The name of what U must fit into, and its bytes."""

    def run(
        self,
        interpret: bool,
        name: str,
        body: Callable[..., None],
        part: Part,
        reads: tuple[Any, Any, Any],
        writes: tuple[Any, Any],
    ) -> Any:
        """Runs `body(streams, held, weights, *writes)`, each a tree of references, U as `Products` of them.

        Args:
            interpret: whether Pallas interprets the kernel instead.
            name: what a profile calls the kernel.
            body: of one program.
            part: the tiles, and in what order.
            reads: arrays [K, B, N] of which a program gets a chunk; [B, N], a tile; `Weights`, all; of whole tiles.
            writes: trees of anything: one array [K, B, L] for each leaf of the first, [B, L] for each of the second.

        Returns:
            Arrays in the place of the leaves of `writes`.
        """
