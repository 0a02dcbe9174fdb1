"""Products of matrices and their singular values, where a float holds neither: every row has a logarithm of its own.

    product = Q D T        Q [S, k] orthonormal columns, D = diag(exp(scale)), T [k, k] upper triangular, rows of size 1
    J Q D T = Q' (R D T) = Q' D' T'                             J Q = Q' R

Each row of R D T is summed relative to its own largest term, so a factor of 10^-4000 between rows costs nothing.
Singular values are those of (D T)^T, whose columns one-sided Jacobi makes orthogonal: a rotation of two columns needs
their cosine c and the ratio r <= 1 of their lengths only.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

SWEEPS = 30  # far more than are needed: convergence is quadratic, and sweeps end with it


class Product(NamedTuple):
    """Q D T, for rows [B] of a batch.

    Attributes:
        q: orthonormal columns, [B, S, k].
        scale: ln of D's entries, [B, k]; -inf for rows of zeros.
        t: upper triangular, the largest size in each row 1 (or 0), [B, k, k].
    """

    q: Array
    scale: Array
    t: Array


def frame(q: Array) -> Product:
    """The product that is just `q` [B, S, k]."""
    rows, _, k = q.shape
    return Product(q, jnp.zeros((rows, k), q.dtype), jnp.broadcast_to(jnp.eye(k, dtype=q.dtype), (rows, k, k)))


def times(pushed: Array, product: Product) -> Product:
    """J times a product, from `pushed` = J Q, [B, S, k]."""
    q, r = jnp.linalg.qr(pushed)
    weights = jnp.log(jnp.abs(r)) + product.scale[:, None, :]  # ln of |R[i, m]| D[m]
    scale = weights.max(2)
    dead = jnp.isneginf(scale)
    base = jnp.where(dead, jnp.zeros_like(scale), scale)
    t = jnp.einsum("bim,bmj->bij", jnp.sign(r) * jnp.exp(weights - base[..., None]), product.t)
    size = jnp.abs(t).max(2)
    t = t / jnp.where(size > 0, size, jnp.ones_like(size))[..., None]
    return Product(q, jnp.where(dead, -jnp.inf, base + jnp.log(size)), t)


def log_singular_values(product: Product) -> Array:
    """ln of the singular values, [B, k], largest first; -inf for zero, nan where a number of the product is."""
    return jax.vmap(_of_columns)(product.t.mT, product.scale)


def _of_columns(v: Array, scale: Array) -> Array:
    """Of V D: columns v [k, k], with their lengths' logarithms [k] beside."""
    k = len(scale)
    v, scale = _normalised(v, scale)
    if k == 1:
        return scale
    rounds = jnp.asarray(_rounds(k))  # [rounds, 2, pairs]
    tolerance = 4 * float(jnp.finfo(v.dtype).eps) * math.sqrt(k)

    def sweep(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        v, scale, _, number = state
        order = jnp.argsort(scale, descending=True)
        v, scale, most = lax.fori_loop(
            0,
            len(rounds),
            lambda i, state: _rotated(rounds[i], *state),
            (v[:, order], scale[order], jnp.zeros((), v.dtype)),
        )
        return v, scale, most, number + 1

    def unfinished(state: tuple[Array, Array, Array, Array]) -> Array:
        return (state[2] > tolerance) & (state[3] < SWEEPS)

    start = (v, scale, jnp.asarray(jnp.inf, v.dtype), jnp.zeros((), int))
    _, scale, _, _ = lax.while_loop(unfinished, sweep, start)
    return jnp.sort(scale, descending=True)


def _rotated(pairs: Array, v: Array, scale: Array, most: Array) -> tuple[Array, Array, Array]:
    """Disjoint pairs [2, P] of columns, each made orthogonal; places beyond the last are left out.

    With a longer than b, r = |b| / |a| and cosine c, the rotation by t = tan has

        t / r = 2 c / (1 - r^2 + sqrt((1 - r^2)^2 + 4 r^2 c^2)),   a' = a + t r b,   b' = b - (t / r) a

    in units of each column's own length before it, times cos, which goes to the lengths.
    """
    k = len(scale)
    first, second = pairs
    ahead = scale[jnp.minimum(first, k - 1)] >= scale[jnp.minimum(second, k - 1)]
    i, j = jnp.where(ahead, first, second), jnp.where(ahead, second, first)
    there = (first < k) & (second < k)
    a, b = (v[:, jnp.minimum(index, k - 1)] for index in (i, j))
    length_a, length_b = (scale[jnp.minimum(index, k - 1)] for index in (i, j))
    difference = jnp.where(jnp.isneginf(length_b), -jnp.inf, length_b - length_a)
    r = jnp.exp(difference)
    c = (a * b).sum(0)
    gap = (1 - r) * (1 + r)
    below = gap + jnp.sqrt(jnp.square(gap) + 4 * jnp.square(r * c))
    ratio = jnp.where(below > 0, 2 * c / jnp.where(below > 0, below, 1), jnp.zeros_like(c))  # t / r
    tangent = ratio * r
    shrink = -jnp.log1p(jnp.square(tangent)) / 2  # ln cos
    new_a, new_a_length = _normalised(a + (tangent * r)[None] * b, length_a + shrink)
    new_b, new_b_length = _normalised(b - ratio[None] * a, length_b + shrink)
    alive = there & ~jnp.isneginf(length_b)
    # Of columns that are already orthogonal to rounding nothing is changed.
    most = jnp.maximum(most, jnp.where(alive, jnp.abs(c), jnp.zeros_like(c)).max())
    i, j = (jnp.where(there, index, k) for index in (i, j))
    v = v.at[:, i].set(new_a, mode="drop").at[:, j].set(new_b, mode="drop")
    return v, scale.at[i].set(new_a_length, mode="drop").at[j].set(new_b_length, mode="drop"), most


def _normalised(v: Array, scale: Array) -> tuple[Array, Array]:
    """Columns [k, P] of length 1 (or 0), and what their lengths' logarithms are then."""
    length = jnp.sqrt(jnp.square(v).sum(0))
    return v / jnp.where(length > 0, length, jnp.ones_like(length))[None], scale + jnp.log(length)


def _rounds(k: int) -> np.ndarray:
    """Every pair of k columns once, in rounds of disjoint pairs: [rounds, 2, pairs]; of an odd number, one rests."""
    players = [*range(k + k % 2)]
    found = []
    for _ in range(len(players) - 1):
        half = len(players) // 2
        found.append([players[:half], players[: half - 1 : -1]])
        players = [players[0], players[-1], *players[1:-1]]
    return np.array(found)
