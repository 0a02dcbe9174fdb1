"""A step with mask and reset, by selection: what an unselected value contains, NaN included, never matters.

before = reset ? initial : carry
after  = mask ? step(before) : carry
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry


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


def guarded_step(cell: Cell, params: Any, initial: Carry) -> Callable[..., tuple[Carry, Array]]:
    """`cell.step` for `lax.scan`: `(carry, (x [B, D], mask [B] or None, reset [B] or None)) -> (carry, y [B, H])`."""

    def step(carry: Carry, inputs: tuple[Array, Array | None, Array | None]) -> tuple[Carry, Array]:
        x, mask, reset = inputs
        after, y = cell.step(params, restart(reset, initial, carry), x)
        return select(mask, after, carry), y

    return step
