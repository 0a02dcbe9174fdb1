"""Products on Hopper with U in the shared memory of one block of threads, one group of four warps per 64 units.

Every group keeps its 64 units of the carry in registers, and hands h, or the gates' cotangents, to the others through
shared memory, in two places by turns: one barrier per step.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gatedrnn._jax import pallas
from gatedrnn.methods.kernels._body import Part
from gatedrnn.methods.kernels._budget import GROUP

SWIZZLE = 128  # bytes, the widest pattern in which shared memory is laid out, with fewest conflicts


class Shared(NamedTuple):
    """What lies in a block's shared memory.

    Attributes:
        u: U^T of every gate, of the block's own units, [G, L / blocks, L].
        passed: what is handed on, of all units, in two places, [2, G or 1, N, L].
        barriers: at which it is waited for.
    """

    u: Any
    passed: Any
    barriers: Sequence[Any]


class Units(NamedTuple):
    """Which units a group has: the first of them, and their places among the block's own and among all."""

    first: Any
    own: Any
    all: Any


class Products:
    """As in `_body`, of the 64 units of a group."""

    def __init__(self, gpu: Any, part: Part, shared: Shared, units: Units) -> None:
        self.gpu, self.part, self.shared, self.units = gpu, part, shared, units
        self.count = shared.u.shape[0]
        self.shape = (GROUP, part.tiles.rows)

    def there(self) -> Array:
        units = self.gpu.broadcasted_iota(jnp.int32, self.shape, 0, layout=self.gpu.Layout.WGMMA)
        found: Array = units + self.units.first < np.int32(self.part.units)
        return found

    def each(self, h: Array, t: Any) -> tuple[Array, ...]:
        (right,) = self.passed([h], t)

        def multiplied(*sums: Any) -> tuple[Array, ...]:
            for gate, total in enumerate(sums):
                self.gpu.wgmma(total, self._u(gate), right)
            self.gpu.wgmma_wait(0)
            return tuple(total[...] for total in sums)

        found: tuple[Array, ...] = self._summed(multiplied, self.count)
        return found

    def total(self, dgates: Sequence[Array], t: Any) -> Array:
        return self.weighed(range(self.count), self.passed(dgates, t))

    def weighed(self, gates: Sequence[int], rights: Sequence[Any]) -> Array:
        """The sum of dgates_g U_g over some gates, of references [L, N]."""

        def multiplied(total: Any) -> Array:
            for gate, right in zip(gates, rights, strict=True):
                self.gpu.wgmma(total, self._u(gate), right)
            self.gpu.wgmma_wait(0)
            found: Array = total[...]
            return found

        found: Array = self._summed(multiplied, 1)
        return found

    def passed(self, arrays: Sequence[Array], number: Any) -> list[Any]:
        """All units of arrays of which every group has its own: references [L, N] in shared memory.

        `number` counts on, up or down, from call to call.
        """
        here = lax.rem(number, np.int32(2))
        self.put(arrays, here)
        self.gpu.barrier_arrive(self.shared.barriers[0])
        self.gpu.barrier_wait(self.shared.barriers[0])
        return self.read(here, len(arrays))

    def put(self, arrays: Sequence[Array], here: Any) -> None:
        """The group's own units of them, in its block."""
        for place, array in enumerate(arrays):
            narrow = self.gpu.layout_cast(array.astype(self.shared.passed.dtype), self.gpu.Layout.WGMMA_TRANSPOSED)
            self.mine(here, place).transpose((1, 0))[...] = narrow
        self.gpu.commit_smem()

    def mine(self, here: Any, place: int) -> Any:
        """Where they lie, [N, 64]."""
        return self.shared.passed.at[here].at[place, :, self.units.all]

    def read(self, here: Any, count: int) -> list[Any]:
        """Where all of them are read from."""
        return [self.shared.passed.at[here].at[place].transpose((1, 0)) for place in range(count)]

    def _u(self, gate: int) -> Any:
        return self.shared.u.at[gate, self.units.own]

    def _summed(self, multiplied: Callable[..., Any], count: int) -> Any:
        pl, _ = pallas()
        return pl.run_scoped(multiplied, *[self.gpu.ACC(self.shape, jnp.float32)] * count)


def barriers(gpu: Any, groups: int) -> list[Any]:
    """What `Products` wait at."""
    return [gpu.Barrier(num_arrivals=groups)]
