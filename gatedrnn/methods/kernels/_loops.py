"""Both loops of `segmented` as kernels, with the same sums as its scans; what is differentiated further is a scan."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import block_diag

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry
from gatedrnn._jacobian import recurrence
from gatedrnn._jax import scan
from gatedrnn._primitives import alike
from gatedrnn.methods._loops import Inputs, Kept, Pulls, advance, retreat
from gatedrnn.methods.kernels import _body as body
from gatedrnn.methods.kernels._backend import Backend
from gatedrnn.methods.kernels._body import Part, Weights, product, sum_of
from gatedrnn.methods.kernels._call import load_of
from gatedrnn.methods.kernels._pad import cut, filled, flag_stream, padded


@jax.tree_util.register_static
@dataclass(frozen=True)
class Kernels:
    """One kernel per segment and direction.

    Attributes:
        backend: for which device.
        interpret: whether Pallas interprets the kernels, anywhere.
    """

    backend: Backend
    interpret: bool

    plain = False

    def runs_once(self, carry: Carry, kept: bool) -> bool:
        return False

    def weights(self, cell: Cell, params: Any, h: Array) -> Weights:
        """U of every gate, in the weights' dtype; b; weights of the units."""
        row = jnp.zeros_like(h, shape=(1, h.shape[-1]))
        unit = jax.tree.map(lambda a: a.astype(h.dtype)[None], (params.unit,) if jax.tree.leaves(params.unit) else ())
        return Weights(_matrices(cell, params, h), tuple(cell.recur(params.recurrent, row)), unit)

    def adjoint(self, cell: Cell, params: Any, h: Array) -> Weights:
        """U^T of every gate, in the weights' dtype."""
        return Weights(tuple(u.T if u.shape[0] > 1 else u for u in _matrices(cell, params, h)))

    def forward(
        self, cell: Cell, weights: Weights, start: Carry, initial: Carry, inputs: Inputs, reverse: bool, kept: bool
    ) -> tuple[Carry, Kept]:
        """As `Loops.forward`; every part of the carry is kept."""
        how = (cell, reverse, len(start) if kept else 1)
        fused, plain = functools.partial(_forward, self, *how), functools.partial(_plain_forward, *how)
        end, parts = alike(fused, plain, weights, start, None if inputs.reset is None else initial, inputs)
        return end, Kept(parts)

    def backward(
        self,
        order: list[int],
        clip: float | None,
        adjoint: Weights,
        dcarry: Carry,
        dinitial: Carry,
        pulls: Pulls,
        reverse: bool,
    ) -> tuple[Carry, Carry, Carry]:
        """As `Loops.backward`."""
        how = (order, clip, reverse)
        fused, plain = functools.partial(_backward, self, *how), functools.partial(_plain_backward, *how)
        state = (dcarry, None if pulls.reset is None else dinitial)
        (dcarry, summed), dcarries = alike(fused, plain, adjoint, state, pulls)
        return dcarry, dinitial if summed is None else summed, dcarries


def _matrices(cell: Cell, params: Any, h: Array) -> tuple[Array, ...]:
    """U of every gate [H, H], one matrix also where it is one per head; its diagonal [1, H] where it is one."""
    found = recurrence(cell, params, h)
    if found.kind == "diagonal":
        return tuple(u[None] for u in found.u)
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(params.recurrent)}
    dtype = dtypes.pop() if len(dtypes) == 1 else h.dtype
    return tuple((u if u.ndim == 2 else block_diag(*u)).astype(dtype) for u in found.u)


