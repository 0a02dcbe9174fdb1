"""Gradient flossing: a loss that pulls Lyapunov exponents to zero, so that gradients neither vanish nor explode.

loss = mean over rows of (1/k) sum_i exponent_i^2        the k leading exponents, in (nats per step)^2
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_size
from gatedrnn._forms import Carry
from gatedrnn._jax import concrete, gathered
from gatedrnn._sequence import Sequence
from gatedrnn.flow._growth import How
from gatedrnn.flow._ranked import ranked
from gatedrnn.flow._room import check_room
from gatedrnn.flow.spectrum import checked

BLOCKS = 8  # of which each keeps its first frame for the gradient


def flossing(
    cell: Cell,
    params: Any,
    xs: Array,
    carry: Carry | None = None,
    *,
    k: int,
    burn_in: int = 0,
    every: int = 1,
    mask: Array | None = None,
    reset: Array | None = None,
    reverse: bool = False,
) -> Array:
    """The mean square of the k leading Lyapunov exponents, to be added to any loss, or minimised before training.

    Its gradient pushes k directions beside every row and has a QR of k columns in each row at each step: it takes many
    times as long as the gradient of a loss of the last output. The paper flosses a few hundred updates before training
    and now and then within it. Memory: a frame [B, S, k] for each of 8 blocks, and about ten for each step of one.

    Args:
        cell: any cell or network; differentiable in `params`, and in `xs`.
        params: its weights.
        xs: inputs that drive it, [T, B, D] or [T, D].
        carry: the carry before the first step; by default `cell.initial_carry`.
        k: how many exponents.
        burn_in: steps at the start that are run but not counted.
        every: steps between two QRs; more are faster, and lose what `spectrum` calls `cancelled`.
        mask: bool [T, B] or [T], as in `unroll`; a masked step is none.
        reset: bool [T, B] or [T], as in `unroll`; such a step is not counted.
        reverse: as in `unroll`, from the last step to the first.

    Returns:
        A scalar, at least 0, in (nats per step)^2; rows of which no step counts are left out.

    Raises:
        ValueError: as `lyapunov`.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.rnn.init(jax.random.key(0), 1, 4, recurrent_init=gr.initializers.orthogonal(0.5))
        >>> xs = jax.numpy.zeros((20, 1))
        >>> slope = jax.jit(jax.grad(lambda params: gr.flow.flossing(gr.rnn, params, xs, k=4)))
        >>> for _ in range(30):
        ...     params = jax.tree.map(lambda a, da: a - 0.3 * da, params, slope(params))
        >>> gr.flow.lyapunov(gr.rnn, params, xs).round(1).tolist()  # from ln 0.5, about -0.7
        [-0.0, -0.0, -0.0, -0.0]

    References:
        Engelken, "Gradient flossing: improving gradient descent through dynamic control of Jacobians", 2023,
        https://arxiv.org/abs/2312.17306
    """
    sequence, k, burn_in = checked(cell, params, xs, carry, k, burn_in, mask, reset, reverse)
    kept = 3 if concrete(params, sequence) else BLOCKS + 10 * -(-sequence.xs.shape[0] // BLOCKS)
    check_room("k", sequence, at_once=kept * k)
    how = How(k, check_size("every", every), -(-sequence.xs.shape[0] // BLOCKS))
    return _flossing(cell, how, params, sequence, burn_in)


@functools.partial(jax.jit, static_argnums=(0, 1))
@gathered(2)
def _flossing(cell: Cell, how: How, params: Any, sequence: Sequence, burn_in: Array) -> Array:
    found = ranked(cell, how, params, sequence, burn_in)
    number = found.number.sum(0)  # [B, k]
    exponents = found.total.sum(0) / jnp.maximum(number, 1)
    rows = (number[:, 0] > 0).astype(exponents.dtype)
    return jnp.square(exponents).mean(1) @ rows / jnp.maximum(rows.sum(), 1)
