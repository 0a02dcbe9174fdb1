"""Adjoint profile: the norm of dL/dcarry_t for every t in one reverse pass, at any horizon.

    lambda_T = dL/dcarry_T + dL/dy_T dy_T/dcarry_T            what the loss reads
    lambda_t = J_{t+1}^T lambda_{t+1} + what y_t adds          J_t = d carry_t / d carry_{t-1}

Of a network that reads backwards, each cell has its own: its y_t adds what arrives from the cells that read it. What
lies between cells, such as a merge or a norm, sees one step of one row; so its transpose, which is linear, takes a
power of two for each step and row along.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_array, fail
from gatedrnn._forms import Carry
from gatedrnn._jax import gathered
from gatedrnn._outputs import All, Last, Outputs
from gatedrnn._sequence import Sequence, check_carry, check_sequence, unbatched
from gatedrnn._visit import visit
from gatedrnn.flow._backward import Ran, Traced, backward, ran
from gatedrnn.flow._order import turned
from gatedrnn.flow._probe import output_of, unit_cotangent
from gatedrnn.flow._scaled import Scaled, align


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
        ValueError: an argument has the wrong rank, width, dtype or structure.

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
    outputs, dys, dcarry = _loss(cell, params, sequence, dys, dcarry, batched)
    result, _ = _adjoint(cell, outputs, params, sequence, dys, dcarry)
    if batched:
        return result
    return Adjoint(unbatched(result.log10_norm, 1), unbatched(result.mantissa), unbatched(result.exponent))


def lagged(cell: Cell, params: Any, xs: Array) -> Array:
    """log10 of the norm of dL/dcarry for the default probe, by steps back from each cell's own last: [T + 1, B]."""
    sequence = check_sequence(cell, params, xs, None, stepwise=False)
    outputs, dys, dcarry = _loss(cell, params, sequence, None, None, True)
    return _adjoint(cell, outputs, params, sequence, dys, dcarry)[1][::-1]


def _loss(
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


@functools.partial(jax.jit, static_argnums=0)
@gathered(1)
def _adjoint(
    cell: Cell, outputs: Outputs, params: Any, sequence: Sequence, dys: Array | None, dcarry: Carry
) -> tuple[Adjoint, Array]:
    """The adjoint, and the norm of all cells together in their own orders of steps, [T + 1, B]."""
    found, _ = visit(cell, params, sequence, outputs, ran)
    runs: list[Ran] = jax.tree.leaves(found)
    parts = _dealt(dcarry, runs)
    direct, onward = _between(cell, outputs, params, sequence, dys, runs)
    arriving: list[Scaled | None] = [*direct] if dys is not None or len(runs) > 1 else [None]  # in the order of time
    traced: list[Traced] = []  # of the cells from the i-th on
    for i in reversed(range(len(runs))):
        run = runs[i]
        traced.insert(0, backward(run, turned(run.reverse, arriving[i]), parts[i], cell.factored, reads=i > 0))
        if traced[0].read is not None:
            passed = onward(i, turned(run.reverse, traced[0].read))
            arriving = [_sum(one, other) for one, other in zip(arriving[:i], passed, strict=False)]
    ordered = [each.norms for each in traced]
    placed = [turned(run.reverse, norms) for run, norms in zip(runs, ordered, strict=True)]
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree.leaves_with_path(dcarry)]
    rows = [norms[:, part] for norms in placed for part in range(norms.shape[1] - 1)]
    first = align(*(each.first for each in traced))
    mantissa = jax.tree.unflatten(jax.tree.structure(dcarry), jax.tree.leaves([each.mantissa for each in first]))
    norms = dict(zip(names, rows, strict=True)) | {"state": _together(placed)}
    return Adjoint(norms, mantissa, first[0].exponent), _together(ordered)


def _dealt(dcarry: Carry, runs: list[Ran]) -> list[Carry]:
    """The part of every cell's carry in the network's."""
    leaves: Iterator[Array] = iter(jax.tree.leaves(dcarry))
    return [jax.tree.map(lambda _: next(leaves), run.sequence.carry) for run in runs]


def _between(
    cell: Cell, outputs: Outputs, params: Any, sequence: Sequence, dys: Array | None, runs: list[Ran]
) -> tuple[list[Scaled], Callable[[int, Scaled], list[Scaled]]]:
    """What arrives at the outputs of every cell: from the loss, and from what the cell i has read; in order of time."""

    def between(given: list[Array]) -> tuple[list[Array], Array]:
        """What lies between cells: the outputs of every cell -> what every cell reads, and what is shown."""
        each = iter(given)
        read, part = visit(cell, params, sequence, outputs, lambda _cell, _params, steps: (steps.xs, next(each)))
        return jax.tree.leaves(read), outputs.value(part)

    (xs, shown), pull = jax.vjp(between, [run.ys for run in runs])
    nothing, unread = [jnp.zeros_like(x) for x in xs], jnp.zeros_like(shown)
    (direct,) = pull((nothing, unread if dys is None else dys))
    plain = jnp.zeros(sequence.xs.shape[:2], jnp.int32)

    def onward(i: int, read: Scaled) -> list[Scaled]:
        (passed,) = pull(([*nothing[:i], read.mantissa, *nothing[i + 1 :]], unread))
        return [Scaled(each, read.exponent) for each in passed]

    return [Scaled(each, plain) for each in direct], onward


def _sum(one: Scaled | None, other: Scaled) -> Scaled:
    """Of cotangents with an exponent for every step, [T, B, ...] and [T, B]."""
    if one is None:
        return other
    one, other = jax.vmap(align)(one, other)
    return Scaled(one.mantissa + other.mantissa, one.exponent)


def _together(norms: list[Array]) -> Array:
    """log10 of the norm of all cells, [T + 1, B], of each one's norms [T + 1, parts + 1, B], the last of its whole."""
    rows = [each[:, -1] for each in norms]
    if len(rows) == 1:
        return rows[0]
    top = functools.reduce(jnp.maximum, rows)
    base = jnp.where(jnp.isneginf(top), 0, top)
    return base + jnp.log10(functools.reduce(jnp.add, [10 ** (2 * (row - base)) for row in rows])) / 2
