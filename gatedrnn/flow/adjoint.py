"""Adjoint profile: the norm of dL/dcarry_t for every t in one reverse pass, at any horizon.

    lambda_T = dL/dcarry_T + dL/dy_T dy_T/dcarry_T            what the loss reads
    lambda_t = J_{t+1}^T lambda_{t+1} + what y_t adds          J_t = d carry_t / d carry_{t-1}

Of a network that reads backwards, each cell has its own: its y_t adds what arrives from the cells that read it.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry
from gatedrnn._jax import gathered
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence, check_sequence, unbatched
from gatedrnn.flow._between import by_part, named_parts, through_cells, together
from gatedrnn.flow._loss import loss_of
from gatedrnn.flow._order import turned
from gatedrnn.flow._room import check_room
from gatedrnn.flow._scaled import align


class Adjoint(NamedTuple):
    """Result of `adjoint`.

    Attributes:
        log10_norm: for each field of the carry (`h`, `c`) and for all of it (`state`), log10 of the Euclidean norm of
            dL/dcarry_t, [T + 1, B] or [T + 1]. Row 0 belongs to the carry before the first step, row T to the last.
            -inf where the gradient is exactly zero. With `reverse`, row 0 belongs to the carry after the last step run,
            row T to the carry before the first. Of a network by the places of its carry, such as `1.forward.h`.
        mantissa: dL/dcarry before the first step * 2^-exponent, like the carry.
        exponent: int32 [B] or [].
    """

    log10_norm: dict[str, Array]
    mantissa: Carry
    exponent: Array


def adjoint(
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
) -> Adjoint:
    """How much of a loss's gradient arrives at each step: the norm of dL/dcarry_t for t = 0..T.

    Without `dys` and `dcarry` the probe is the cotangent 1/sqrt(H) on every unit of the last output y: a loss of
    gradient norm 1 that looks at what is shown last, in each row of the batch after its own last step that is run. The
    norm at lag k is then row T - k; see `dys` for the row at which the output of a cell with `step` alone enters.

    A network has `step` alone. Of one that reads backwards, row t belongs to what its cells hand over from step t to
    step t + 1, or from t + 1 to t: rows of a cell that runs from the last step to the first are as with `reverse`, the
    lag in them is their number, and `decay(rows, reverse=True)` reads them. The probe is in each direction's own last
    output, as `unroll(outputs="last")` gives it.

    Args:
        cell: any cell, `Cell.from_step` ones and networks included.
        params: its weights.
        xs: inputs, [T, B, D] or [T, D].
        carry: the carry before the first step; by default `cell.initial_carry`.
        dys: dL/dys, [T, B, H] or [T, H], for a loss that reads outputs. Row t + 1 counts what reads `ys[t]`. (For a
            cell with `step` alone, row t does: its output need not be a part of the carry. Where steps are run from the
            last to the first, rows t and t + 1 change places.)
        dcarry: dL/dcarry_T, like the carry.
        mask: bool [T, B] or [T], as in `unroll`.
        reset: bool [T, B] or [T], as in `unroll`; no gradient passes it.
        reverse: as in `unroll`, from the last step to the first.

    Returns:
        `Adjoint`: log10 norms, dimensionless, and dL/dcarry_0 itself as mantissa and exponent. Memory: the trajectory
        [T, B, S] and the norms.

    Raises:
        ValueError: an argument has the wrong rank, width, dtype or structure, or memory does not do.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.rnn.init(jax.random.key(0), 1, 16)
        >>> profile = gr.flow.adjoint(gr.rnn, params, jax.numpy.zeros((10_000, 1)))
        >>> abs(float(profile.log10_norm["state"][0])) < 1e-3  # at rest, an orthogonal tanh network loses nothing
        True

    References:
        Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", 2013,
        https://arxiv.org/abs/1211.5063
    """
    sequence = check_sequence(cell, params, xs, carry, mask, reset, reverse, stepwise=False)
    batched = np.ndim(xs) == 3
    check_room("xs", sequence, per_step=1)
    outputs, dys, dcarry = loss_of(cell, params, sequence, dys, dcarry, batched)
    result, _ = _adjoint(cell, outputs, params, sequence, dys, dcarry)
    if not batched:
        result = Adjoint(unbatched(result.log10_norm, 1), unbatched(result.mantissa), unbatched(result.exponent))
    return result._replace(log10_norm=by_part(result.log10_norm, dcarry))


def lagged(cell: Cell, params: Any, xs: Array) -> Array:
    """log10 of the norm of dL/dcarry for the default probe, by steps back from each cell's own last: [T + 1, B]."""
    sequence = check_sequence(cell, params, xs, None, stepwise=False)
    check_room("xs", sequence, per_step=1)
    outputs, dys, dcarry = loss_of(cell, params, sequence, None, None, True)
    return _adjoint(cell, outputs, params, sequence, dys, dcarry)[1][::-1]


@functools.partial(jax.jit, static_argnums=0)
@gathered(1)
def _adjoint(
    cell: Cell, outputs: Outputs, params: Any, sequence: Sequence, dys: Array | None, dcarry: Carry
) -> tuple[Adjoint, Array]:
    """The adjoint, and the norm of all cells together in their own orders of steps, [T + 1, B]."""
    runs, traced, _ = through_cells(cell, outputs, params, sequence, dys, dcarry)
    ordered = [each.norms for each in traced]
    placed = [turned(run.reverse, norms) for run, norms in zip(runs, ordered, strict=True)]
    rows = [norms[:, part] for norms in placed for part in range(norms.shape[1] - 1)]
    first = align(*(each.first for each in traced))
    mantissa = jax.tree.unflatten(jax.tree.structure(dcarry), jax.tree.leaves([each.mantissa for each in first]))
    norms = dict(zip(named_parts(dcarry), rows, strict=True)) | {"state": together(placed)}
    return Adjoint(norms, mantissa, first[0].exponent), together(ordered)
