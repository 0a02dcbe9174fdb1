"""Products on Hopper with U in the shared memory of a cluster of blocks, which share one tile of the batch.

Each block has the rows of U^T of its own units. What the groups hand on is a message: h; or the cotangents of all
gates, or of one gate after the other where memory is short (`Tiles.together`). Messages are numbered on, up or down,
over steps and gates. Of message m a group

    stores its part in place m % 2 of its own block, and arrives at barrier m % 2 there;
    stores it in place m % 2 of every other block, whose barrier m % 2 counts the part and its bytes as they come;
    waits at barrier m % 2 of its own block until all groups' parts of m have come;
    multiplies from place m % 2 of its own block, and waits for the products.

Let m' follow m, and m'' follow m'. Then

- nothing is overwritten that is still read: who stores m'' has waited for m', of which every group of every block has
  stored its part, each after its own products from m, whatever the other groups of its block did meanwhile;
- a barrier counts one message at a time: who stores m'' has waited for m', so that every group has passed its wait for
  m, and no phase is missed or taken for another. m', which may come before all of m has, has the other barrier;
- parities are right: m and m'' have one barrier, m' the other, and each wait turns the parity that the group awaits
  there next, from the same start. It is no matter which place is first, or last, or how many messages there are;
- no block has ended when it is stored into: all that it is ever sent is waited for by all of its groups;
- nor has one not begun: Mosaic lets a cluster begin as one, once all barriers are set up.

The instruction that multiplies sees what threads have stored only behind a fence, of a group that has stored it or has
waited for it: `commit_smem`, once before the arrival and once after the wait.
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
                self.gpu.async_store_smem(part, mine, barrier, cluster_idx=other, cluster_dim="block", optimized=False)
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
