"""The two loops of a segment, which alone wait for the carry: as scans here, as kernels in `kernels`.

forward    carry, gates_x [K, B, H]  -> the carry after every step
backward   dcarry, blocks [K, B, H]  -> the cotangent of the carry after every step

One step of either is `advance` or `retreat`, whatever loops over it.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn._forms import Carry, Gates
from gatedrnn._jacobian import Blocks, gate_cotangents, recurrence, through, weigh
from gatedrnn._jax import scan
from gatedrnn._step import restart, select, within
from gatedrnn.linear import split


class Inputs(NamedTuple):
    """What the forward loop reads at every step, [K, B, H] or [K, B] each.

    Attributes:
        gates_x: as `project` gives them.
        damp: what h is multiplied by on its way to `recur`, or None.
        mask: bool, or None.
        reset: bool, or None.
    """

    gates_x: Gates
    damp: Array | None
    mask: Array | None
    reset: Array | None


def read_inputs(cell: Cell, params: Any, x: Array, mask: Array | None, reset: Array | None) -> Inputs:
    """Of x [..., D]: of a whole segment, or of one step."""
    return Inputs(cell.project(params.input, x), damping(cell, params, x), mask, reset)


def damping(cell: Cell, params: Any, x: Array) -> Array | None:
    """What h is multiplied by, for x [..., D]; no gradient reaches it."""
    return None if cell.damp is None else lax.stop_gradient(cell.damp(params.input, x))


class Pulls(NamedTuple):
    """What the backward loop reads at every step, [K, B, H] or [K, B] each.

    Attributes:
        dh: cotangents of the outputs.
        blocks: of every part of the carry, without those of the units' weights and those that stand apart.
        norm: of every step the transposed derivative of `cell.norm`, a pytree of [K, ...]; None without one.
        damp: as in `Inputs`.
        run: the mask, where cotangents are clipped: a masked step is as if deleted, and clips nothing.
        reset: as in `Inputs`.
    """

    dh: Array
    blocks: list[Blocks]
    norm: Any
    damp: Array | None
    run: Array | None
    reset: Array | None


class Kept(NamedTuple):
    """What the forward loop hands on of every step, [K, B, H] each.

    Attributes:
        parts: the first parts of the carry after it, at least h; all, or those from which the rest is replayed.
        gates: the recurrent halves of its gates; () where they are recomputed.
    """

    parts: tuple[Array, ...]
    gates: Gates = ()


class Loops(Protocol):
    """A hashable value with both loops; `B` may be absent from every shape where they allow it.

    Attributes:
        plain: where no derivative is asked for, one `lax.scan` of the cell's step runs in the place of segments.
    """

    @property
    def plain(self) -> bool: ...

    def runs_once(self, carry: Carry, kept: bool) -> bool:
        """Whether the forward loop runs once, over the whole sequence, and not segment by segment.

        `plain` loops then project as they go; others read one product for all steps. It compiles sooner. With `kept`
        the whole carry is kept, so that what a segment starts from can be taken from it.
        """

    def weights(self, cell: Cell, params: Any, h: Array) -> Any:
        """What the forward loop reads of the weights, laid out once for a whole sequence; h as in the carry."""

    def adjoint(self, cell: Cell, params: Any, h: Array) -> Any:
        """What the backward loop reads of them, likewise."""

    def forward(
        self, cell: Cell, weights: Any, start: Carry, initial: Carry, inputs: Any, reverse: bool, kept: bool
    ) -> tuple[Carry, Kept]:
        """The last carry, and what is known of every step: h, and with `kept` what the backward pass is given.

        `inputs` are `Inputs`; or x, mask and reset, where `plain` loops run once.
        """

    def backward(
        self,
        order: list[int],
        clip: float | None,
        adjoint: Any,
        dcarry: Carry,
        dinitial: Carry,
        pulls: Pulls,
        reverse: bool,
    ) -> tuple[Carry, Carry, Carry]:
        """The cotangents of the carry before the segment and of `initial`; and of every step's, [K, B, H] each.

        `order` is that of the parts, each after those that it reads; `reverse` whether the last step comes first.
        """


@jax.tree_util.register_static
@dataclass(frozen=True)
class Scans:
    """Both loops by `lax.scan`.

    Attributes:
        plain: as in `Loops`.
        laid_out: U^T is laid out before the loop; else every step transposes as it goes, which takes longer, but
            nothing before the first.
        keeps: the whole carry and the gates' recurrent halves are kept, and not computed again from h: of a cell
            without `norm`.
        saves: the whole carry is kept, the gates are computed again.
        once: the forward loop runs once, as in `Loops`, wherever the whole carry is kept or nothing is.
    """

    plain: bool = False
    laid_out: bool = True
    keeps: bool = False
    saves: bool = False
    once: bool = False

    def check(self, cell: Cell) -> None:
        """Raises ValueError where these loops do not run such a cell."""
        if self.keeps and cell.norm is not None:
            raise fail("keeps", f"False for the cell {cell.name!r}, which has a `norm`", self.keeps)

    def runs_once(self, carry: Carry, kept: bool) -> bool:
        return self.once and (not kept or self.keeps or self.saves or len(carry) == 1)

    def weights(self, cell: Cell, params: Any, h: Array) -> Any:
        return params, params.spread(h)

    def adjoint(self, cell: Cell, params: Any, h: Array) -> Callable[[Sequence[Array]], Array]:
        if self.laid_out:
            return recurrence(cell, params, h).transposed
        like = jnp.zeros_like(h, shape=h.shape[1:])  # [B, H]
        product = jax.linearize(lambda h: tuple(cell.recur(params.recurrent, h)), like)[1]
        pull = jax.linear_transpose(product, like)
        return lambda dgates: pull(tuple(dgates))[0]

    def forward(
        self, cell: Cell, weights: Any, start: Carry, initial: Carry, inputs: Any, reverse: bool, kept: bool
    ) -> tuple[Carry, Kept]:
        params, unit = weights
        hear = functools.partial(cell.heard, params)
        whole, parts = self.keeps and kept, (self.keeps or self.saves) and kept

        def step(carry: Carry, inputs: Any) -> tuple[Carry, Kept]:
            inputs = inputs if isinstance(inputs, Inputs) else read_inputs(cell, params, *inputs)
            after, gates_h = advance(cell, hear, unit, initial, carry, inputs)
            return after, Kept(tuple(after) if parts else (after.h,), gates_h if whole else ())

        return scan(step, start, inputs, reverse=reverse)

    def backward(
        self,
        order: list[int],
        clip: float | None,
        adjoint: Any,
        dcarry: Carry,
        dinitial: Carry,
        pulls: Pulls,
        reverse: bool,
    ) -> tuple[Carry, Carry, Carry]:
        def step(state: tuple[Carry, Carry], pulls: Pulls) -> tuple[tuple[Carry, Carry], Array]:
            state, dcarry = retreat(order, clip, adjoint, *state, pulls)
            return state, jnp.concatenate(dcarry, axis=-1)  # one row to stack

        (dcarry, dinitial), stacked = scan(step, (dcarry, dinitial), pulls, reverse=reverse)
        return dcarry, dinitial, dcarry._make(split(stacked, len(dcarry)))


def advance(
    cell: Cell, hear: Callable[[Array], Gates], unit: tuple[Any, ...], initial: Carry, carry: Carry, inputs: Inputs
) -> tuple[Carry, Gates]:
    """The carry after a step from `carry`, and the gates' recurrent halves, to which `hear` takes h."""
    before = restart(inputs.reset, initial, carry)
    gates_h = tuple(hear(before.h if inputs.damp is None else before.h * inputs.damp))
    return select(inputs.mask, cell.pointwise(inputs.gates_x, gates_h, before, *unit), carry), gates_h


