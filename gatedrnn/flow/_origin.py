"""Where the first number that is not finite arose: a recurrence run again with a look at every step.

forward:   the smallest t at which x_t, carry_t or y_t is not finite, while carry_{t-1} is
backward:  the largest t at which dL/dcarry before step t is not finite, while what arrived at step t is
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._jax import scan
from gatedrnn._sequence import Sequence, check_sequence
from gatedrnn._step import guarded_step, select
from gatedrnn._unroll import unroll
from gatedrnn.flow._audited import of_loss, outputs, under
from gatedrnn.flow._watched import Probe


class Origin(NamedTuple):
    """Where a number was first not finite.

    Attributes:
        tensor: `params.` and the place of a weight, `xs`, `carry.` and a part of the carry, `ys`, `loss`, `dL/dys`,
            `dL/dcarry.` and a part, or `dL/dparams.` and a weight.
        time: the time step, counted from 0; None where the tensor has none. Of a weight's gradient that whose share of
            it is not finite, the last one; None where only their sum is not, or a network reads backwards.
        row: of the batch, likewise.
    """

    tensor: str
    time: int | None = None
    row: int | None = None

    def __str__(self) -> str:
        where = [
            f"{name} {value}" for name, value in (("time step", self.time), ("row", self.row)) if value is not None
        ]
        return f"`{self.tensor}`" + (f" at {', '.join(where)}" if where else "")


def origin(probe: Probe) -> Origin | None:
    """Where in a recurrence, its loss and its gradient the first such number arose; None where all are finite.

    In this order: weights, first carry, forward by time, the loss's gradient at the outputs, the loss, backward against
    time, the gradient in the weights. Where several rows break at one step it is the first of them; of a carry's parts
    the last, which the others read. Of a network that reads backwards it is, before its outputs, the input.
    """
    cell, params, xs, loss, carry, mask, reset = probe
    for name, leaf in zip(under("params", params), jax.tree.leaves(params), strict=True):
        if not _finite(leaf):
            return Origin(name)
    sequence = check_sequence(cell, params, xs, carry, mask, reset, stepwise=False)
    batched = jnp.ndim(xs) == 3
    if cell.causal:
        found = _forward(cell, params, sequence)
        if found is not None:
            return found
    elif not _finite(_read(sequence)):
        return _first("xs", _read(sequence))
    ys = outputs(cell, params, sequence)
    if not _finite(ys):
        return _first("ys", ys)
    dys = of_loss(loss, ys, batched)
    if not _finite(dys):
        return _first("dL/dys", dys)
    if not _finite(loss(ys if batched else ys[:, 0])):
        return Origin("loss")
    if cell.causal:
        found = _backward(cell, params, sequence, dys)
        if found is not None:
            return found
    run = lambda params: unroll(cell, params, xs, carry, mask=mask, reset=reset)[1]
    (gradient,) = jax.vjp(run, params)[1](dys if batched else dys[:, 0])
    broken = [not _finite(leaf) for leaf in jax.tree.leaves(gradient)]
    if not any(broken):
        return None
    leaf = broken.index(True)
    time, row = _share(cell, params, sequence, dys, leaf) if cell.causal else (None, None)
    return Origin(under("dL/dparams", params)[leaf], time, row)


def _share(cell: Cell, params: Any, sequence: Sequence, dys: Array, leaf: int) -> tuple[int | None, int | None]:
    """The step and row whose share of a weight's gradient is not finite: the last step, and its first row."""
    _, sound, arriving, inputs = _looked_back(cell, params, sequence, dys)
    steps = np.flatnonzero(~np.asarray(sound[leaf]))  # [T]
    if not len(steps):
        return None, None
    time = int(steps[-1])
    rows = _looked_across(cell, params, sequence, *jax.tree.map(lambda a: a[time], (arriving, inputs)))[leaf]  # [B]
    return time, int(np.asarray(rows).argmin())


def _finite(a: Any) -> bool:
    return bool(jnp.isfinite(a).all())


def _first(tensor: str, a: Array) -> Origin:
    time, row, *_ = np.argwhere(~np.asarray(jnp.isfinite(a)))[0].tolist()  # [T, B, ...]
    return Origin(tensor, time, row)


def _forward(cell: Cell, params: Any, sequence: Sequence) -> Origin | None:
    names = under("carry", sequence.carry)
    begin = np.asarray(_rows(sequence.carry))  # [parts, B]
    if begin.any():
        part, row = np.argwhere(begin)[0].tolist()
        return Origin(f"{names[part]} before the first step", None, row)
    broken = np.asarray(_looked_forward(cell, params, sequence))  # [T, 1 + parts + 1, B]
    return _earliest(broken, ["xs", *names[::-1], "ys"])


