"""A model of another framework and the same one here: both compiled, compared, then timed in turns.

loss(ys) = sum over the steps that are there of ys^2, divided by their number
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.shared import Row
from benchmarks.speed.clock import milliseconds
from benchmarks.speed.measures import difference, summary

TOLERANCE = 1e-4
"""Of the largest entry of each array; float32 gives about a tenth of it at 500 steps."""


class Given(NamedTuple):
    """The problem.

    Attributes:
        xs: inputs, [T, B, D].
        lengths: of the rows, whole numbers [B].
        hidden: H.
    """

    xs: Array
    lengths: Array
    hidden: int

    @property
    def there(self) -> Array:
        """Bool [T, B, 1]: the steps that are there."""
        return jnp.arange(self.xs.shape[0])[:, None, None] < self.lengths[None, :, None]


class Side(NamedTuple):
    """One side, compiled.

    Attributes:
        outputs: runs it forward; [T, B, H], whatever stands behind the lengths.
        gradient: runs it forward and back and waits; the gradients in its weights and in xs [T, B, D].
        temp_bytes: what the compiled program holds beyond its arguments and results; None of what JAX does not compile.
    """

    outputs: Callable[[], Any]
    gradient: Callable[[], tuple[Any, Any]]
    temp_bytes: int | None = None


class Pair(NamedTuple):
    """A model and ours of it.

    Attributes:
        model: theirs, in a few words.
        here: ours, in a few words.
        theirs: theirs, compiled.
        ours: ours, compiled.
        renamed: gradients in our weights -> the same in theirs.
    """

    model: str
    here: str
    theirs: Side
    ours: Side
    renamed: Callable[[Any], Any]


Run = Callable[[Any, Array], Array]
"""`(weights, xs [T, B, D]) -> ys [T, B, H]`."""


def in_jax(run: Run, weights: Any, given: Given) -> Side:
    """A side that JAX compiles, forward and back at once."""

    def loss(weights: Any, xs: Array) -> Array:
        ys = jnp.where(given.there, run(weights, xs), 0.0)
        return jnp.sum(ys**2) / given.lengths.sum().astype(ys.dtype)

    arguments = (weights, given.xs)
    gradient = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(*arguments).compile()
    memory = gradient.memory_analysis()
    return Side(
        lambda: jax.jit(run)(*arguments),
        lambda: jax.block_until_ready(gradient(*arguments)),
        None if memory is None else memory.temp_size_in_bytes,
    )


def through(convert: Callable[[Any], Any], weights: Any) -> Callable[[Any], Any]:
    """Gradients in ours of their weights, by the conversion's transpose."""
    return lambda dparams: jax.vjp(convert, weights)[1](dparams)[0]


def measured(name: str, pair: Pair, given: Given, turns: int) -> Row:
    """A row: how far the two differ, their times in turns, their memory.

    Raises:
        SystemExit: they compute other numbers; nothing is timed then.
    """
    there = np.asarray(given.there)
    ys, want = (np.where(there, np.asarray(side.outputs()), 0.0) for side in (pair.ours, pair.theirs))
    (dparams, dxs), theirs = pair.ours.gradient(), pair.theirs.gradient()
    errors = {"outputs": difference(ys, want), "gradients": difference((pair.renamed(dparams), dxs), theirs)}
    if not all(error < TOLERANCE for error in errors.values()):
        raise SystemExit(f"{name}: other numbers, {errors}")
    sides = {"theirs": pair.theirs, "ours": pair.ours}
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(turns):
        for side, ready in sides.items():
            times[side].append(milliseconds(ready.gradient))
    row: Row = {"peer": name, "model": pair.model, "here": pair.here, "errors": errors}
    for side, ready in sides.items():
        row[side] = {**(summary(times[side]) or {}), "temp_bytes": ready.temp_bytes}
    return row
