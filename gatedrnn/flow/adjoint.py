"""Adjoint profile: the norm of dL/dcarry_t for every t in one reverse pass, at any horizon.

    lambda_T = dL/dcarry_T + dL/dy_T dy_T/dcarry_T            what the loss reads
    lambda_t = J_{t+1}^T lambda_{t+1} + what y_t adds          J_t = d carry_t / d carry_{t-1}

10^-4000 is no float, so lambda is carried as mantissa * 2^exponent, one exponent per row. Multiplication by a power
of two is exact: while nothing underflows, mantissa * 2^exponent equals the plain backward pass bit for bit.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_array, check_flag, fail
from gatedrnn._forms import Carry
from gatedrnn._jax import gathered, scan
from gatedrnn._segments import over_segments
from gatedrnn._sequence import Sequence, check_carry, check_sequence, quarantine, unbatched
from gatedrnn._step import guarded_step, select
from gatedrnn.flow._order import flipped
from gatedrnn.flow._probe import default_probe, output_of
from gatedrnn.flow._scaled import Scaled, align, part_norms, rescale

SEGMENT = 125  # steps whose norms are stacked before they are stacked again; small rows stack slowly one by one


class Adjoint(NamedTuple):
    """Result of `adjoint`.

    Attributes:
        log10_norm: for each field of the carry (`h`, `c`) and for all of it (`state`), log10 of the Euclidean norm of
            dL/dcarry_t, [T + 1, B] or [T + 1]. Row 0 belongs to the carry before the first step, row T to the last.
            -inf where the gradient is exactly zero. With `reverse`, row 0 belongs to the carry after the last step run,
            row T to the carry before the first.
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

    Args:
        cell: any cell, `Cell.from_step` ones included.
        params: its weights.
        xs: inputs, [T, B, D] or [T, D].
        carry: the carry before the first step; by default `cell.initial_carry`.
        dys: dL/dys, [T, B, H] or [T, H], for a loss that reads outputs. Row t + 1 counts what reads `ys[t]`. (For a
            cell with `step` alone, row t does: its output need not be a part of the carry.)
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
    xs, dys, mask, reset = flipped(check_flag("reverse", reverse), xs, dys, mask, reset)
    sequence = check_sequence(cell, params, xs, carry, mask, reset)
    batched = np.ndim(xs) == 3
    if dys is not None:
        dys = _check_dys(output_of(cell, params, sequence), sequence, dys, batched)
    if dys is None and dcarry is None:
        dys, dcarry = default_probe(cell, params, sequence)
    elif dcarry is None:
        dcarry = jax.tree.map(jnp.zeros_like, sequence.carry)
    else:
        dcarry = check_carry("dcarry", dcarry, sequence.initial, batched)
    result = _adjoint(cell, params, sequence, dys, dcarry)
    norms = dict(zip(result.log10_norm, flipped(reverse, *result.log10_norm.values()), strict=True))
    if batched:
        return result._replace(log10_norm=norms)
    return Adjoint(unbatched(norms, 1), unbatched(result.mantissa), unbatched(result.exponent))


def _check_dys(y: jax.ShapeDtypeStruct, sequence: Sequence, dys: Any, batched: bool) -> Array:
    dys = check_array("dys", "a floating array like the outputs", dys)
    expected = (sequence.xs.shape[0], *(y.shape if batched else y.shape[1:]))
    if dys.shape != expected or not jnp.issubdtype(dys.dtype, jnp.floating):
        raise fail("dys", f"a floating array {expected} like the outputs", f"{dys.dtype} {dys.shape}")
    return (dys if batched else dys[:, None]).astype(y.dtype)


@functools.partial(jax.jit, static_argnums=0)
@gathered(1)
def _adjoint(cell: Cell, params: Any, sequence: Sequence, dys: Array | None, dcarry: Carry) -> Adjoint:
    sequence = quarantine(sequence)
    step = guarded_step(cell, params, sequence.initial)
    if dys is not None:
        dys = select(sequence.mask, dys, jnp.zeros_like(dys))

    def forward(carry: Carry, forced: Any) -> tuple[Carry, Carry]:
        return step(carry, forced)[0], carry

    def back(state: Scaled, inputs: Any) -> tuple[Scaled, Any]:
        before, forced, dy, bad = inputs
        arriving = state  # its own row; what a foreign cell's y_t adds belongs to the row before
        state, dy = _receive(cell, state, dy)
        if bad is not None:
            state = state._replace(mantissa=_break(bad, state.mantissa))
        row = state if cell.factored else arriving
        (_, y), pull = jax.vjp(lambda carry: step(carry, forced), before)
        (mantissa,) = pull((state.mantissa, jnp.zeros_like(y) if dy is None else dy.astype(y.dtype)))
        return rescale(Scaled(mantissa, state.exponent)), (part_norms(row.mantissa), row.exponent)

    def segment(state: Scaled, inputs: Any, _: None) -> tuple[Scaled, Array, None]:
        state, rows = scan(back, state, inputs, reverse=True)
        return state, _log10_rows(*rows), None

    forced = (sequence.xs, sequence.mask, sequence.reset)
    _, before = scan(forward, sequence.carry, forced)  # [T, B, ...]
    state = rescale(Scaled(dcarry, jnp.zeros(sequence.xs.shape[1], jnp.int32)))
    inputs = (before, forced, dys, sequence.poisoned)
    state, rows, _ = over_segments(segment, state, inputs, (None, None), SEGMENT, True)
    first = _log10_rows([norm[None] for norm in part_norms(state.mantissa)], state.exponent[None])
    norms = jnp.concatenate([first, rows])  # [T + 1, parts + 1, B]
    names = [*_part_names(dcarry), "state"]
    return Adjoint({name: norms[:, i] for i, name in enumerate(names)}, *state)


def _receive(cell: Cell, state: Scaled, dy: Array | None) -> tuple[Scaled, Array | None]:
    """Brings dL/dy_t to the adjoint's scale; where the output is the carry's h, adds it there."""
    if dy is None:
        return state, None
    state, dy = align(state, dy.astype(jnp.result_type(*jax.tree.leaves(state.mantissa))))
    if not cell.factored:
        return state, dy
    mantissa = state.mantissa._replace(h=state.mantissa.h + dy)
    return rescale(Scaled(mantissa, state.exponent)), None


def _break(bad: Array, mantissa: Carry) -> Carry:
    """NaN in the rows of cotangents that would pass through a step whose values are not finite."""
    return jax.tree.map(lambda a: jnp.where(bad[:, None] & (a != 0), jnp.nan, a), mantissa)


def _log10_rows(norms: list[Array], exponent: Array) -> Array:
    """log10 of norm * 2^exponent for each part and for all: norms [K, B] each -> [K, parts + 1, B]."""
    largest = functools.reduce(jnp.maximum, norms)
    scale = jnp.where(largest > 0, largest, 1)
    total = largest * jnp.sqrt(functools.reduce(jnp.add, [jnp.square(norm / scale) for norm in norms]))
    rows = jnp.stack([*norms, total], axis=1)
    return jnp.log10(rows) + exponent.astype(rows.dtype)[:, None] * jnp.asarray(math.log10(2), rows.dtype)


def _part_names(carry: Carry) -> list[str]:
    """The fields' names of a NamedTuple carry; of another pytree, its leaves' paths."""
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree.leaves_with_path(carry)]
