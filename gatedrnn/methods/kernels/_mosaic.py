"""Mosaic for NVIDIA's Hopper: U of every gate in the shared memory of one block, or of a cluster of blocks.

Inside, units come before rows, tile by tile: [B / N, L, N] instead of [B, L], since the instruction that multiplies
takes 64 rows of U^T at once, but as few as 8 columns of h.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._jax import MOSAIC_READ, pallas, rounded_products, without_pallas
from gatedrnn.methods.kernels._block import SWIZZLE, Products, Shared, Units, barriers
from gatedrnn.methods.kernels._body import Part
from gatedrnn.methods.kernels._budget import (
    CLUSTERS,
    GROUP,
    SHARED,
    Load,
    Tiles,
    mosaic_lanes,
    mosaic_share,
    mosaic_tiles,
)
from gatedrnn.methods.kernels._cluster import ClusterProducts, cluster_barriers

CAPABILITY = "9.0"
"""The one that has the instruction."""


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
        return mosaic_tiles(load, steps, batch, units, SHARED[self.capability], _clusters())

    def share(self, load: Load, units: int) -> tuple[int, str]:
        taken, blocks = min((mosaic_share(load, mosaic_lanes(units, b), b), b) for b in _clusters())
        missing = without_clusters()
        where = f" in each of {blocks} blocks" if blocks > 1 else ""
        return taken, f" in one block ({missing})" if missing else where

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
        rows, lanes, _, blocks, together = part.tiles
        streams, held, weights = reads
        tiles = jax.tree.leaves(held)[0].shape[0] // rows
        tiled = functools.partial(_tiled, rows)
        wide = lambda a: jnp.broadcast_to(a.T, (lanes, rows))
        made = lambda *shape: jax.ShapeDtypeStruct((*shape, tiles, lanes, rows), jnp.float32)
        arrays = (jax.tree.map(tiled, streams), jax.tree.map(tiled, held), jax.tree.map(wide, weights._replace(u=())))
        matrices = tuple(u.T for u in weights.u)
        outs = (jax.tree.map(lambda _: made(part.steps), writes[0]), jax.tree.map(lambda _: made(), writes[1]))
        groups, dtype = lanes // blocks // GROUP, matrices[0].dtype
        passed = 1 if weights.b or not together else len(matrices)  # h, or the cotangents of all gates or of one
        layout = (gpu.TilingTransform((8, SWIZZLE // dtype.itemsize)), gpu.SwizzleTransform(SWIZZLE))
        found = gpu.kernel(
            functools.partial(_program, gpu, body, part, jax.tree.structure((arrays, matrices, outs))),
            out_type=jax.tree.leaves(outs),
            grid=(tiles,),
            grid_names=("tile",),
            **({"cluster": (blocks,), "cluster_names": ("block",)} if blocks > 1 else {}),
            num_threads=groups,
            thread_name="group",
            scratch_types=[
                gpu.SMEM((len(matrices), lanes // blocks, lanes), dtype, transforms=layout),
                gpu.SMEM((2, passed, rows, lanes), dtype, transforms=layout),
                cluster_barriers(gpu, blocks, groups, passed) if blocks > 1 else barriers(gpu, groups),
                gpu.Barrier(num_arrivals=len(matrices)),
            ],
            kernel_name=name,
            compiler_params=gpu.CompilerParams(lowering_semantics=gpu.LoweringSemantics.Lane),
            interpret=gpu.InterpretGPUParams() if interpret else None,
        )(*jax.tree.leaves((arrays, matrices)))
        return jax.tree.unflatten(jax.tree.structure(outs), list(map(_whole, found)))


def without_clusters() -> str:
    """Why this version of JAX has none; "" where it has."""
    missing = without_pallas("mosaic_gpu", "async_store_smem")
    return f"for clusters {missing}" if missing else ""


def _clusters() -> tuple[int, ...]:
    return CLUSTERS[:1] if without_clusters() else CLUSTERS


def _program(gpu: Any, body: Callable[..., None], part: Part, structure: Any, *refs: Any) -> None:
    """One tile of the batch: `refs` are what is read and written, as `structure` has them, then shared memory."""
    pl, _ = pallas()
    *read, u, passed, at, filled = refs
    group, tile, blocks = lax.axis_index("group"), lax.axis_index("tile"), part.tiles.blocks
    first = group * GROUP
    own: Any = slice(None)
    units = Units(first, pl.ds(first, GROUP), pl.ds(first, GROUP))
    if blocks > 1:
        size = part.tiles.lanes // blocks
        begin = lax.axis_index("block") * size
        own, units = pl.ds(begin, size), Units(begin + first, units.own, pl.ds(begin + first, GROUP))
    arrays, matrices, written = jax.tree.unflatten(structure, read)

    pl.when(group == 0)(lambda: _fill(gpu, matrices, own, u, filled))  # the others wait in their first step
    of_tile, of_all = (lambda ref, place=place: View(gpu, ref, place) for place in ((tile, units.all), (units.all,)))
    (streams, held), (after, end) = jax.tree.map(of_tile, (arrays[:2], written))
    weights = jax.tree.map(of_all, arrays[2])
    kind = Products if blocks == 1 else ClusterProducts
    body(streams, held, weights._replace(u=kind(gpu, part, Shared(u, passed, at), units)), after, end)


def _fill(gpu: Any, matrices: Sequence[Any], own: Any, u: Any, filled: Any) -> None:
    """Copies U of every gate to shared memory, of the block's own units."""
    for gate, matrix in enumerate(matrices):
        gpu.copy_gmem_to_smem(matrix.at[own], u.at[gate], filled)
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


def _tiled(rows: int, a: Array) -> Array:
    """[..., B, L] -> [..., B / N, L, N], so that a tile lies in one piece; a flag [K, B, 1] for a group of units."""
    turned = jnp.swapaxes(a.reshape(*a.shape[:-2], -1, rows, a.shape[-1]), -1, -2)
    return turned if a.shape[-1] > 1 else jnp.broadcast_to(turned, (*turned.shape[:-2], GROUP, rows))


def _whole(a: Array) -> Array:
    """The inverse of `_tiled`."""
    turned = jnp.swapaxes(a, -1, -2)
    return turned.reshape(*turned.shape[:-3], -1, turned.shape[-1])
