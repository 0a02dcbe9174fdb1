"""Mosaic for NVIDIA's Hopper: one group of four warps per 64 units, U of every gate in the shared memory of one block.

Inside, units come before rows, tile by tile: [B / N, L, N] instead of [B, L], since the instruction that multiplies
takes 64 rows of U^T at once, but as few as 8 columns of h. Every group keeps its 64 units of the carry in registers,
and hands h, or the gates' cotangents, to the others through shared memory, in two places by turns: one barrier per
step.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gatedrnn._jax import MOSAIC_READ, pallas, rounded_products, without_pallas
from gatedrnn.methods.kernels._body import Part
from gatedrnn.methods.kernels._budget import GROUP, SHARED, Load, Tiles, mosaic_lanes, mosaic_tiles

CAPABILITY = "9.0"
"""The one that has the instruction."""
SWIZZLE = 128  # bytes, the widest pattern in which shared memory is laid out, with fewest conflicts


@dataclass(frozen=True)
class Mosaic:
    """A GPU by its compute capability."""

    capability: str
    platform = "cuda"
    resident = False
    dense = True

    def missing(self) -> str:
        if self.capability != CAPABILITY:
            return f"Mosaic's kernels are for compute capability {CAPABILITY}, not {self.capability}"
        if not rounded_products():
            return "products of float32 numbers that are not rounded are asked for"
        if jax.__version_info__ < (0, 10):
            return f"jax {jax.__version__} is too old for Mosaic on a GPU"
        return without_pallas("mosaic_gpu", "kernel", "wgmma")

    def tiles(self, load: Load, steps: int, batch: int, units: int) -> Tiles | None:
        return mosaic_tiles(load, steps, batch, units, SHARED[self.capability])

    def lanes(self, units: int) -> int:
        return mosaic_lanes(units)

    def memory(self) -> tuple[str, int]:
        return "the shared memory of a block", SHARED[self.capability]

    def run(
        self,
        interpret: bool,
        name: str,
        body: Callable[..., None],
        part: Part,
        reads: tuple[Any, Any, Any],
        writes: tuple[Any, Any],
    ) -> Any:
        """As in `Backend`, its arrays turned on their way in and out."""
        _, gpu = pallas("mosaic_gpu")
        rows, lanes, _ = part.tiles
        streams, held, weights = reads
        tiles = jax.tree.leaves(held)[0].shape[0] // rows
        tiled = functools.partial(_tiled, rows)
        wide = lambda a: jnp.broadcast_to(a.T, (lanes, rows))
        made = lambda *shape: jax.ShapeDtypeStruct((*shape, tiles, lanes, rows), jnp.float32)
        arrays = (jax.tree.map(tiled, streams), jax.tree.map(tiled, held), jax.tree.map(wide, weights._replace(u=())))
        matrices = tuple(u.T for u in weights.u)
        outs = (jax.tree.map(lambda _: made(part.steps), writes[0]), jax.tree.map(lambda _: made(), writes[1]))
        groups, dtype = lanes // GROUP, matrices[0].dtype
        passed = 1 if weights.b else len(matrices)  # h, or the cotangents of all gates
        layout = (gpu.TilingTransform((8, SWIZZLE // dtype.itemsize)), gpu.SwizzleTransform(SWIZZLE))
        found = gpu.kernel(
            functools.partial(_program, gpu, body, part, jax.tree.structure((arrays, matrices, outs))),
            out_type=jax.tree.leaves(outs),
            grid=(tiles,),
            grid_names=("tile",),
            num_threads=groups,
            thread_name="group",
            scratch_types=[
                gpu.SMEM((len(matrices), lanes, lanes), dtype, transforms=layout),
                gpu.SMEM((2, passed, rows, lanes), dtype, transforms=layout),
                gpu.Barrier(num_arrivals=groups),
                gpu.Barrier(num_arrivals=len(matrices)),
            ],
            kernel_name=name,
            compiler_params=gpu.CompilerParams(lowering_semantics=gpu.LoweringSemantics.Lane),
            interpret=gpu.InterpretGPUParams() if interpret else None,
        )(*jax.tree.leaves((arrays, matrices)))
        return jax.tree.unflatten(jax.tree.structure(outs), list(map(_whole, found)))


def _program(gpu: Any, body: Callable[..., None], part: Part, structure: Any, *refs: Any) -> None:
    """One tile of the batch: `refs` are what is read and written, as `structure` has them, then shared memory."""
    pl, _ = pallas()
    *read, u, passed, barrier, filled = refs
    group, tile = lax.axis_index("group"), lax.axis_index("tile")
    units = pl.ds(group * GROUP, GROUP)
    arrays, matrices, written = jax.tree.unflatten(structure, read)

    pl.when(group == 0)(lambda: _fill(gpu, matrices, u, filled))  # the others wait in their first step
    of_tile, of_all = (lambda ref, place=place: View(gpu, ref, place) for place in ((tile, units), (units,)))
    (streams, held), (after, end) = jax.tree.map(of_tile, (arrays[:2], written))
    weights = jax.tree.map(of_all, arrays[2])
    products = Products(gpu, part, len(matrices), u, passed, barrier, units, group)
    body(streams, held, weights._replace(u=products), after, end)


def _fill(gpu: Any, matrices: Sequence[Any], u: Any, filled: Any) -> None:
    """Copies U of every gate to shared memory."""
    for gate, matrix in enumerate(matrices):
        gpu.copy_gmem_to_smem(matrix, u.at[gate], filled)
    gpu.barrier_wait(filled)


class View:
    """One group's units, and one tile, of an array in main memory; a flag has as many units as a group."""

    def __init__(self, gpu: Any, ref: Any, place: tuple[Any, ...]) -> None:
        self.gpu, self.ref = gpu, ref
        self.place = (*place[:-1], slice(None)) if ref.shape[-2] == GROUP else place

    def __getitem__(self, t: Any) -> Array:
        layout = self.gpu.Layout.WGMMA
        found: Array = self.gpu.load(self._at(t), *MOSAIC_READ, layout=layout, optimized=False)
        return found

    def __setitem__(self, t: Any, value: Array) -> None:
        self._at(t)[...] = self.gpu.layout_cast(value, self.gpu.Layout.WGMMA)

    def _at(self, t: Any) -> Any:
        return self.ref.at[self.place if t is Ellipsis else (t, *self.place)]


