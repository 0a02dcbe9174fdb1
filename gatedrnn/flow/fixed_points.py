"""Fixed points and slow points: where a recurrence with a constant input stands still, and what happens beside it.

speed(h) = |F(h) - h|,     F = one step;      minimised by Levenberg-Marquardt, from many starts at once
d(h + e) -> J e,           J = dF/dh;         a direction with eigenvalue l of J shrinks by 1/e in -1 / ln|l| steps
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.linalg import solve_triangular

from gatedrnn._cell import Cell
from gatedrnn._check import check_array, check_number, check_size, fail
from gatedrnn._forms import Carry
from gatedrnn._jax import gathered
from gatedrnn._memory import beyond_memory
from gatedrnn._sequence import check_carry, check_sequence
from gatedrnn.flow._frames import widths_of

Floats = np.ndarray


class FixedPoints(NamedTuple):
    """Result of `fixed_points`: P of them, the slowest first; S numbers in a carry.

    Attributes:
        carries: where they are, as the cell's carry, [P, ...] each.
        speed: Euclidean norm of F(h) - h, in units of the carry per step, [P].
        fixed: whether that is zero but for rounding, bool [P]; else it is a slow point.
        eigenvalues: of the Jacobian there, complex [P, S], the largest in size first.
        timescales: -1 / ln|eigenvalue| in steps, [P, S]: 0 where a direction is erased, inf where it is kept, negative
            where it grows.
        stable: whether all eigenvalues are inside the unit circle, bool [P].
        visits: how many starts ended here, int [P].
        missed: how many ended at no slow point.
    """

    carries: Carry
    speed: Floats
    fixed: Floats
    eigenvalues: Floats
    timescales: Floats
    stable: Floats
    visits: Floats
    missed: int


def fixed_points(
    cell: Cell,
    params: Any,
    x: Array,
    carries: Carry | None = None,
    *,
    starts: int = 64,
    slow: float = 1e-2,
    apart: float = 1e-3,
    steps: int = 300,
) -> FixedPoints:
    """The fixed points and slow points of a cell under a constant input, stable or not.

    From every start the squared speed is minimised, so that points are found whatever their stability, and so are
    minima at which it is not zero: the ghosts of fixed points that are about to appear. Starts decide what can be
    found; carries that the network visits, such as those of `unroll`, are the best ones (Sussillo and Barak, 2013).

    Args:
        cell: any cell, or a network that is run step by step.
        params: its weights.
        x: the constant input, [D].
        carries: where to start from, [M, ...] each, as the cell's carry; by default normal random numbers.
        starts: M, where `carries` is not given.
        slow: the largest speed of a slow point, in units of the carry per step; 0 for fixed points only.
        apart: points whose numbers all differ by less are one.
        steps: iterations at most.

    Returns:
        `FixedPoints`, in NumPy arrays but for `carries`. The search is compiled; what is found decides shapes, so the
        function itself is not to be traced. Memory: about 8 M matrices [S, S].

    Raises:
        ValueError: those matrices would not fit in memory, the network reads backwards, or an argument has the wrong
            rank, width or dtype.

    Example:
        >>> import jax.numpy as jnp, gatedrnn as gr
        >>> params = gr.Params({"w": jnp.zeros((1, 1)), "b": jnp.zeros(1)}, {"w": jnp.full((1, 1), 2.0)})
        >>> found = gr.flow.fixed_points(gr.rnn, params, jnp.zeros(1))  # h = tanh(2 h): past the pitchfork
        >>> order = found.carries.h[:, 0].argsort()
        >>> [f"{h:.3f}" for h in abs(found.carries.h[order, 0])], found.stable[order].tolist()
        (['0.958', '0.000', '0.958'], [True, False, True])

    References:
        Sussillo, Barak, "Opening the black box: low-dimensional dynamics in high-dimensional recurrent neural
        networks", 2013, https://doi.org/10.1162/NECO_a_00409; Golub, Sussillo, "FixedPointFinder", 2018,
        https://doi.org/10.21105/joss.01003
    """
    x = check_array("x", "a constant input [D] of a floating dtype", x)
    if x.ndim != 1:
        raise fail("x", "a constant input [D]", x.shape)
    sequence = check_sequence(cell, params, x[None], None)
    starts, steps = check_size("starts", starts), check_size("steps", steps)
    slow, apart = check_number("slow", slow, least=0.0), check_number("apart", apart, least=0.0)
    if carries is None:
        keys = jax.random.split(jax.random.key(0), len(jax.tree.leaves(sequence.carry)))
        draw = lambda part, key: jax.random.normal(key, (starts, *part.shape[1:]), part.dtype)
        parts = [draw(part, key) for part, key in zip(jax.tree.leaves(sequence.carry), keys, strict=True)]
        carries = jax.tree.unflatten(jax.tree.structure(sequence.carry), parts)
    else:
        rows = [np.shape(part)[:1] for part in jax.tree.leaves(carries)]
        count = rows[0][0] if rows and rows[0] else 1
        carries = check_carry("carries", carries, cell.initial_carry(params, count), True)
    starts, size = len(jax.tree.leaves(carries)[0]), sum(widths_of(carries))
    beyond = beyond_memory(8 * starts * size * size * x.dtype.itemsize)
    if beyond:
        got = f"{starts:,} carries of {size:,} numbers, {beyond}"
        raise fail("carries", "so few that their Jacobians fit in memory", got)
    h, off, jacobians = (np.asarray(a) for a in _searched(cell, params, x, carries, steps))
    return _points(carries, h, off, jacobians, slow, apart)


class _Search(NamedTuple):
    """Of every start: where it is [S], F(h) - h there [S], and the damping []."""

    h: Array
    off: Array
    damping: Array


@functools.partial(jax.jit, static_argnums=0)
@gathered(1)
def _searched(cell: Cell, params: Any, x: Array, carries: Carry, steps: Array) -> tuple[Array, Array, Array]:
    """Where each start ends, [M, S], F(h) - h there, and the Jacobian there, [M, S, S]."""
    flat = lambda carry: jnp.concatenate([part.reshape(-1) for part in jax.tree.leaves(carry)])
    like = jax.tree.map(lambda a: a[:1], carries)

    def moved(h: Array) -> Array:  # [S] -> F(h) - h
        parts = jnp.split(h, np.cumsum(widths_of(like))[:-1])
        leaves = [a.reshape(part.shape) for a, part in zip(parts, jax.tree.leaves(like), strict=True)]
        return flat(cell.step(params, jax.tree.unflatten(jax.tree.structure(like), leaves), x[None])[0]) - h

    def improved(state: _Search) -> _Search:
        """(A^T A + damping) d = -A^T off by QR of A over sqrt(damping) I; taken where it is less far off."""
        a = jax.jacfwd(moved)(state.h)
        width = len(state.h)
        q, r = jnp.linalg.qr(jnp.concatenate([a, jnp.sqrt(state.damping) * jnp.eye(width, dtype=a.dtype)]))
        h = state.h - solve_triangular(r, q[:width].T @ state.off)
        off = moved(h)
        better = (jnp.square(off).sum() < jnp.square(state.off).sum()) & jnp.isfinite(h).all()
        taken = _Search(h, off, jnp.maximum(state.damping / 8, jnp.finfo(h.dtype).tiny))
        refused = state._replace(damping=state.damping * 4)
        return jax.tree.map(lambda a, b: jnp.where(better, a, b), taken, refused)

    def unfinished(state: tuple[_Search, Array]) -> Array:
        search, number = state
        return ((search.damping < 1e8) & (search.off != 0).any(1)).any() & (number < steps)

    h = jax.vmap(flat)(carries)
    begun = _Search(h, jax.vmap(moved)(h), jnp.full(len(h), 0.1, h.dtype))
    more = lambda state: (jax.vmap(improved)(state[0]), state[1] + 1)
    ended, _ = lax.while_loop(unfinished, more, (begun, jnp.zeros((), int)))
    jacobians = jax.vmap(jax.jacfwd(moved))(ended.h) + jnp.eye(h.shape[1], dtype=h.dtype)[None]
    return ended.h, ended.off, jacobians


def _points(carries: Carry, h: Floats, off: Floats, jacobians: Floats, slow: float, apart: float) -> FixedPoints:
    """Each point once, from its slowest visitor."""
    speed = np.linalg.norm(off, axis=1)
    rounding = 32 * np.finfo(h.dtype).eps * (1 + np.abs(h).max(1, initial=0)) * np.sqrt(h.shape[1])
    fixed = speed <= rounding
    kept: list[int] = []
    visits: list[int] = []
    arrived = [int(i) for i in np.argsort(speed, kind="stable") if fixed[i] or speed[i] <= slow]
    for i in arrived:
        near = [p for p, j in enumerate(kept) if np.abs(h[i] - h[j]).max(initial=0) <= apart]
        if near:
            visits[near[0]] += 1
        else:
            kept.append(i)
            visits.append(1)
    values = np.array([np.linalg.eigvals(jacobians[i].astype(np.float64)) for i in kept], complex)
    values = values.reshape(len(kept), h.shape[1])
    values = np.take_along_axis(values, np.argsort(-np.abs(values), axis=1, kind="stable"), 1)
    with np.errstate(divide="ignore"):
        timescales = -1 / np.log(np.abs(values))
    places = jnp.asarray(h[kept])
    parts = jnp.split(places, np.cumsum(widths_of(carries))[:-1], axis=1)
    leaves = [a.reshape(len(kept), *part.shape[1:]) for a, part in zip(parts, jax.tree.leaves(carries), strict=True)]
    return FixedPoints(
        jax.tree.unflatten(jax.tree.structure(carries), leaves),
        speed[kept],
        fixed[kept],
        values,
        np.where(np.abs(values) == 1, np.inf, timescales + 0.0),
        (np.abs(values) < 1).all(1),
        np.array(visits, int),
        len(h) - len(arrived),
    )
