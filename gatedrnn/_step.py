"""A step with mask and reset, by selection: what an unselected value contains, NaN included, never matters.

before = reset ? initial : carry
after  = mask ? step(before) : carry
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry
from gatedrnn._primitives import linear_call


def select(flag: Array | None, chosen: Any, otherwise: Any) -> Any:
    """Row by row `chosen` where `flag [B]` is True, else `otherwise`; pytrees of [B, ...].

    Without a flag every row is chosen.
    """
    if flag is None:
        return chosen

    def rows(a: Array, b: Array) -> Array:
        return jnp.where(flag.reshape(flag.shape + (1,) * (a.ndim - flag.ndim)), a, b)

    return jax.tree.map(rows, chosen, otherwise)


def restart(reset: Array | None, initial: Carry, carry: Carry) -> Carry:
    """The carry a step begins from: `initial` in the rows where `reset [B]` is True."""
    return carry if reset is None else select(reset, initial, carry)


def within(clip: float | None, tree: Any) -> Any:
    """Every number between -clip and clip; None for as they are."""
    return tree if clip is None else jax.tree.map(lambda a: jnp.clip(a, -clip, clip), tree)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def clipped_back(clip: float | None, carry: Carry) -> Carry:
    """The carry itself, whose cotangent is kept within -clip and clip; its tangent is as it is."""
    return carry


@clipped_back.defjvp
def _clipped_back(clip: float | None, primals: tuple[Carry], tangents: tuple[Carry]) -> tuple[Carry, Carry]:
    forward = lambda _, tangents: tangents[0]
    backward = lambda _, cotangents: (within(clip, cotangents),)
    return primals[0], linear_call(forward, backward, primals[0], (), tangents)


def guarded_step(
    cell: Cell, params: Any, initial: Carry, clip: float | None = None
) -> Callable[..., tuple[Carry, Array]]:
    """`cell.step` for `lax.scan`: `(carry, (x [B, D], mask [B] or None, reset [B] or None)) -> (carry, y [B, H])`."""

    def step(carry: Carry, inputs: tuple[Array, Array | None, Array | None]) -> tuple[Carry, Array]:
        x, mask, reset = inputs
        before = restart(reset, initial, carry)
        after, y = cell.step(params, before if clip is None else clipped_back(clip, before), x)
        return select(mask, after, carry), y

    return step
