"""The growths of a cell, or of all of a network's cells in one list, the largest first; and how uncertain they are."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._outputs import All
from gatedrnn._segments import nearest_divisor
from gatedrnn._sequence import Sequence
from gatedrnn._visit import outputs_of, visit
from gatedrnn.flow._frames import widths_of
from gatedrnn.flow._growth import Growth, How, growth
from gatedrnn.flow._order import in_order

FEWEST = 8  # blocks from which an error is estimated, where there are as many


def ranked(cell: Cell, how: How, params: Any, sequence: Sequence, burn_in: Array | int) -> Growth:
    """The k fastest directions of all cells that are run by single steps; `number` is theirs each, [N, B, k]."""

    def measured(cell: Cell, params: Any, steps: Sequence) -> tuple[Growth, Array]:
        most = min(how.k, sum(widths_of(steps.carry)))
        found = growth(cell, how._replace(k=most), params, in_order(steps), jnp.asarray(burn_in))
        number = jnp.broadcast_to(found.number[..., None], found.total.shape)
        return found._replace(number=number), outputs_of(cell, params, steps)

    found, _ = visit(cell, params, sequence, All(), measured)
    cells = jax.tree.leaves(found, is_leaf=lambda node: isinstance(node, Growth))
    total, number = (jnp.concatenate([getattr(one, name) for one in cells], 2) for name in ("total", "number"))
    order = jnp.argsort(total.sum(0) / number.sum(0), axis=1, descending=True)[None, :, : how.k]
    total, number = (jnp.take_along_axis(a, order, 2) for a in (total, number))
    return Growth(total, number, jnp.stack([one.cancelled for one in cells]).max(0))


def block_ends(steps: int, how: How) -> Array:
    """How many steps have been run at the end of each block, int [N]."""
    length = nearest_divisor(steps, how.length)
    ends = np.minimum(np.arange(length, steps + length, length), steps)
    return jnp.asarray(np.diff(steps - ends[::-1], append=steps).cumsum() if how.backward else ends)


def standard_error(found: Growth) -> Array:
    """Of total / number, both [N, B, k]: the largest over blocks joined by 1, 2, 4, ..., while eight are left."""
    count = found.total.shape[0]
    exponent = found.total.sum(0) / found.number.sum(0)
    off, number = found.total - exponent[None] * found.number, found.number
    errors = [_spread(off, number)]
    while count // 2 >= FEWEST:
        off, number, count = _joined(off), _joined(number), count // 2
        errors.append(_spread(off, number))
    return jnp.stack(errors).max(0)


def _spread(off: Array, number: Array) -> Array:
    """Square root of m / (m - 1) sum off^2 / (sum number)^2, over the m blocks in which a step counts."""
    m = (number > 0).sum(0).astype(off.dtype)
    return jnp.where(m > 1, jnp.sqrt(m / jnp.maximum(m - 1, 1) * jnp.square(off).sum(0)) / number.sum(0), jnp.nan)


def _joined(a: Array) -> Array:
    """Pairs of blocks; without the first of an odd number."""
    a = a[len(a) % 2 :]
    return a.reshape(len(a) // 2, 2, *a.shape[1:]).sum(1)
