"""The loss that is measured where none is given: one of gradient norm 1, which looks at the last output only."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._jax import gathered
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence
from gatedrnn._visit import outputs_of, visit


def unit_cotangent(like: Any) -> Array:
    """Norm 1 in each row [B, ...], the same on every unit."""
    return jnp.full(like.shape, 1 / math.sqrt(max(math.prod(like.shape[1:]), 1)), like.dtype)


def output_of(cell: Cell, params: Any, sequence: Sequence, outputs: Outputs) -> jax.ShapeDtypeStruct:
    """Shape and dtype of what is asked of the outputs."""
    run = lambda *given: (None, outputs_of(*given))
    find = lambda params, sequence: outputs.value(visit(cell, params, sequence, outputs, run)[1])
    return jax.eval_shape(gathered(0)(find), params, sequence)
