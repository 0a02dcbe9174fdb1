"""The loss that an adjoint comes from: as it was given, or the default probe."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_array, fail
from gatedrnn._forms import Carry
from gatedrnn._outputs import All, Last, Outputs
from gatedrnn._sequence import Sequence, check_carry
from gatedrnn.flow._probe import output_of, unit_cotangent


def loss_of(
    cell: Cell, params: Any, sequence: Sequence, dys: Any, dcarry: Carry | None, batched: bool
) -> tuple[Outputs, Array | None, Carry]:
    """The outputs that the loss reads, its cotangent there, and that of the last carry."""
    nothing = jax.tree.map(jnp.zeros_like, sequence.carry)
    if dys is not None:
        dys = check_dys(output_of(cell, params, sequence, All()), dys, batched)
    if dcarry is not None:
        return All(), dys, check_carry("dcarry", dcarry, sequence.initial, batched)
    if dys is not None:
        return All(), dys, nothing
    if cell.factored:  # h is the output, and masked steps hand it on: at the end it says the same without any `dys`
        return All(), None, nothing._replace(h=unit_cotangent(nothing.h))
    try:
        y = output_of(cell, params, sequence, Last())
    except ValueError:
        if cell.causal:
            raise
        expected = "given where `residual` or `skip` lie over both directions, which have no last output"
        raise fail("dys", expected, None) from None
    return Last(), unit_cotangent(y), nothing


def check_dys(ys: jax.ShapeDtypeStruct, dys: Any, batched: bool) -> Array:
    dys = check_array("dys", "a floating array like the outputs", dys)
    expected = ys.shape if batched else (ys.shape[0], *ys.shape[2:])
    if dys.shape != expected or not jnp.issubdtype(dys.dtype, jnp.floating):
        raise fail("dys", f"a floating array {expected} like the outputs", f"{dys.dtype} {dys.shape}")
    return (dys if batched else dys[:, None]).astype(ys.dtype)
