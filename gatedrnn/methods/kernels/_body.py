"""What a kernel does: one tile of the batch through one chunk of time, by `advance` or `retreat` of `_loops`.

Arguments are trees of references, [C, R, L] for what changes from step to step, [R, L] for carries, [L, L] for U.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry
from gatedrnn._jax import pallas, without_rules
from gatedrnn.methods._loops import Inputs, Pulls, advance, retreat
from gatedrnn.methods.kernels._budget import Tiles

Step = Callable[[Any, Any], Any]


class Weights(NamedTuple):
    """What the loops read of the weights: h -> h U_g + b_g, and the units' own.

    Attributes:
        u: per gate U [H, H], in the weights' dtype; or its diagonal [1, H]. Inside a kernel: `Products`.
        b: per gate [1, H].
        unit: as `Params.spread` gives it, of [1, H].
    """

    u: Any
    b: tuple[Array, ...] = ()
    unit: tuple[Any, ...] = ()


class Part(NamedTuple):
    """Which steps a program runs.

    Attributes:
        tiles: R, L, C.
        steps: K.
        units: H.
        reverse: whether the last step is run first.
        resident: whether U is read once and kept; else it is read where it lies, close enough.
    """

    tiles: Tiles
    steps: int
    units: int
    reverse: bool
    resident: bool

    @property
    def chunks(self) -> int:
        """How many chunks there are, run one after the other."""
        return -(-self.steps // self.tiles.chunk)

    def block(self, index: Any) -> Any:
        """The place of the chunk that is run as the `index`-th."""
        return self.chunks - 1 - index if self.reverse else index


class Products(Protocol):
    """The products of one program with U; `t` is the step.

    Attributes:
        shape: of an array of one step, as the program sees it.
    """

    @property
    def shape(self) -> tuple[int, int]: ...

    def there(self) -> Array:
        """Which units are any of the cell's, bool."""

    def each(self, h: Array, t: Any) -> tuple[Array, ...]:
        """h U_g of every gate."""

    def total(self, dgates: Sequence[Array], t: Any) -> Array:
        """The sum of dgates_g U_g over the gates."""


class Dots:
    """`Products` by `jnp.dot`, of [R, L]."""

    def __init__(self, part: Part, u: tuple[Any, ...]) -> None:
        self.part, self.shape = part, part.tiles[:2]
        self.u = _read(u) if part.resident else u

    def there(self) -> Array:
        return lax.broadcasted_iota(jnp.int32, self.shape, 1) < self.part.units

    def each(self, h: Array, t: Any) -> tuple[Array, ...]:
        return tuple(product(h, u[...]) for u in self.u)

    def total(self, dgates: Sequence[Array], t: Any) -> Array:
        return sum_of([product(dgate, u[...]) for dgate, u in zip(dgates, self.u, strict=True)])


def product(h: Array, u: Array) -> Array:
    """h U for one gate: h [R, H], U [H, H] or its diagonal [1, H]; summed in float32."""
    if u.shape[-2] == 1:
        return h * jnp.broadcast_to(u, h.shape)
    return jnp.dot(h.astype(u.dtype), u, preferred_element_type=jnp.float32)


def forward(
    cell: Cell,
    part: Part,
    inputs: Inputs,
    start: Carry,
    initial: Carry | None,
    weights: Weights,
    after: Sequence[Any],
    end: Carry,
) -> None:
    """Writes the first parts of the carry after every step, and the last carry."""
    products: Products = weights.u
    cell = replace(cell, pointwise=without_rules(cell.pointwise))  # of a rule not every backend knows anything
    spread = lambda ref: jnp.broadcast_to(ref[...], products.shape)
    biases, unit, first = jax.tree.map(spread, weights.b), jax.tree.map(spread, weights.unit), _read(initial)
    there = products.there() if part.tiles.lanes > part.units else None

    def hear(t: Any, h: Array) -> tuple[Array, ...]:
        if there is not None:
            h = jnp.where(there, h, jnp.zeros_like(h))  # what `pointwise` makes of zeros may be no number
        return tuple(made + b for made, b in zip(products.each(h, t), biases, strict=True))

    def step(t: Any, carry: Carry) -> Carry:
        mask, reset = (_flag(ref, t, products.shape) for ref in (inputs.mask, inputs.reset))
        here = Inputs(_at(inputs.gates_x, t), _at(inputs.damp, t), mask, reset)
        carry, _ = advance(cell, functools.partial(hear, t), unit, first, carry, here)
        for ref, value in zip(after, carry, strict=False):
            ref[t] = value
        return carry

    _loop(part, start, end, step)


def backward(
    order: list[int], clip: float | None, part: Part, pulls: Pulls, state: Any, weights: Weights, found: Any, end: Any
) -> None:
    """Writes the carry's cotangent after every step, and, as `state` and `end`, those of carry and `initial` before."""
    products: Products = weights.u

    def step(t: Any, state: Any) -> Any:
        run, reset = (_flag(ref, t, products.shape) for ref in (pulls.run, pulls.reset))
        here = Pulls(_at(pulls.dh, t), _at(pulls.blocks, t), None, _at(pulls.damp, t), run, reset)
        state, dcarry = retreat(order, clip, lambda dgates: products.total(dgates, t), state[0], state[1], here)
        for ref, value in zip(found, dcarry, strict=True):
            ref[t] = value
        return state

    _loop(part, state, end, step)


def sum_of(terms: Sequence[Array]) -> Array:
    """From first to last."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _read(refs: Any) -> Any:
    return jax.tree.map(lambda ref: ref[...], refs)


def _at(refs: Any, t: Any) -> Any:
    return jax.tree.map(lambda ref: ref[t], refs)


def _flag(ref: Any, t: Any, shape: tuple[int, ...]) -> Array | None:
    """Numbers [C, R, 1] -> bool [R, L] of the step."""
    return None if ref is None else jnp.broadcast_to(ref[t], shape) > 0


def _loop(part: Part, start: Any, end: Any, step: Step) -> None:
    """Carries values from `start` through the steps of a chunk into `end`, which lives on between chunks."""
    pl, _ = pallas()
    begin = start
    chunk = part.tiles.chunk
    bound: Any = np.int32(chunk)
    if part.chunks > 1:
        index = pl.program_id(1)
        pl.when(index == 0)(lambda: _write(end, _read(begin)))
        start = end
        if part.steps % chunk:
            bound = jnp.minimum(bound, np.int32(part.steps) - part.block(index) * bound)
    last = np.int32(1)
    run = lambda i, carry: step(bound - last - i if part.reverse else i, carry)
    with jax.enable_x64(False):  # where it is on JAX would count in int64, which kernels do not know
        found = lax.fori_loop(np.int32(0), bound, run, _read(start))
    _write(end, found)


def _write(refs: Any, values: Any) -> None:
    for ref, value in zip(jax.tree.leaves(refs), jax.tree.leaves(values), strict=True):
        ref[...] = value
