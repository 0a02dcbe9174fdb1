"""What every function over a sequence does first: check its arguments, and keep away what must not be read.

Masked inputs become zero. With resets, a row that meets a NaN or an infinity is computed on zeros instead, and is
marked poisoned until its next reset; whoever returns outputs adds NaN there (`poison`). So a cotangent that is zero
because the loss lies in a later episode never meets 0 * NaN.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._check import check_array, check_flag, fail
from gatedrnn._contract import check_fit, check_params
from gatedrnn._forms import Carry, Params
from gatedrnn._step import select


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["xs", "carry", "initial", "mask", "reset", "poisoned", "targets"],
    meta_fields=["reverse"],
)
@dataclass(frozen=True)
class Sequence:
    """One checked, batched, time-major problem: what a method runs a cell over.

    Attributes:
        xs: inputs, [T, B, D].
        carry: the carry before the first step, [B, ...] each.
        initial: the carry that a reset restarts from, like `carry`.
        mask: bool [T, B], or None.
        reset: bool [T, B], or None.
        reverse: whether the last step is run first.
        poisoned: bool [T, B], the steps whose output must be NaN; or None.
        targets: of a `Readout`, pytree of [T, B, ...].
    """

    xs: Array
    carry: Carry
    initial: Carry
    mask: Array | None = None
    reset: Array | None = None
    reverse: bool = False
    poisoned: Array | None = None
    targets: Any = ()

    @property
    def steps(self) -> dict[str, Any]:
        """All that has one row per step, [T, B, ...] each: what is cut where a sequence is cut into pieces."""
        return {name: getattr(self, name) for name in ("xs", "mask", "reset", "poisoned", "targets")}

    def piece(self, steps: dict[str, Any], carry: Carry) -> Self:
        """Some of the steps, run from another carry."""
        return replace(self, carry=carry, **steps)


def check_sequence(
    cell: Cell,
    params: Any,
    xs: Any,
    carry: Carry | None,
    mask: Any = None,
    reset: Any = None,
    reverse: bool = False,
    stepwise: bool = True,
) -> Sequence:
    """Checks the arguments of a function over a sequence and gives them a batch axis where they have none.

    Args:
        cell: what is run.
        params: its weights.
        xs: as in `unroll`; so are the others.
        carry: or None.
        mask: or None.
        reset: or None.
        reverse: whether the last step is run first.
        stepwise: whether the function goes step by step, as nothing can that also reads backwards.

    Raises:
        ValueError: an argument has the wrong rank, width, dtype or structure, or the cell does not fit its weights.
    """
    if not isinstance(cell, Cell):
        raise fail("cell", "a gatedrnn.Cell, such as gatedrnn.lstm", repr(cell))
    if stepwise:
        check_causal("cell", cell)
    check_params(cell, params)
    width = input_size(params)
    xs, *flags = check_inputs(xs, mask, reset, width)
    _check_dtypes(params, xs)
    batched = xs.ndim == 3
    batch = xs.shape[1] if batched else 1
    check_fit(cell, params, xs)
    initial = cell.initial_carry(params, batch)
    carry = initial if carry is None else check_carry("carry", carry, initial, batched)
    if not batched:
        xs, flags = xs[:, None], [None if flag is None else flag[:, None] for flag in flags]
    return Sequence(xs, carry, initial, flags[0], flags[1], check_flag("reverse", reverse))


def check_inputs(xs: Any, mask: Any, reset: Any, width: int | None = None) -> tuple[Array, Array | None, Array | None]:
    """Returns inputs and flags as arrays, or raises ValueError where their shapes or dtypes do not go together."""
    xs = check_array("xs", "an array [T, B, D] or [T, D] of a floating dtype", xs)
    match = "" if width is None else f" with D = {width} to match `params.input`"
    if xs.ndim not in (2, 3) or width not in (None, xs.shape[-1]):
        raise fail("xs", f"[T, B, D] or [T, D]{match}", xs.shape)
    return xs, _check_flag("mask", mask, xs), _check_flag("reset", reset, xs)


def check_causal(argument: str, cell: Cell) -> None:
    """Raises ValueError for a network that also reads backwards, where single steps are wanted."""
    if not cell.causal:
        got = f"{cell.name!r}, which also reads backwards"
        raise fail(argument, "one that is run step by step; take each direction's cell and weights apart", got)


def unbatched(tree: Any, axis: int = 0) -> Any:
    """The inverse of the batch axis that `check_sequence` gives: its only row, from axis 0 ([B, ...]) or 1 ([T, B])."""
    return jax.tree.map(lambda a: lax.index_in_dim(a, 0, axis, keepdims=False), tree)


def input_size(params: Any) -> int | None:
    """D, where the weights follow the house layout; None for another cell's weights."""
    while (
        isinstance(params, tuple) and params and not isinstance(params, Params)
    ):  # of a network, what reads `xs` first
        params = params[0]
    weights = getattr(params, "input", None)
    weights = getattr(weights, "cell", weights)  # of a cell that is normalised
    w = weights.get("w") if isinstance(weights, dict) else None
    return w.shape[0] if w is not None and w.ndim == 2 else None


def _check_dtypes(params: Any, xs: Array) -> None:
    if not jnp.issubdtype(xs.dtype, jnp.floating):
        raise fail("xs", "of a floating dtype (encode symbols first, for example by jax.nn.one_hot)", xs.dtype)
    widths = {jnp.dtype(leaf.dtype) for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.inexact)}
    if xs.dtype == jnp.float64 and widths and jnp.dtype(jnp.float64) not in widths:
        names = ", ".join(sorted(dtype.name for dtype in widths))
        raise fail("xs", f"no wider than the weights ({names})", xs.dtype)