def _backward(cell: Cell, params: Any, sequence: Sequence, dys: Array) -> Origin | None:
    names = under("dL/dcarry", sequence.carry)
    broken = np.asarray(_looked_back(cell, params, sequence, dys)[0])[::-1]  # [T, parts, B], the last step first
    found = _earliest(broken, names)
    return None if found is None or found.time is None else found._replace(time=len(broken) - 1 - found.time)


def _earliest(broken: Any, names: list[str]) -> Origin | None:
    """The first row of the first step, [T, parts, B], at which any part is broken, and the first of those."""
    steps = np.flatnonzero(broken.any((1, 2)))
    if not len(steps):
        return None
    time = int(steps[0])
    row = int(broken[time].any(0).argmax())
    return Origin(names[int(broken[time, :, row].argmax())], time, row)


def _rows(tree: Any) -> Array:
    """Which rows of each leaf [B, ...] hold a number that is not finite: [leaves, B]."""
    return jnp.stack([~jnp.isfinite(a).all(tuple(range(1, a.ndim))) for a in jax.tree.leaves(tree)])


@functools.partial(jax.jit, static_argnums=0)
def _looked_forward(cell: Cell, params: Any, sequence: Sequence) -> Array:
    step = guarded_step(cell, params, sequence.initial)

    def look(carry: Any, forced: Any) -> tuple[Any, Array]:
        after, y = step(carry, forced)
        return after, jnp.concatenate(
            [_rows(forced[0]), _rows(after)[::-1], _rows(select(forced[1], y, jnp.zeros_like(y)))]
        )

    return scan(look, sequence.carry, (_read(sequence), sequence.mask, sequence.reset))[1]


@functools.partial(jax.jit, static_argnums=0)
def _looked_back(
    cell: Cell, params: Any, sequence: Sequence, dys: Array
) -> tuple[Array, list[Array], Any, tuple[Any, Any, Array]]:
    """Every step's broken dL/dcarry, [T, parts, B], sound shares of each gradient, [T], what arrives, what goes in."""
    step = guarded_step(cell, params, sequence.initial)
    forced = (_read(sequence), sequence.mask, sequence.reset)
    _, before = scan(lambda carry, forced: (step(carry, forced)[0], carry), sequence.carry, forced)
    inputs = (before, forced, _run_only(sequence.mask, dys))

    def look(dcarry: Any, inputs: Any) -> tuple[Any, Any]:
        dbefore, dparams = _pulled(cell, params, sequence.initial, dcarry, inputs)
        sound = [jnp.isfinite(a).all() for a in jax.tree.leaves(dparams)]
        return dbefore, (_rows(dbefore), sound, dcarry)

    nothing = jax.tree.map(jnp.zeros_like, sequence.carry)
    return (*scan(look, nothing, inputs, reverse=True)[1], inputs)


@functools.partial(jax.jit, static_argnums=0)
def _looked_across(cell: Cell, params: Any, sequence: Sequence, dcarry: Any, inputs: Any) -> list[Array]:
    """Sound shares of each weight's gradient at one step, [B] each; row after row, since each is as large as all."""

    def look(row: Any) -> list[Array]:
        initial, dcarry, inputs = jax.tree.map(lambda a: a[None], row)
        _, dparams = _pulled(cell, params, initial, dcarry, inputs)
        return [jnp.isfinite(a).all() for a in jax.tree.leaves(dparams)]

    return lax.map(look, (sequence.initial, dcarry, inputs))


def _pulled(cell: Cell, params: Any, initial: Any, dcarry: Any, inputs: Any) -> tuple[Any, Any]:
    """dL/dcarry before a step, and the step's share of dL/dparams."""
    before, forced, dy = inputs
    run = lambda params, carry: guarded_step(cell, params, initial)(carry, forced)
    (_, y), pull = jax.vjp(run, params, before)
    dparams, dbefore = pull((dcarry, dy.astype(y.dtype)))
    return dbefore, dparams


def _read(sequence: Sequence) -> Array:
    """The inputs with zeros at masked steps, [T, B, D]."""
    return _run_only(sequence.mask, sequence.xs)


def _run_only(mask: Array | None, a: Array) -> Array:
    """Zeros at masked steps of [T, B, ...]."""
    return select(mask, a, jnp.zeros_like(a))
