"""Hopper's clusters in Python, in the place of Pallas's `mosaic_gpu`, to see a kernel's values and find its races.

After every operation another group may go on, or a store arrive (`simulated_groups`). A kernel fails here if it

- stores to where a group of that block has yet to read what lies there, or into a block that has ended;
- multiplies what a thread has stored, with no fence since;
- waits for what never comes;

and what all groups of a block have read turns into NaN.
"""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from simulated_groups import Group, Machine, Race


@dataclass(frozen=True)
class SMEM:
    """Of every block: values; how many groups have yet to read each; when a thread stored it, if no fence followed."""

    shape: tuple[int, ...]
    dtype: Any
    transforms: Any = ()

    def built(self, blocks):
        made = lambda: np.full(self.shape, np.nan, self.dtype)
        return [(made(), np.zeros(self.shape, int), np.zeros(self.shape, int)) for _ in range(blocks)]


@dataclass(frozen=True)
class Barrier:
    """Counts arrivals, and bytes that are to come."""

    num_arrivals: int

    def built(self, blocks):
        return [SimpleNamespace(left=self.num_arrivals, all=self.num_arrivals, bytes=0, phase=0) for _ in range(blocks)]


def counted(barrier, arrivals, size):
    """An arrival, or bytes; with the last of both the next phase begins."""
    barrier.left, barrier.bytes = barrier.left - arrivals, barrier.bytes + size
    if (barrier.left, barrier.bytes) == (0, 0):
        barrier.left, barrier.phase = barrier.all, barrier.phase + 1


class Ref:
    """A part of an array, of a block or of main memory, as a path that leads to the same part in another block."""

    def __init__(self, machine, blocks, block, path=()):
        self.machine, self.blocks, self.block, self.path = machine, blocks, block, path

    def arrays(self, block=None):
        found = self.blocks[self.block if block is None else block]
        for step in self.path:
            found = tuple(map(step, found))
        return found

    shape = property(lambda self: self.arrays()[0].shape)
    dtype = property(lambda self: self.arrays()[0].dtype)
    at = property(lambda self: self)

    def __getitem__(self, index):
        whole = lambda i: i if isinstance(i, slice) or i is Ellipsis else int(i)
        index = tuple(map(whole, index if isinstance(index, tuple) else (index,)))
        return Ref(self.machine, self.blocks, self.block, (*self.path, lambda a: a[index]))

    def transpose(self, axes):
        return Ref(self.machine, self.blocks, self.block, (*self.path, lambda a: a.transpose(axes)))

    def __setitem__(self, index, value):
        self.machine.pause()
        group, target = self.machine.current, self[index]
        stored(target, group.place["block"], np.asarray(value))
        group.unfenced.append(target)


def stored(ref, block, value, rows=slice(None)):
    """What a thread stores: in shared memory all groups of the block are to read it."""
    machine, (values, *shared) = ref.machine, ref.arrays(block)
    mine = [group for group in machine.groups if group.place["block"] == block]
    if shared:
        owed, when = shared
        if all(group.ended for group in mine):
            raise Race("stored into a block that has ended")
        if owed[rows].any():
            raise Race("stored to where a group has yet to read, or has read too soon")
        owed[rows], when[rows] = len(mine), machine.tick()
    values[rows] = value[rows]