def _forward(
    kernels: Kernels,
    cell: Cell,
    reverse: bool,
    count: int,
    weights: Weights,
    start: Carry,
    initial: Carry | None,
    inputs: Inputs,
) -> tuple[Carry, tuple[Array, ...]]:
    """The last carry, and `count` of its parts after every step."""
    streams, flags = (inputs.gates_x, inputs.damp), (inputs.mask, inputs.reset)
    load = load_of(streams, flags, (start, initial), weights, (count, len(start)))
    part, reads = _cut(kernels, load, streams, flags, (start, initial), weights, start.h.shape, reverse)

    def run(streams: Any, held: Any, weights: Weights, after: Any, end: Any) -> None:
        (gates_x, damp), (mask, reset) = streams
        body.forward(cell, part, Inputs(gates_x, damp, mask, reset), held[0], held[1], weights, after, end)

    writes = (tuple(start)[:count], start)
    after, end = cut(kernels.backend.run(kernels.interpret, "forward_steps", run, part, reads, writes), *start.h.shape)
    return end, after


def _plain_forward(
    cell: Cell, reverse: bool, count: int, weights: Weights, start: Carry, initial: Carry | None, inputs: Inputs
) -> tuple[Carry, tuple[Array, ...]]:
    """The same by a scan."""
    unit = jax.tree.map(lambda a: jnp.broadcast_to(a, start.h.shape), weights.unit)

    def recur(h: Array) -> tuple[Array, ...]:
        pairs = zip(weights.u, weights.b, strict=True)
        return tuple(product(h, u) + jnp.broadcast_to(b, h.shape) for u, b in pairs)

    def step(carry: Carry, inputs: Inputs) -> tuple[Carry, tuple[Array, ...]]:
        after, _ = advance(cell, recur, unit, initial, carry, inputs)
        return after, tuple(after)[:count]

    return scan(step, start, inputs, reverse=reverse)


def _backward(
    kernels: Kernels,
    order: list[int],
    clip: float | None,
    reverse: bool,
    adjoint: Weights,
    state: Any,
    pulls: Pulls,
) -> tuple[Any, Carry]:
    """The cotangents of the carry before the segment and of `initial`, as `state` comes; that after every step."""
    dcarry = state[0]
    streams, flags = (pulls.dh, pulls.blocks, pulls.damp), (pulls.run, pulls.reset)
    load = load_of(streams, flags, state, adjoint, (len(dcarry), len(jax.tree.leaves(state))))
    part, reads = _cut(kernels, load, streams, flags, state, adjoint, dcarry.h.shape, reverse)

    def run(streams: Any, state: Any, adjoint: Weights, found: Any, end: Any) -> None:
        (dh, blocks, damp), (run, reset) = streams
        body.backward(order, clip, part, Pulls(dh, blocks, None, damp, run, reset), state, adjoint, found, end)

    found = kernels.backend.run(kernels.interpret, "backward_steps", run, part, reads, (dcarry, state))
    dcarries, state = cut(found, *dcarry.h.shape)
    return state, dcarries


def _plain_backward(
    order: list[int], clip: float | None, reverse: bool, adjoint: Weights, state: Any, pulls: Pulls
) -> tuple[Any, Carry]:
    """The same by a scan."""
    transposed = lambda dgates: sum_of([product(d, u) for d, u in zip(dgates, adjoint.u, strict=True)])
    step = lambda state, pulls: retreat(order, clip, transposed, state[0], state[1], pulls)
    return scan(step, state, pulls, reverse=reverse)


def _cut(
    kernels: Kernels,
    load: Any,
    streams: Any,
    flags: Any,
    held: Any,
    weights: Weights,
    shape: tuple[int, int],
    reverse: bool,
) -> tuple[Part, tuple[Any, Any, Any]]:
    """How a kernel is cut, and what it reads, in whole tiles."""
    steps, (batch, units) = jax.tree.leaves(streams)[0].shape[0], shape
    tiles = kernels.backend.tiles(load, steps, batch, units)
    if tiles is None:
        raise RuntimeError(f"a kernel of {load} does not fit; `verdict` should have said so")
    marks = tuple(flag_stream(flag, tiles) for flag in flags)
    whole = jax.tree.map(lambda a: filled(a, tiles.lanes if a.shape[0] > 1 else 1, tiles.lanes), weights)
    part = Part(tiles, steps, units, reverse, kernels.backend.resident)
    return part, ((padded(streams, tiles), marks), padded(held, tiles), whole)
