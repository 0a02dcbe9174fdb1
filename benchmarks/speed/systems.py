"""The systems side by side, by name.

loss = mean of ys^2        gradients in the framework's own weights, in xs and in the first carry
"""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from jax import Array

import gatedrnn as gr
from benchmarks.speed import ours, peers
from benchmarks.speed.problem import Size
from benchmarks.speed.ready import Ready
from gatedrnn.cells import CLASSICS


class System(NamedTuple):
    """A way to compute a recurrence.

    Attributes:
        build: `(cell, params, xs [T, B, D], carry) -> Ready`.
        cells: names of those that it has.
        devices: how many it splits the batch over.
        trains: whether it has a backward pass.
        spins: whether its threads, when a call is done, wait busily for the next one.
    """

    build: Callable[[gr.Cell, gr.Params, Array, Any], Ready]
    cells: Collection[str]
    devices: int = 1
    trains: bool = True
    spins: bool = False

    def has(self, cell: gr.Cell, size: Size) -> bool:
        """Whether it can run the cell at that size."""
        return cell.name in self.cells and size.batch % self.devices == 0


COMMON = ("rnn", "gru", "lstm")
SYSTEMS: dict[str, System] = {
    "gatedrnn": System(ours.segmented, CLASSICS),
    "gatedrnn, 2 devices": System(ours.two_devices, CLASSICS, devices=2),
    "gatedrnn, Checkpointed": System(ours.checkpointed, CLASSICS),
    "lax.scan + jax.grad": System(ours.plain_scan, CLASSICS),
    "flax linen": System(peers.linen, COMMON),
    "flax nnx": System(peers.nnx, COMMON),
    "keras on JAX": System(peers.keras, COMMON),
    "dm-haiku": System(peers.haiku, ("lstm",)),
    "equinox": System(peers.equinox, ("gru", "lstm")),
    "torch.nn": System(peers.torch, COMMON, spins=True),
    "onnxruntime": System(peers.onnxruntime, COMMON, trains=False, spins=True),
}
OURS = ("gatedrnn", "gatedrnn, 2 devices", "gatedrnn, Checkpointed")
REFERENCE = "lax.scan + jax.grad"
FORWARD_ONLY = tuple(name for name, system in SYSTEMS.items() if not system.trains)
SPINNING = tuple(name for name, system in SYSTEMS.items() if system.spins)
