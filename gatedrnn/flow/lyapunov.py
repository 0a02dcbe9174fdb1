"""Lyapunov exponents: the mean growth of small perturbations of the whole carry, in nats per step.

    J_t Q_{t-1} = Q_t R_t,      exponent_i = mean_t ln |R_t[i, i]|        J_t = d carry_t / d carry_{t-1}

The Jacobians multiply from the left in the order of time, J_T ... J_1: a reversed product has another spectrum.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_size, fail, shown
from gatedrnn._forms import Carry
from gatedrnn._jax import gathered, scan
from gatedrnn._outputs import All
from gatedrnn._segments import over_segments
from gatedrnn._sequence import Sequence, check_sequence, poison
from gatedrnn._step import restart, select
from gatedrnn._visit import outputs_of, visit
from gatedrnn.flow._order import counted_steps, in_order

SEGMENT = 125  # steps whose logarithms are summed before the sums are added: keeps the rounding of long sums small


def lyapunov(
    cell: Cell,
    params: Any,
    xs: Array,
    carry: Carry | None = None,
    *,
    k: int | None = None,
    burn_in: int = 0,
    mask: Array | None = None,
    reset: Array | None = None,
    reverse: bool = False,
) -> Array:
    """The k leading Lyapunov exponents of a driven cell, of its full carry (h and c).

    Negative: two runs on the same input grow together, and gradients vanish. Zero: they keep their distance. Positive:
    chaos, and gradients explode. A direction that a step erases altogether has exponent -inf, or, where rounding
    hides the zero, about ln(eps).

    Of a network that reads backwards the exponents are those of its cells, all in one list: no direction of a layer
    sees the other, and no layer those above it. Each is driven by what it reads, in its own order of steps.

    Args:
        cell: any cell, `Cell.from_step` ones included.
        params: its weights.
        xs: inputs that drive it, [T, B, D] or [T, D].
        carry: the carry before the first step; by default `cell.initial_carry`.
        k: how many exponents; all S by default. All start from the identity, fewer from random directions.
        burn_in: steps at the start that are run but not counted.
        mask: bool [T, B] or [T], as in `unroll`; a masked step is none.
        reset: bool [T, B] or [T], as in `unroll`. A step that starts from a reset is not counted and leaves directions
            as they are: what is measured is growth within episodes.
        reverse: as in `unroll`, from the last step to the first.

    Returns:
        Exponents in nats per step, largest first: [B, k] or [k]; nan in a row of which no step counts.

    Raises:
        ValueError: `k` is not in 1..S, `burn_in` is not in 0..T - 1, there is no step, or an argument
            has the wrong rank, width or dtype.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.rnn.init(jax.random.key(0), 1, 4, recurrent_init=gr.initializers.orthogonal(0.5))
        >>> gr.flow.lyapunov(gr.rnn, params, jax.numpy.zeros((100, 1)), k=1).round(3).tolist()  # ln 0.5
        [-0.6930000185966492]

    References:
        Benettin, Galgani, Giorgilli, Strelcyn, "Lyapunov characteristic exponents for smooth dynamical systems",
        Meccanica 15, 1980, https://doi.org/10.1007/BF02128236; Vogt, Puelma Touzel, Shlizerman, Lajoie, "On Lyapunov
        exponents for RNNs", 2022, https://arxiv.org/abs/2006.14123
    """
    sequence = check_sequence(cell, params, xs, carry, mask, reset, reverse, stepwise=False)
    steps, size = sequence.xs.shape[0], sum(_widths(sequence.carry))
    k = size if k is None else check_size("k", k)
    if k > size:
        raise fail("k", f"at most {size}, the size of the carry", shown(k))
    burn_in = check_size("burn_in", burn_in, 0)
    if not steps:
        raise fail("xs", "of at least one step", np.shape(xs))
    if burn_in >= steps:
        raise fail("burn_in", f"below the number of steps, {steps}", shown(burn_in))
    exponents = _lyapunov(cell, k, params, sequence, burn_in)
    return exponents if np.ndim(xs) == 3 else exponents[0]


@functools.partial(jax.jit, static_argnums=(0, 1))
@gathered(2)
def _lyapunov(cell: Cell, k: int, params: Any, sequence: Sequence, burn_in: Array) -> Array:
    """Of every cell that is run by single steps, and of those the largest."""

    def measured(cell: Cell, params: Any, steps: Sequence) -> tuple[Array, Array]:
        most = min(k, sum(_widths(steps.carry)))
        return _of_cell(cell, most, params, in_order(steps), burn_in), outputs_of(cell, params, steps)

    found, _ = visit(cell, params, sequence, All(), measured)
    return jnp.sort(jnp.concatenate(jax.tree.leaves(found), axis=1), descending=True)[:, :k]


def _of_cell(cell: Cell, k: int, params: Any, sequence: Sequence, burn_in: Array) -> Array:
    """The k leading exponents of a cell driven by what it reads, [B, k], in any order."""
    xs, carry, mask, reset = sequence.xs, sequence.carry, sequence.mask, sequence.reset
    batch = xs.shape[1]
    widths = _widths(carry)
    dtype = jnp.result_type(*jax.tree.leaves(carry))

    def pack(tangents: Carry) -> Array:  # [k, B, H] each -> [B, S, k]
        rows = [a.reshape(k, batch, math.prod(a.shape[2:])) for a in jax.tree.leaves(tangents)]  # B may be 0
        return jnp.concatenate(rows, 2).transpose(1, 2, 0)

    def unpack(q: Array) -> Carry:  # [B, S, k] -> [k, B, H] each
        pieces = jnp.split(q.transpose(2, 0, 1), list(_offsets(widths)), axis=2)
        leaves = [a.reshape(k, *like.shape) for a, like in zip(pieces, jax.tree.leaves(carry), strict=True)]
        return jax.tree.unflatten(jax.tree.structure(carry), leaves)

    def segment(state: tuple[Carry, Array], inputs: Any, _: None) -> tuple[Any, None, Array]:
        def step(state: tuple[Carry, Array, Array], inputs: Any) -> tuple[Any, None]:
            carry, q, total = state
            x, run, fresh, passed, counted, bad = inputs
            before = restart(fresh, sequence.initial, carry)
            after, push = jax.linearize(lambda carry: cell.step(params, carry, x)[0], before)
            turned, r = jnp.linalg.qr(pack(jax.vmap(push)(unpack(q))))
            growth = jnp.log(jnp.abs(jnp.diagonal(r, axis1=1, axis2=2)))  # [B, k]
            total = total + select(counted, poison(bad, growth), jnp.zeros_like(growth))
            return (select(run, after, carry), select(passed, turned, q), total), None

        (carry, q, total), _ = scan(step, (*state, jnp.zeros((batch, k), dtype)), inputs)
        return (carry, q), None, total

    passed = counted_steps(mask, reset, xs)  # [T, B]
    place = jnp.cumsum(counted_steps(mask, None, xs), 0) - 1  # of a step among those that are run
    counted = passed & (place >= burn_in)
    q = jnp.broadcast_to(_directions(sum(widths), k, dtype), (batch, sum(widths), k))
    inputs = (xs, mask, reset, passed, counted, sequence.poisoned)
    _, _, (whole, rest) = over_segments(segment, (carry, q), inputs, (None, None), SEGMENT, False)
    total = whole.sum(0) if rest is None else whole.sum(0) + rest
    return total / counted.sum(0).astype(dtype)[:, None]


def _directions(size: int, k: int, dtype: Any) -> Array:
    """Orthonormal columns [S, k]: all unit vectors, or k random ones, which no symmetry of the weights can miss."""
    if k == size:
        return jnp.eye(size, dtype=dtype)
    return jnp.linalg.qr(jax.random.normal(jax.random.key(0), (size, k), dtype))[0]


def _widths(carry: Carry) -> list[int]:
    return [math.prod(part.shape[1:]) for part in jax.tree.leaves(carry)]


def _offsets(widths: list[int]) -> list[int]:
    return [sum(widths[: i + 1]) for i in range(len(widths) - 1)]
