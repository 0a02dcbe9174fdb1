"""How much of a perturbation of the whole carry is left between any two times: norms of products of Jacobians.

    d carry_t / d carry_s = J_t J_{t-1} ... J_{s+1}         t >= s; the identity at t = s

The product over each interval of a grid of times is formed once, from S tangents that are pushed through its steps;
those over longer stretches are products of these. A matrix is carried with a power of two of its own.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_list, check_size, fail, shown
from gatedrnn._forms import Carry
from gatedrnn._jax import gathered, scan
from gatedrnn._memory import beyond_memory
from gatedrnn._sequence import Sequence, check_sequence, poison, quarantine
from gatedrnn._step import guarded_step
from gatedrnn.flow._order import in_order
from gatedrnn.flow._scaled import Scaled, rescale


class JacobianNorms(NamedTuple):
    """Result of `jacobian_norms`.

    Attributes:
        times: the numbers of steps after which carries are compared, increasing, [N].
        spectral: log10 of the largest singular value of d carry_t / d carry_s at [i, j], t = times[i] and
            s = times[j], [N, N, B] or [N, N]: by how much the worst perturbation has grown. -inf for t < s.
        frobenius: log10 of the Frobenius norm, likewise; sqrt(S) times the growth of a random perturbation.
    """

    times: np.ndarray
    spectral: Array
    frobenius: Array


def jacobian_norms(
    cell: Cell,
    params: Any,
    xs: Array,
    carry: Carry | None = None,
    *,
    times: int | list[int] | Array = 16,
    mask: Array | None = None,
    reset: Array | None = None,
    reverse: bool = False,
) -> JacobianNorms:
    """The norms of d carry_t / d carry_s for all pairs of some times.

    Args:
        cell: any cell that is run step by step, `Cell.from_step` ones and stacks included.
        params: its weights.
        xs: inputs that drive it, [T, B, D] or [T, D].
        carry: the carry before the first step; by default `cell.initial_carry`.
        times: numbers of steps run, from 0 (before the first) to T; or N, for so many evenly spread from 0 to T.
        mask: bool [T, B] or [T], as in `unroll`; a masked step is the identity.
        reset: bool [T, B] or [T], as in `unroll`; nothing passes it.
        reverse: as in `unroll`; times count the steps in the order in which they are run.

    Returns:
        `JacobianNorms`, dimensionless, finite at any horizon. Memory: about 4 N B S^2 floats, S the size of the carry;
        work: T S products of a step, N^2 of two matrices [S, S] and as many singular value decompositions.

    Raises:
        ValueError: it would need more memory than the machine has, or an argument has the wrong rank, width, dtype or
            structure.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.rnn.init(jax.random.key(0), 1, 4, recurrent_init=gr.initializers.orthogonal(0.5))
        >>> found = gr.flow.jacobian_norms(gr.rnn, params, jax.numpy.zeros((100, 1)), times=[0, 10, 100])
        >>> [round(float(norm), 1) for norm in found.spectral[:, 0]]  # log10 0.5 per step
        [0.0, -3.0, -30.1]

    References:
        Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", 2013,
        https://arxiv.org/abs/1211.5063
    """
    sequence = check_sequence(cell, params, xs, carry, mask, reset, reverse)
    steps, batch = sequence.xs.shape[:2]
    places = _check_times(times, steps)
    size = sum(math.prod(part.shape[1:]) for part in jax.tree.leaves(sequence.carry))
    item = jnp.result_type(*jax.tree.leaves(sequence.carry)).itemsize
    _check_memory(len(places), batch, size, item)
    spectral, frobenius = _norms(cell, params, sequence, places)
    if np.ndim(xs) == 2:
        spectral, frobenius = spectral[..., 0], frobenius[..., 0]
    return JacobianNorms(places, spectral, frobenius)


def _check_times(times: Any, steps: int) -> np.ndarray:
    if isinstance(times, int | np.integer) and not isinstance(times, bool):
        return np.unique(np.linspace(0, steps, check_size("times", times)).round().astype(int))
    expected = f"a number of times, or a list of times from 0 to T = {steps}"
    found = [check_size("times", time, least=0) for time in check_list("times", expected, times)]
    if not found or max(found) > steps:
        raise fail("times", expected, shown(times))
    return np.unique(found)


def _check_memory(count: int, batch: int, size: int, item: int) -> None:
    """Raises ValueError before it starts where the matrices would not fit; an estimate from above."""
    beyond = beyond_memory(4 * (count + 1) * batch * size**2 * item)
    if beyond:
        got = f"{count} times, batch {batch} and carries of {size:,} numbers, {beyond}"
        raise fail("times", "so few that their Jacobians fit in memory", got)


@functools.partial(jax.jit, static_argnums=0)
@gathered(1)
def _norms(cell: Cell, params: Any, sequence: Sequence, times: Array) -> tuple[Array, Array]:
    """log10 of both norms, [N, N, B]; times int [N], increasing."""
    sequence = in_order(quarantine(sequence))
    step = guarded_step(cell, params, sequence.initial)
    leaves, structure = jax.tree.flatten(sequence.carry)
    batch = sequence.xs.shape[1]
    widths = [math.prod(part.shape[1:]) for part in leaves]
    size, dtype = sum(widths), jnp.result_type(*leaves)
    identity = jnp.broadcast_to(jnp.eye(size, dtype=dtype), (batch, size, size))
    plain = jnp.zeros(batch, jnp.int32)

    def flat(tangents: Carry) -> Array:  # [S, B, ...] each -> [B, S, S], from column to row
        rows = [a.reshape(size, batch, width) for a, width in zip(jax.tree.leaves(tangents), widths, strict=True)]
        return jnp.concatenate(rows, 2).transpose(1, 2, 0)

    def unflat(matrix: Array) -> Carry:
        pieces = jnp.split(matrix.transpose(2, 0, 1), np.cumsum(widths)[:-1].tolist(), axis=2)
        parts = [a.reshape(size, *like.shape) for a, like in zip(pieces, leaves, strict=True)]
        return jax.tree.unflatten(structure, parts)

    def inputs(at: Array) -> tuple[Array, Array | None, Array | None]:
        forced: tuple[Array, Array | None, Array | None] = jax.tree.map(
            lambda a: a[at], (sequence.xs, sequence.mask, sequence.reset)
        )
        return forced

    def advance(at: Array, state: tuple[Carry, Scaled]) -> tuple[Carry, Scaled]:
        carry, product = state
        after, push = jax.linearize(lambda carry: step(carry, inputs(at))[0], carry)
        matrix = flat(jax.vmap(push)(unflat(product.mantissa)))
        bad = None if sequence.poisoned is None else sequence.poisoned[at]
        return after, rescale(Scaled(poison(bad, matrix), product.exponent))

    def interval(state: tuple[Carry, Scaled], bounds: tuple[Array, Array, Array]) -> tuple[Any, tuple[Array, Array]]:
        carry, products = state  # from each of the N times to this one: [N, B, S, S]
        begin, end, new = bounds
        carry, one = jax.lax.fori_loop(begin, end, advance, (carry, Scaled(identity, plain)))
        products = _begun(new, jax.vmap(lambda each: _longer(one, each))(products), identity)
        return (carry, products), _log_norms(products)

    count = times.shape[0]
    nothing = Scaled(jnp.zeros((count, batch, size, size), dtype), jnp.zeros((count, batch), jnp.int32))
    new = jnp.eye(count, dtype=bool)
    carry = jax.lax.fori_loop(0, times[0], lambda at, carry: step(carry, inputs(at))[0], sequence.carry)
    products = _begun(new[0], nothing, identity)
    first = jax.tree.map(lambda a: a[None], _log_norms(products))
    _, rest = scan(interval, (carry, products), (times[:-1], times[1:], new[1:]))
    spectral, frobenius = (jnp.concatenate(each) for each in zip(first, rest, strict=True))
    return spectral, frobenius


def _longer(later: Scaled, earlier: Scaled) -> Scaled:
    """The product; zero where one of them is, whatever the other: nothing passes a reset, NaN included."""
    nothing = [(each.mantissa == 0).all((1, 2), keepdims=True) for each in (later, earlier)]
    matrix = jnp.where(nothing[0] | nothing[1], 0, later.mantissa @ earlier.mantissa)
    return rescale(Scaled(matrix, later.exponent + earlier.exponent))


def _begun(new: Array, products: Scaled, identity: Array) -> Scaled:
    """With the identity at the time, of N, that has just been reached."""
    mantissa = jnp.where(new[:, None, None, None], identity[None], products.mantissa)
    return Scaled(mantissa, jnp.where(new[:, None], 0, products.exponent))


def _log_norms(products: Scaled) -> tuple[Array, Array]:
    """log10 of the spectral and of the Frobenius norm, [N, B]."""
    matrix = products.mantissa
    logs = products.exponent.astype(matrix.dtype) * jnp.asarray(math.log10(2), matrix.dtype)
    largest = lambda a: jnp.linalg.svd(a, compute_uv=False)[..., 0] if a.size else a.sum((-1, -2))
    norms = largest(matrix), jnp.sqrt(jnp.square(matrix).sum((-1, -2)))
    return jnp.log10(norms[0]) + logs, jnp.log10(norms[1]) + logs