class Products:
    """As in `_body`, of 64 units: what all groups have is passed on in shared memory."""

    def __init__(
        self, gpu: Any, part: Part, count: int, u: Any, passed: Any, barrier: Any, units: Any, group: Any
    ) -> None:
        self.gpu, self.part, self.count = gpu, part, count
        self.u, self.passed, self.barrier, self.units, self.group = u, passed, barrier, units, group
        self.shape = (GROUP, part.tiles.rows)

    def there(self) -> Array:
        units = self.gpu.broadcasted_iota(jnp.int32, self.shape, 0, layout=self.gpu.Layout.WGMMA)
        found: Array = units + self.group * np.int32(GROUP) < np.int32(self.part.units)
        return found

    def each(self, h: Array, t: Any) -> tuple[Array, ...]:
        (right,) = self._passed([h], t)

        def multiplied(*sums: Any) -> tuple[Array, ...]:
            for g, total in enumerate(sums):
                self.gpu.wgmma(total, self.u.at[g, self.units], right)
            self.gpu.wgmma_wait(0)
            return tuple(total[...] for total in sums)

        return self._summed(multiplied, self.count)

    def total(self, dgates: Sequence[Array], t: Any) -> Array:
        rights = self._passed(dgates, t)

        def multiplied(total: Any) -> Array:
            for g, right in enumerate(rights):
                self.gpu.wgmma(total, self.u.at[g, self.units], right)
            self.gpu.wgmma_wait(0)
            found: Array = total[...]
            return found

        return self._summed(multiplied, 1)

    def _passed(self, arrays: Sequence[Array], t: Any) -> list[Any]:
        """All units of arrays of which every group has its own: references [L, N] in shared memory."""
        here = self.passed.at[lax.rem(t, np.int32(2))]
        for place, array in enumerate(arrays):
            mine = here.at[place, :, self.units].transpose((1, 0))
            narrow = array.astype(self.passed.dtype)
            mine[...] = self.gpu.layout_cast(narrow, self.gpu.Layout.WGMMA_TRANSPOSED)
        self.gpu.commit_smem()
        self.gpu.barrier_arrive(self.barrier)
        self.gpu.barrier_wait(self.barrier)
        return [here.at[place].transpose((1, 0)) for place in range(len(arrays))]

    def _summed(self, multiplied: Callable[..., Any], count: int) -> Any:
        pl, _ = pallas()
        return pl.run_scoped(multiplied, *[self.gpu.ACC(self.shape, jnp.float32)] * count)


def _tiled(rows: int, a: Array) -> Array:
    """[..., B, L] -> [..., B / N, L, N], so that a tile lies in one piece; a flag [K, B, 1] for a group of units."""
    turned = jnp.swapaxes(a.reshape(*a.shape[:-2], -1, rows, a.shape[-1]), -1, -2)
    return turned if a.shape[-1] > 1 else jnp.broadcast_to(turned, (*turned.shape[:-2], GROUP, rows))


def _whole(a: Array) -> Array:
    """The inverse of `_tiled`."""
    turned = jnp.swapaxes(a, -1, -2)
    return turned.reshape(*turned.shape[:-3], -1, turned.shape[-1])
