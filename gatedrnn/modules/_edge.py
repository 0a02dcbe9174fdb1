"""From a framework's layout to that of `unroll` and back.

    inputs [*batch, T, D], or [T, *batch, D]  ->  xs [T, B, D]

B is the product of the batch axes, 1 where there are none.
"""

import math
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_array, check_flag, fail, shown
from gatedrnn._forms import Carry
from gatedrnn._method import Method
from gatedrnn._unroll import unroll

Tree = TypeVar("Tree")


class Layout(NamedTuple):
    """Where the axes of a framework's inputs stand.

    Attributes:
        steps: T.
        batch: the batch axes; any number of them.
        time_major: whether the time axis is the first, and not the one before the features.
    """

    steps: int
    batch: tuple[int, ...]
    time_major: bool

    @classmethod
    def of(cls, inputs: Any, time_major: Any) -> "Layout":
        """That of inputs [*batch, T, D] or [T, *batch, D].

        Raises:
            ValueError: they have fewer than two axes, or `time_major` is no flag.
        """
        time_major, shape = check_flag("time_major", time_major), jnp.shape(inputs)
        if len(shape) < 2:
            raise fail("inputs", "[T, *batch, D]" if time_major else "[*batch, T, D]", shown(inputs))
        return cls(shape[0], shape[1:-1], True) if time_major else cls(shape[-2], shape[:-2], False)

    @property
    def step(self) -> tuple[int, ...]:
        """The shape of what has one number per step: [*batch, T] or [T, *batch]."""
        return (self.steps, *self.batch) if self.time_major else (*self.batch, self.steps)

    def inside(self, a: Array) -> Array:
        """[*batch, T, ...] -> [T, B, ...]."""
        a = a if self.time_major else jnp.moveaxis(a, len(self.batch), 0)
        return a if len(self.batch) == 1 else a.reshape(self.steps, math.prod(self.batch), *a.shape[len(self.step) :])

    def outside(self, a: Array) -> Array:
        """The inverse of `inside`."""
        a = a if len(self.batch) == 1 else a.reshape(self.steps, *self.batch, *a.shape[2:])
        return a if self.time_major else jnp.moveaxis(a, 0, len(self.batch))

    def rows(self, carry: Tree) -> Tree:
        """A carry [*batch, H] -> [B, H]."""

        def flat(a: Any) -> Array:
            a = jnp.asarray(a)
            if a.shape[:-1] != self.batch:
                raise fail("initial_carry", f"arrays [*batch, H] with the batch axes {self.batch}", a.shape)
            return a if len(self.batch) == 1 else a.reshape(math.prod(self.batch), a.shape[-1])

        return jax.tree.map(flat, carry)

    def unrows(self, carry: Tree) -> Tree:
        """The inverse of `rows`."""
        return jax.tree.map(lambda a: a if len(self.batch) == 1 else a.reshape(*self.batch, *a.shape[1:]), carry)

    def flags(self, name: str, flag: Any) -> Array | None:
        """A number per step, [*batch, T] -> [T, B]; None stays."""
        if flag is None:
            return None
        flag = check_array(name, "an array of one value per step", flag)
        if flag.shape != self.step:
            raise fail(name, f"an array {self.step}, one value per step of `inputs`", flag.shape)
        return self.inside(flag)

    def lengths(self, lengths: Any) -> Array | None:
        """A length per sequence, [*batch] -> [B]; None stays."""
        if lengths is None:
            return None
        lengths = check_array("seq_lengths", "whole numbers [*batch]", lengths)
        if lengths.shape != self.batch:
            raise fail("seq_lengths", f"whole numbers {self.batch}, one per sequence of `inputs`", shown(lengths))
        return lengths.reshape(-1)


def run(
    cell: Cell,
    params: Any,
    inputs: Any,
    carry: Carry | None,
    layout: Layout,
    *,
    method: Method,
    seq_lengths: Any = None,
    reverse: bool = False,
    keep_order: bool = False,
    mask: Any = None,
    reset: Any = None,
    segment_ids: Any = None,
    key: Array | None = None,
) -> tuple[Carry, Array]:
    """`unroll` in a framework's layout: the last carry [*batch, H] each, and the outputs where their inputs stand.

    With `reverse` and not `keep_order` the outputs stand in the order in which they were computed, padding at the end.
    """
    reverse, keep_order = check_flag("reverse", reverse), check_flag("keep_order", keep_order)
    lengths = layout.lengths(seq_lengths)
    end, ys = unroll(
        cell,
        params,
        layout.inside(check_array("inputs", "an array of numbers", inputs)),
        None if carry is None else layout.rows(carry),
        mask=layout.flags("mask", mask),
        reset=layout.flags("reset", reset),
        segment_ids=layout.flags("segment_ids", segment_ids),
        lengths=lengths,
        reverse=reverse,
        key=key,
        method=method,
    )
    if reverse and not keep_order:
        ys = turned(ys, lengths)
    return layout.unrows(end), layout.outside(ys)


def turned(ys: Array, lengths: Array | None) -> Array:
    """Rows of [T, B, H] from their last step to their first; what stands behind their lengths stays."""
    if lengths is None:
        return ys[::-1]
    places = jnp.arange(ys.shape[0])[:, None]  # [T, 1]
    lengths = lengths.astype(places.dtype)[None]  # [1, B]
    places = jnp.where(places < lengths, lengths - 1 - places, places)
    return jnp.take_along_axis(ys, places[..., None], axis=0)
