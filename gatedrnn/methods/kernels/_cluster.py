"""Products on Hopper with U in the shared memory of a cluster of blocks, which share one tile of the batch.

Each block has the rows of U^T of its own units. What a group hands on is a message, stored into every block of the
cluster: h; or the cotangents of all gates, or of one gate after the other where the memory is short (`Tiles.together`).
Messages are numbered on, up or down, over gates and steps. Of message m a group

    stores its part in place m % 2 of every block, where barrier m % 2 counts parts and bytes;
    waits at its own block's barrier m % 2 until m has come from every group;
    multiplies from its own block's place m % 2, and waits for the products.

Let m' and m'' follow m. Then

- nothing is overwritten that is still read: who stores m'' has waited for m', of which every group of every block has
  stored its part, each after its products from m, whatever other groups of its block did meanwhile;
- a barrier counts one message at a time: who stores m'' has waited for m', thus every group has passed its wait for m,
  and no phase is missed or awaited twice. m' may come before all of m has, and has the other barrier;
- the parity is right: of m, m', m'' the first and last have one barrier, and each wait turns what a group awaits there,
  from 0 on. It is all the same which place is first and which last, and whether there is one message or many;
- no block is left before the last store into it has come: all that is sent to it is waited for in it, by all its groups;
- and none is stored into before it begins: Mosaic starts the blocks of a cluster together once their barriers stand.

Stores by threads are not seen by the instruction that multiplies unless a fence stands between, here after the wait.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax import Array, lax

from gatedrnn._jax import MOSAIC_READ, pallas
from gatedrnn.methods.kernels._block import SWIZZLE, Products
from gatedrnn.methods.kernels._body import sum_of


class ClusterProducts(Products):
    """As `Products`, of a block in a cluster."""

    def total(self, dgates: Sequence[Array], t: Any) -> Array:
        if self.part.tiles.together:
            return super().total(dgates, t)
        first = t * np.int32(self.count)
        passed = lambda gate: self.passed([dgates[gate]], first + np.int32(gate))
        return sum_of([self.weighed([gate], passed(gate)) for gate in range(self.count)])

    def passed(self, arrays: Sequence[Array], number: Any) -> list[Any]:
        pl, _ = pallas()
        here = lax.rem(number, np.int32(2))
        self.put(arrays, here)
        layout = _rows_of_units(self.gpu, self.shared.passed.dtype.itemsize)
        load = lambda place: self.gpu.load(self.mine(here, place), *MOSAIC_READ, layout=layout, optimized=False)
        parts = [load(place) for place in range(len(arrays))]
        for turn in range(2):
            pl.when(here == np.int32(turn))(functools.partial(self._exchange, parts, turn))
        self.gpu.commit_smem()
        return self.read(here, len(arrays))

    def _exchange(self, parts: Sequence[Array], turn: int) -> None:
        """Stores the group's parts [N, 64] of a message into the other blocks, and waits until its own has all."""
        barrier, blocks = self.shared.barriers[turn], self.part.tiles.blocks
        for place, part in enumerate(parts):
            mine = self.mine(np.int32(turn), place)
            for further in range(1, blocks):
                other = lax.rem(lax.axis_index("block") + np.int32(further), np.int32(blocks))
                self.gpu.async_store_smem(
                    part, mine, barrier, cluster_idx=other, cluster_dim="block", optimized=False
                )
        self.gpu.barrier_arrive(barrier)
        self.gpu.barrier_wait(barrier)


def _rows_of_units(gpu: Any, width: int) -> Any:
    """[N, 64] over a group's threads, eight bytes of a row each, as many as one store takes."""
    row, each = SWIZZLE // width, 8 // width
    tiling = gpu.Tiling(((8, row), (2, row), (each,)))
    return gpu.Layout.TILED(tiling, warp_dims=(-5,), lane_dims=(-3, -2), vector_dim=-1)


def cluster_barriers(gpu: Any, blocks: int, groups: int, passed: int) -> list[Any]:
    """One per place: a group arrives once at its own block's, and with every part at the other blocks'.

    Two of one barrier each: in an array of barriers JAX (0.10 and 0.11) adds an element's offset twice on its way to
    another block.
    """
    return [gpu.Barrier(num_arrivals=groups * (1 + (blocks - 1) * passed)) for _ in range(2)]
