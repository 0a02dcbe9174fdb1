"""A small problem of random numbers on which laws are tried, and those that cells and methods have in common."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._unroll import unroll
from gatedrnn.methods.autodiff import Autodiff

T, B = 7, 3
TOLERANCE = 1e-4  # of the largest entry: float32 over a few steps

Law = Callable[[], str | None]
"""Tries a law; gives what is wrong, or None where it holds."""


class Problem:
    """A cell's random weights and inputs, a first carry, a mask and resets."""

    def __init__(self, cell: Cell, input_size: int, hidden_size: int, options: dict[str, Any]) -> None:
        self.cell = cell
        keys = iter(jax.random.split(jax.random.key(0), 4))
        self.params = cell.init(next(keys), input_size, hidden_size, **options)
        self.xs = jax.random.normal(next(keys), (T, B, input_size))  # [T, B, D]
        key = next(keys)
        shake = lambda a: a + 0.3 * jax.random.normal(key, a.shape, a.dtype)
        self.carry = jax.tree.map(shake, cell.initial_carry(self.params, B))
        self.mask = jnp.array([[0, 1, 1], [1, 1, 1], [0, 1, 0], [1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 1, 1]], bool)
        self.reset = jax.random.bernoulli(next(keys), 0.3, (T, B)).at[3].set(True)

    def run(self, method: Any = Autodiff(), xs: Any = None, carry: Any = None, **options: Any) -> Any:
        """`unroll` of the problem, or of other inputs."""
        xs = self.xs if xs is None else xs
        return unroll(self.cell, self.params, xs, self.carry if carry is None else carry, method=method, **options)

    def gradients(self, method: Any, **options: Any) -> Any:
        """In weights, inputs and first carry, of a loss that reads every output and every part of the last carry."""

        def loss(params: Any, xs: Array, carry: Any) -> Array:
            end, ys = unroll(self.cell, params, xs, carry, method=method, **options)
            return sum((jnp.sum(jnp.sin(part + 1)) for part in jax.tree.leaves(end)), jnp.sum(jnp.sin(ys)))

        return jax.grad(loss, argnums=(0, 1, 2))(self.params, self.xs, self.carry)


def apart(got: Any, want: Any) -> str | None:
    """By how much two trees differ, as a fraction of the largest entry of each leaf; None where they agree."""
    if str(jax.tree.structure(got)) != str(jax.tree.structure(want)):
        return f"{jax.tree.structure(got)} in the place of {jax.tree.structure(want)}"
    worst = 0.0
    for one, other in zip(map(np.asarray, jax.tree.leaves(got)), map(np.asarray, jax.tree.leaves(want)), strict=True):
        if one.shape != other.shape:
            return f"the shape {one.shape} in the place of {other.shape}"
        if one.size:
            off = np.abs(one - other).max() / max(np.abs(other).max(), 1e-3)
            worst = max(worst, np.inf if np.isnan(off) else float(off))
    return f"{worst:.1g} of the largest entry apart" if worst > TOLERANCE else None


def mask_law(problem: Problem, method: Any) -> str | None:
    end, ys = problem.run(method, mask=problem.mask)
    for row in range(B):
        ran = np.flatnonzero(problem.mask[:, row])
        carry = jax.tree.map(lambda a, row=row: a[row : row + 1], problem.carry)
        want = problem.run(xs=problem.xs[ran, row : row + 1], carry=carry)
        got = jax.tree.map(lambda a, row=row: a[row : row + 1], end), ys[ran, row : row + 1]
        wrong = apart(got, want)
        if wrong:
            return wrong
    return None


def reset_law(problem: Problem, method: Any) -> str | None:
    """Every row is reset at step 3."""
    reset = jnp.zeros((T, B), bool).at[3].set(True)
    fresh = problem.cell.initial_carry(problem.params, B)
    want = problem.run(xs=problem.xs[3:], carry=fresh)
    if not problem.cell.causal:  # what reads backwards begins behind step 3, and ends before it
        return apart(problem.run(method, reset=reset, carry=fresh)[1][3:], want[1])
    end, ys = problem.run(method, reset=reset)
    return apart((end, ys[3:]), want)


def gradient_law(problem: Problem, method: Any, **flags: Any) -> str | None:
    return apart(problem.gradients(method, **flags), problem.gradients(Autodiff(), **flags))