def _check_flag(name: str, flag: Any, xs: Array) -> Array | None:
    if flag is None:
        return None
    flag = check_array(name, "a bool array", flag)
    if flag.shape != xs.shape[:-1] or flag.dtype != jnp.bool:
        letters = "[T, B]" if xs.ndim == 3 else "[T]"
        raise fail(name, f"a bool array {letters} = {xs.shape[:-1]} to match `xs`", f"{flag.dtype} {flag.shape}")
    return flag


def check_carry(name: str, carry: Carry, initial: Carry, batched: bool) -> Carry:
    """Checks the argument `name` against a carry [B, ...] of the cell, gives it a batch axis, and matches dtypes.

    Raises:
        ValueError: its structure or its shapes are others.
    """
    expected = initial if batched else jax.tree.map(lambda a: a[0], initial)
    carry = None if isinstance(carry, Iterator) else carry  # a pytree has no leaf of that kind
    structure: Callable[[Any], Any] = jax.tree.structure
    if structure(carry) != structure(expected):
        raise fail(name, f"a {type(initial).__name__} as `cell.initial_carry` gives it", type(carry).__name__)
    carry = jax.tree.map(functools.partial(check_array, name, "a carry of floating arrays"), carry)
    for part in jax.tree.leaves(carry):
        if not jnp.issubdtype(part.dtype, jnp.floating):
            raise fail(name, "a carry of floating arrays", part.dtype)
    shapes = [part.shape for part in jax.tree.leaves(carry)]
    wanted = [part.shape for part in jax.tree.leaves(expected)]
    if shapes != wanted:
        raise fail(name, f"arrays of the shapes {wanted}, as `cell.initial_carry` gives them", shapes)
    carry = jax.tree.map(lambda a, b: a.astype(b.dtype), carry, expected)
    return carry if batched else jax.tree.map(lambda a: a[None], carry)


def check_history(name: str, carries: Carry, initial: Carry, steps: int, batched: bool) -> Carry:
    """Checks the argument `name` against carries of T = `steps` steps, [T, B, ...] each, and gives them a batch axis.

    Raises:
        ValueError: their structure or their shapes are others.
    """
    rows = [np.shape(part)[:1] for part in jax.tree.leaves(carries)]
    if any(row != (steps,) for row in rows):
        raise fail(
            name, f"carries of all T = {steps} steps, [T, B, ...] each", [np.shape(a) for a in jax.tree.leaves(carries)]
        )
    if not steps:
        return jax.tree.map(lambda a: jnp.zeros((0, *a.shape), a.dtype), initial)
    check_carry(name, jax.tree.map(lambda a: a[0], carries), initial, batched)
    found = jax.tree.map(lambda a, like: jnp.asarray(a).astype(like.dtype), carries, initial)
    return found if batched else jax.tree.map(lambda a: a[:, None], found)


def quarantine(sequence: Sequence) -> Sequence:
    """Replaces what must not be read by zeros; traceable.

    Returns:
        The cleaned sequence, with `reset` cleared where `mask` is False, and `poisoned` set to the rows that are broken
        after each step where there are resets (without any, a NaN reaches everything after it, as it should).
    """
    xs, mask, reset = sequence.xs, sequence.mask, sequence.reset
    if mask is not None:
        xs = select(mask, xs, jnp.zeros_like(xs))
        reset = None if reset is None else reset & mask
    sequence = replace(sequence, xs=xs, reset=reset)
    if reset is None or xs.shape[0] == 0:
        return sequence
    broken_x = ~jnp.isfinite(xs).all(-1)  # [T, B]
    broken_carry = ~jnp.stack([_finite_rows(part) for part in jax.tree.leaves(sequence.carry)]).all(0)  # [B]
    order = jnp.arange(xs.shape[0])  # place in the order of processing
    order = jnp.broadcast_to((order[::-1] if sequence.reverse else order)[:, None], broken_x.shape)
    # Before the first step: a broken carry counts as met at -1, a sound one as never; both count as started at -1.
    met = jnp.where(broken_x, order, jnp.where(broken_carry, -1, -2)[None])
    met = lax.cummax(met, reverse=sequence.reverse)
    started = lax.cummax(jnp.where(reset, order, -1), reverse=sequence.reverse)
    xs = select(broken_x, jnp.zeros_like(xs), xs)
    carry = select(broken_carry, jax.tree.map(jnp.zeros_like, sequence.carry), sequence.carry)
    return replace(sequence, xs=xs, carry=carry, poisoned=met >= started)


def _finite_rows(part: Array) -> Array:
    """Which rows of [B, ...] hold finite numbers only: [B]."""
    return jnp.isfinite(part).all(tuple(range(1, part.ndim)))


def apart_from_nan(sequence: Sequence, function: Callable[..., Array], *values: Array) -> Array:
    """A function of rows, of values [T, B, ...] that earlier episodes may have made NaN.

    Those rows are NaN in the result, too, and no cotangent that is zero meets one.
    """
    if sequence.reset is None:
        return function(*values)
    sound = jnp.stack([jnp.isfinite(value).all(-1) for value in values]).all(0)  # [T, B]
    clean = (select(sound, value, jnp.zeros_like(value)) for value in values)
    return poison(~sound, function(*clean))


def poison(poisoned: Array | None, tree: Any) -> Any:
    """Adds NaN to the rows where `poisoned` is True, [B] or [T, B]; a sum, so that cotangents pass unchanged."""
    if poisoned is None:
        return tree

    def rows(a: Array) -> Array:
        nan = jnp.where(poisoned, jnp.asarray(jnp.nan, a.dtype), jnp.zeros((), a.dtype))
        return a + nan.reshape(nan.shape + (1,) * (a.ndim - nan.ndim))

    return jax.tree.map(rows, tree)
