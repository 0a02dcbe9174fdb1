"""Lyapunov exponents: the mean growth of small perturbations of the whole carry, in nats per step.

    J_t Q_{t-1} = Q_t R_t,      exponent_i = mean_t ln |R_t[i, i]|        J_t = d carry_t / d carry_{t-1}

The Jacobians multiply from the left in the order of time, J_T ... J_1: a reversed product has another spectrum.
"""

import functools
from typing import Any

import jax
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry
from gatedrnn._jax import gathered
from gatedrnn._sequence import Sequence
from gatedrnn.flow._growth import How
from gatedrnn.flow._ranked import ranked
from gatedrnn.flow._room import check_room
from gatedrnn.flow.spectrum import checked

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
        Exponents in nats per step, largest first: [B, k] or [k]; nan in a row of which no step counts. Memory: the
        inputs, and a few frames [B, S, k].

    Raises:
        ValueError: `k` is not in 1..S, `burn_in` is not in 0..T - 1, there is no step, the frames would not fit in
            memory, or an argument has the wrong rank, width or dtype.

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
    sequence, k, burn_in = checked(cell, params, xs, carry, k, burn_in, mask, reset, reverse)
    frames = 3 if cell.causal else 1  # one, where it is pushed to, and its QR; no cell has those of all
    check_room("k", sequence, at_once=frames * k)
    exponents = _lyapunov(cell, How(k, 1, SEGMENT), params, sequence, burn_in)
    return exponents if np.ndim(xs) == 3 else exponents[0]


@functools.partial(jax.jit, static_argnums=(0, 1))
@gathered(2)
def _lyapunov(cell: Cell, how: How, params: Any, sequence: Sequence, burn_in: Array) -> Array:
    found = ranked(cell, how, params, sequence, burn_in)
    return found.total.sum(0) / found.number.sum(0)
