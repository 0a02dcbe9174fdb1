"""What a recurrence holds at every step and what a readout makes of it: carries, and dL/dcarry with its signs.

lambda_t = dL/dcarry_t = mantissa * 2^exponent        carry_t: before step t
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry
from gatedrnn._jax import gathered
from gatedrnn._outputs import All
from gatedrnn._sequence import Sequence
from gatedrnn._visit import visit
from gatedrnn.flow._backward import Ran, after, ran
from gatedrnn.flow._tracks import backward_along


class Carried(NamedTuple):
    """What `carried` finds of T steps.

    Attributes:
        before: the carry before every step, [T, B, ...] each.
        after: after every step, [T, B, ...] each.
        mantissa: of dL/dcarry before every step, [T, B, ...] each.
        exponent: int32 [T, B].
    """

    before: Carry
    after: Carry
    mantissa: Carry
    exponent: Array


@functools.partial(jax.jit, static_argnums=0)
@gathered(1)
def carried(cell: Cell, params: Any, sequence: Sequence, dys: Array) -> Carried:
    """Runs what is causal step by step, forward and back; dys [T, B, H] as in `adjoint`."""
    found, _ = visit(cell, params, sequence, All(), ran)
    runs: list[Ran] = jax.tree.leaves(found)
    rows = backward_along(runs[0], dys, jnp.zeros((dys.shape[0], 1), bool), False, True).rows
    mantissa, exponent = jax.tree.map(lambda a: a[:, 0], rows)
    return Carried(runs[0].before, after(runs[0]), mantissa, exponent)
