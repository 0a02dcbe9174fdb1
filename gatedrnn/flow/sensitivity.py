"""Which input a readout depends on: d readout / d x_t for every t in one reverse pass, signed, at any horizon.

dL/dx_t = (d carry_t / d x_t)^T lambda_t        lambda_t = dL/dcarry_t, the adjoint
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry
from gatedrnn._jax import gathered
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence, check_sequence, unbatched
from gatedrnn.flow._between import through_cells
from gatedrnn.flow._loss import loss_of
from gatedrnn.flow._room import check_room
from gatedrnn.flow._scaled import Scaled, part_norms, rescale


class Sensitivity(NamedTuple):
    """Result of `sensitivity`.

    Attributes:
        log10_norm: log10 of the Euclidean norm of dL/dx_t, [T, B] or [T]; -inf where it is exactly zero.
        mantissa: dL/dx_t * 2^-exponent, with its signs, [T, B, D] or [T, D]; the largest of a step is in [1, 2).
        exponent: int32 [T, B] or [T]: dL/dx_t = mantissa * 2^exponent, where a float can hold it.
    """

    log10_norm: Array
    mantissa: Array
    exponent: Array


def sensitivity(
    cell: Cell,
    params: Any,
    xs: Array,
    carry: Carry | None = None,
    *,
    dys: Array | None = None,
    dcarry: Carry | None = None,
    mask: Array | None = None,
    reset: Array | None = None,
    reverse: bool = False,
) -> Sensitivity:
    """How a readout would change with each input: its gradient dL/dx_t for t = 1..T.

    The readout is a linear function of what `dys` or `dcarry` weighs; by default the probe of `adjoint`, the mean of
    the last output times sqrt(H). Any loss is measured by its gradient in the outputs.

    Args:
        cell: any cell, `Cell.from_step` ones and networks included.
        params: its weights.
        xs: inputs, [T, B, D] or [T, D].
        carry: the carry before the first step; by default `cell.initial_carry`.
        dys: dL/dys, [T, B, H] or [T, H].
        dcarry: dL/dcarry_T, like the carry.
        mask: bool [T, B] or [T], as in `unroll`; at a masked step the gradient is zero.
        reset: bool [T, B] or [T], as in `unroll`; no gradient passes it.
        reverse: as in `unroll`; each gradient stays at its input's place.

    Returns:
        `Sensitivity`, in units of the readout per unit of x. Memory: the trajectory [T, B, S], and [T, B, D] twice.

    Raises:
        ValueError: an argument has the wrong rank, width, dtype or structure, or memory does not do.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.rnn.init(jax.random.key(0), 2, 16, recurrent_init=gr.initializers.orthogonal(0.5))
        >>> found = gr.flow.sensitivity(gr.rnn, params, jax.numpy.zeros((10_000, 2)))
        >>> int(found.log10_norm[0]) < -3000, bool(abs(found.mantissa[0]).max() >= 1)  # 0.5^9999, with its signs
        (True, True)

    References:
        Simonyan, Vedaldi, Zisserman, "Deep inside convolutional networks", 2013, https://arxiv.org/abs/1312.6034 (the
        gradient in the input as a map of what matters)
    """
    sequence = check_sequence(cell, params, xs, carry, mask, reset, reverse, stepwise=False)
    batched = np.ndim(xs) == 3
    check_room("xs", sequence, per_step=1, inputs=2)
    outputs, dys, dcarry = loss_of(cell, params, sequence, dys, dcarry, batched)
    found = _sensitivity(cell, outputs, params, sequence, dys, dcarry)
    return found if batched else unbatched(found, 1)


@functools.partial(jax.jit, static_argnums=(0, 1))
@gathered(2)
def _sensitivity(
    cell: Cell, outputs: Outputs, params: Any, sequence: Sequence, dys: Array | None, dcarry: Carry
) -> Sensitivity:
    return read_off(sequence, through_cells(cell, outputs, params, sequence, dys, dcarry, inputs=True)[2])


def read_off(sequence: Sequence, read: Scaled | None) -> Sensitivity:
    """Of dL/dxs as `through_cells` gives it; traceable."""
    steps, batch, width = sequence.xs.shape
    if read is None or not steps * batch * width:
        nothing = jnp.zeros_like(sequence.xs)
        return Sensitivity(jnp.log10(nothing.sum(-1)), nothing, jnp.zeros((steps, batch), jnp.int32))
    rows = rescale(Scaled(read.mantissa.reshape(steps * batch, width), read.exponent.ravel()))
    norm = part_norms(rows.mantissa)[0]
    logs = jnp.log10(norm) + rows.exponent.astype(norm.dtype) * jnp.asarray(math.log10(2), norm.dtype)
    found = Sensitivity(logs, rows.mantissa, rows.exponent)
    return Sensitivity(*(a.reshape(steps, batch, *a.shape[1:]) for a in found))