def retreat(
    order: list[int],
    clip: float | None,
    transposed: Callable[[Sequence[Array]], Array],
    dcarry: Carry,
    dinitial: Carry,
    pulls: Pulls,
) -> tuple[tuple[Carry, Carry], Carry]:
    """The cotangents of the carry before a step and of `initial`, and that of the carry after the step, in full.

    `transposed` takes the cotangents of the gates' recurrent halves to that of h.
    """
    blocks = pulls.blocks
    dcarry = through(order, blocks, dcarry._replace(h=dcarry.h + pulls.dh))
    dbefore = dcarry._make(weigh([block.before[i] for block in blocks], dcarry) for i in range(len(dcarry)))
    dgates = tuple(gate_cotangents(blocks, dcarry))
    dread = transposed(dgates if pulls.norm is None else pulls.norm(dgates)[0])
    dbefore = dbefore._replace(h=dbefore.h + (dread if pulls.damp is None else dread * pulls.damp))
    dbefore = dbefore if clip is None else select(pulls.run, within(clip, dbefore), dbefore)
    if pulls.reset is not None:
        zeros = jax.tree.map(jnp.zeros_like, dbefore)
        dinitial = jax.tree.map(jnp.add, dinitial, select(pulls.reset, dbefore, zeros))
        dbefore = restart(pulls.reset, zeros, dbefore)
    return (dbefore, dinitial), dcarry
