"""The closed form of a cell at rest: with zero input and a zero carry that stays zero, every step has one Jacobian J.

    || dL/dcarry at lag k || = || (J^T)^k v ||                    v = the probe on h
    || dL/dcarry at lag k || = || (J^T)^(k - 1) (dy/dcarry)^T v ||        for a cell with `step` alone, v on y

computed by repeated squaring in NumPy float64, one power of two kept apart: a second way to the adjoint profile.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn.flow._probe import unit_cotangent

LARGEST = 2048  # S above which J's powers would cost more than the measurement they check


def rest_profile(cell: Cell, params: Any, lags: np.ndarray, input_width: int) -> np.ndarray | None:
    """log10 of the probe's norm at the given lags, for zero input.

    Args:
        cell: any cell.
        params: its weights.
        lags: increasing whole numbers of steps, [N].
        input_width: D.

    Returns:
        [N], dimensionless, for the default probe of `adjoint`; None where the carry does not stay zero or has more than
        2,048 units, or the cell reads backwards and has no single step.
    """
    if not cell.causal:
        return None
    carry = cell.initial_carry(params, 1)
    if sum(part.size for part in jax.tree.leaves(carry)) > LARGEST:
        return None
    found = _linearised_at_rest(cell, input_width, params, carry)
    moved, jacobian, probe = (np.asarray(part, np.float64) for part in found)
    if moved.any() or any(np.any(part) for part in jax.tree.leaves(carry)):
        return None
    if cell.factored:
        return power_norms(jacobian, probe, lags)
    late = lags > 0  # the last output reads the carry before it
    norms = np.full(len(lags), -math.inf)
    norms[late] = power_norms(jacobian, probe, lags[late] - 1)
    return norms


@functools.partial(jax.jit, static_argnums=(0, 1))
def _linearised_at_rest(cell: Cell, input_width: int, params: Any, carry: Any) -> tuple[Array, Array, Array]:
    """One step from `carry [1, H]` each with zero input: the next carry [S], its Jacobian [S, S], the probe [S]."""
    x = jnp.zeros((1, input_width), jax.tree.leaves(carry)[0].dtype)

    def flat(carry: Any) -> Array:  # -> [S]
        return jnp.concatenate([part.ravel() for part in jax.tree.leaves(carry)])

    def step(carry: Any) -> Array:  # -> [S]
        return flat(cell.step(params, carry, x)[0])

    blocks = jax.jacrev(step)(carry)  # [S, 1, H] each
    jacobian = jnp.concatenate([block.reshape(len(block), -1) for block in jax.tree.leaves(blocks)], axis=1)
    if cell.factored:
        probe = jax.tree.map(jnp.zeros_like, carry)._replace(h=unit_cotangent(carry.h))
    else:
        y, pull = jax.vjp(lambda carry: cell.step(params, carry, x)[1], carry)
        (probe,) = pull(unit_cotangent(y))
    return step(carry), jacobian, flat(probe)


def power_norms(jacobian: np.ndarray, probe: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """log10 || (J^T)^k v || for each lag k: J [S, S], v [S], lags [N] increasing -> [N]; -inf for zero."""
    powers = [_normalised(jacobian, 0)]  # (J^(2^i) / 2^e, e)
    while 2 ** len(powers) <= max(lags, default=0):
        matrix, exponent = powers[-1]
        powers.append(_normalised(_product(matrix, matrix), 2 * exponent))
    norms, before = [], 0
    vector, exponent = probe, 0
    for lag in lags:
        for bit, (matrix, matrix_exponent) in enumerate(powers):
            if (int(lag) - before) >> bit & 1:
                vector, exponent = _normalised(_product(vector[None], matrix)[0], exponent + matrix_exponent)
        before = int(lag)
        norm = float(np.linalg.norm(vector))
        norms.append(math.log10(norm) + exponent * math.log10(2) if norm > 0 else -math.inf)
    return np.array(norms)


def _normalised(a: np.ndarray, exponent: int) -> tuple[np.ndarray, int]:
    """`a * 2^exponent` with the largest |entry| of `a` brought into [0.5, 1)."""
    shift = int(np.frexp(np.abs(a).max())[1])
    return np.ldexp(a, -shift), exponent + shift


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a [N, S] @ b [S, M] without BLAS, whose threads spin on after a product and slow the scans that follow it."""
    return np.einsum("ij,jk->ik", a, b)
