"""A kernel over a grid: tiles of the batch side by side, chunks of time one after the other."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gatedrnn._jax import pallas
from gatedrnn.methods.kernels._body import Dots, Part
from gatedrnn.methods.kernels._budget import Load


def load_of(streams: Any, flags: Any, held: Any, weights: Any, written: tuple[int, int]) -> Load:
    """What a kernel reads, as trees of arrays, and how many streams and carries it writes."""
    count = lambda tree: len(jax.tree.leaves(tree))
    rows = [a for a in jax.tree.leaves(weights) if a.shape[-2] == 1]
    matrices = [a for a in jax.tree.leaves(weights) if a.shape[-2] > 1]
    width = matrices[0].dtype.itemsize if matrices else 0
    return Load(len(matrices), width, len(rows), count(held) + written[1], count(streams) + written[0], count(flags))


class InBlocks(ABC):
    """What devices share whose kernels are made of blocks of arrays."""

    @abstractmethod
    def whole(self, array: Any) -> Any:
        """The block of an array that every program reads whole."""

    @abstractmethod
    def parameters(self) -> Any:
        """What the compiler is told."""

    def run(
        self,
        interpret: bool,
        name: str,
        body: Callable[..., None],
        part: Part,
        reads: tuple[Any, Any, Any],
        writes: tuple[Any, Any],
    ) -> Any:
        """As in `Backend`."""
        pl, _ = pallas()
        rows, lanes, chunk = part.tiles[:3]
        batch = jax.tree.leaves(reads[1])[0].shape[0]
        streamed = lambda n: pl.BlockSpec((chunk, rows, n), lambda b, t: (part.block(t), b, 0))
        held = lambda n: pl.BlockSpec((rows, n), lambda b, t: (b, 0))
        streams, carries, fixed = reads
        made = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)
        last = lambda spec: lambda a: spec(a.shape[-1])
        return pl.pallas_call(
            functools.partial(_run, body, part),
            grid=(batch // rows, part.chunks),
            in_specs=[
                jax.tree.map(last(streamed), streams),
                jax.tree.map(last(held), carries),
                jax.tree.map(self.whole, fixed),
            ],
            out_specs=tuple(
                jax.tree.map(lambda _, spec=spec: spec(lanes), tree)
                for spec, tree in zip((streamed, held), writes, strict=True)
            ),
            out_shape=(
                jax.tree.map(lambda _: made(part.steps, batch, lanes), writes[0]),
                jax.tree.map(lambda _: made(batch, lanes), writes[1]),
            ),
            interpret=interpret,
            name=name,
            compiler_params=self.parameters(),
        )(*reads)


def _run(body: Callable[..., None], part: Part, streams: Any, held: Any, weights: Any, written: Any, end: Any) -> None:
    body(streams, held, weights._replace(u=Dots(part, weights.u)), written, end)