class Hopper:
    """What kernels use of `mosaic_gpu`, and, as `pl`, of Pallas."""

    Layout = SimpleNamespace(WGMMA=None, WGMMA_TRANSPOSED=None, TILED=lambda *_, **__: None)
    LoweringSemantics = SimpleNamespace(Lane=None)
    CompilerParams = TilingTransform = SwizzleTransform = Tiling = staticmethod(lambda *_, **__: None)
    SMEM, Barrier = SMEM, Barrier

    def __init__(self, seed):
        self.seed = seed
        self.pl = SimpleNamespace(
            ds=lambda start, size: slice(int(start), int(start) + size),
            when=lambda condition: lambda run: run() if condition else None,
            run_scoped=lambda run, *shapes: run(*map(Sums, shapes)),
        )

    def kernel(self, program, out_type, grid, num_threads, scratch_types, cluster=(1,), **_):
        """One cluster after the other, each from the start."""
        (tiles,), (blocks,) = grid, cluster

        def call(*arrays):
            outs = [np.full(out.shape, np.nan, out.dtype) for out in out_type]
            for self.tile in range(tiles):
                self.machine = machine = Machine((self.seed, self.tile))
                whole = [Ref(machine, [(np.asarray(a),)] * blocks, 0) for a in (*arrays, *outs)]
                scratch = jax.tree.map(lambda kind: kind.built(blocks), scratch_types)
                run = functools.partial(self._run, program, whole, scratch)
                groups = [(block, index) for block in range(blocks) for index in range(num_threads)]
                machine.run([Group(machine, *place, functools.partial(run, place[0])) for place in groups])
            return list(map(jnp.asarray, outs))

        return call

    def _run(self, program, whole, scratch, block):
        u, passed, barriers, filled = scratch
        ref = lambda blocks: Ref(self.machine, blocks, block)
        program(*whole, ref(u), ref(passed), [(each, block) for each in barriers], (filled, block))

    def axis_index(self, name):
        return np.int32(self.tile if name == "tile" else self.machine.current.place[name])

    def load(self, ref, *_, **__):
        self.machine.pause()
        return jnp.asarray(np.array(ref.arrays()[0]))

    def layout_cast(self, array, _):
        return array

    def broadcasted_iota(self, dtype, shape, axis, layout):
        return lax.broadcasted_iota(dtype, shape, axis)

    def commit_smem(self):
        """A fence for what the group has stored, and for what it has seen come."""
        self.machine.pause()
        group = self.machine.current
        for ref in group.unfenced:
            for when in ref.arrays()[2:]:
                when[...] = 0
        group.unfenced, group.fence = [], self.machine.time

    def barrier_arrive(self, barrier):
        self.machine.pause()
        counted(barrier[0][barrier[1]], 1, 0)

    def barrier_wait(self, barrier):
        """For the phase of the parity that is next for this group at this barrier, as the hardware does."""
        here, parity = barrier[0][barrier[1]], self.machine.current.parity
        due = parity.get(id(here), 0)
        parity[id(here)] = 1 - due
        self.machine.pause(lambda: here.phase % 2 != due)

    def copy_gmem_to_smem(self, source, target, barrier):
        def arrives():
            target.arrays()[0][...] = source.arrays()[0]
            counted(barrier[0][barrier[1]], 1, 0)

        self.machine.later(arrives)

    def async_store_smem(self, array, ref, barrier, *, cluster_idx, cluster_dim, optimized):
        """The arrival, with the bytes to come, and both halves of them: each on its own, in any order."""
        block, value = int(cluster_idx), np.array(array)
        there = barrier[0][block]
        half = len(value) // 2

        def part(rows):
            stored(ref, block, value, rows)
            counted(there, 0, -value[rows].nbytes)

        self.machine.pause()
        self.machine.later(lambda: counted(there, 1, value.nbytes))
        self.machine.later(lambda: part(slice(0, half)))
        self.machine.later(lambda: part(slice(half, None)))

    def wgmma(self, total, left, right):
        """Begins."""
        self.machine.pause()
        group = self.machine.current
        if (right.arrays()[2] > group.fence).any():
            raise Race("multiplied without a fence")
        group.products.append((total, left, right))

    def wgmma_wait(self, _):
        """Ends, with what lies there by then; what all groups have read is no number any more."""
        for _ in range(3):
            self.machine.pause()
        group, read = self.machine.current, {}
        for total, left, right in group.products:
            values, owed, _ = right.arrays()
            total.value = total.value + np.float32(left.arrays()[0]) @ np.float32(values)
            read[values.ctypes.data] = (values, owed)
        for values, owed in read.values():
            owed -= 1
            values[owed <= 0] = np.nan
        group.products = []

    class ACC:
        """The shape of sums."""

        def __init__(self, shape, dtype):
            self.shape = shape


class Sums:
    """Registers in which products are summed."""

    def __init__(self, kind):
        self.value = np.zeros(kind.shape, np.float32)

    def __getitem__(self, _):
        return jnp.asarray(self.value)
