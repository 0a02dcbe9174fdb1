"""One run of a readout back through a recurrence: what it makes of the inputs, and in row 0 of what units hold.

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
from gatedrnn.flow._backward import after
from gatedrnn.flow._between import through_cells
from gatedrnn.flow.sensitivity import Sensitivity, read_off


class Carried(NamedTuple):
    """What is known of T steps of one row.

    Attributes:
        before: the carry before every step, [T, ...] each.
        after: after every step, [T, ...] each.
        mantissa: of dL/dcarry before every step, [T, ...] each.
        exponent: int32 [T].
    """

    before: Carry
    after: Carry
    mantissa: Carry
    exponent: Array


@functools.partial(jax.jit, static_argnums=0)
@gathered(1)
def carried(cell: Cell, params: Any, sequence: Sequence, dys: Array) -> tuple[Sensitivity, Carried]:
    """Runs what is causal step by step, forward and back: as `sensitivity`, and row 0; dys [T, B, H] as there."""
    nothing = jax.tree.map(jnp.zeros_like, sequence.carry)
    (run,), (traced,), read = through_cells(cell, All(), params, sequence, dys, nothing, inputs=True, kept=1)
    assert traced.rows is not None
    parts = (run.before, after(run), *traced.rows)
    return read_off(sequence, read), Carried(*jax.tree.map(lambda a: a[:, 0], parts))
