"""The closed form of a cell at rest: with zero input and a zero carry that stays zero, every step has one Jacobian J.

    || dL/dcarry at lag k || = || (J^T)^k v ||

computed by repeated squaring in NumPy float64, one power of two kept apart: a second way to the adjoint profile.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gatedrnn._cell import Cell
from gatedrnn.flow.adjoint import unit_probe

LARGEST = 2048  # S above which J's powers would cost more than the measurement they check


def rest_profile(cell: Cell, params: Any, lags: np.ndarray, input_width: int) -> np.ndarray | None:
    """log10 of the probe's norm at the given lags, for zero input.

    Args:
        cell: any cell.
        params: its weights.
        lags: increasing whole numbers of steps, [N].
        input_width: D.

    Returns:
        [N], dimensionless; None where the carry does not stay zero or has more than 2,048 units.
    """
    carry = cell.initial_carry(params, 1)
    leaves, treedef = jax.tree.flatten(carry)
    sizes = [math.prod(leaf.shape) for leaf in leaves]
    if sum(sizes) > LARGEST:
        return None
    dtype = next(leaf.dtype for leaf in jax.tree.leaves(params))
    x = jnp.zeros((1, input_width), dtype)

    def step(state: jax.Array) -> jax.Array:  # [S] -> [S]
        parts = jnp.split(state, [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)])
        start = treedef.unflatten([part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])
        return jnp.concatenate([part.ravel() for part in jax.tree.leaves(cell.step(params, start, x)[0])])

    rest = jnp.concatenate([leaf.ravel() for leaf in leaves])
    if rest.any() or step(rest).any():
        return None
    jacobian = np.asarray(jax.jit(jax.jacrev(step))(rest), np.float64)  # [S, S]
    probe = np.concatenate([np.ravel(part) for part in jax.tree.leaves(unit_probe(carry))]).astype(np.float64)
    return power_norms(jacobian, probe, lags)


def power_norms(jacobian: np.ndarray, probe: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """log10 || (J^T)^k v || for each lag k: J [S, S], v [S], lags [N] increasing -> [N]; -inf for zero."""
    powers = [_normalised(jacobian, 0)]  # (J^(2^i) / 2^e, e)
    while 2 ** len(powers) <= lags[-1]:
        matrix, exponent = powers[-1]
        powers.append(_normalised(matrix @ matrix, 2 * exponent))
    norms, before = [], 0
    vector, exponent = probe, 0
    for lag in lags:
        for bit, (matrix, matrix_exponent) in enumerate(powers):
            if (int(lag) - before) >> bit & 1:
                vector, exponent = _normalised(vector @ matrix, exponent + matrix_exponent)
        before = int(lag)
        norm = float(np.linalg.norm(vector))
        norms.append(math.log10(norm) + exponent * math.log10(2) if norm > 0 else -math.inf)
    return np.array(norms)


def _normalised(a: np.ndarray, exponent: int) -> tuple[np.ndarray, int]:
    """`a * 2^exponent` with the largest |entry| of `a` brought into [0.5, 1)."""
    shift = int(np.frexp(np.abs(a).max())[1])
    return np.ldexp(a, -shift), exponent + shift
