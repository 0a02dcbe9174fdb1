"""The Lyapunov spectrum with what it is worth: how it converged, how uncertain it is, from either side, with gradients.

    exponent_i = sum over blocks of (log growth)_i / sum of steps that count
    error_i^2  = m / (m - 1) * sum over m blocks of (growth - exponent * steps)^2 / (all steps)^2

The error is the largest that is found with blocks joined by one, two, four and so on, while eight are left: a block
that is longer than the growth's memory is independent of the next, and shorter ones give too small an error.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_flag, check_size, fail, shown
from gatedrnn._forms import Carry
from gatedrnn._jax import concrete, gathered
from gatedrnn._memory import beyond_memory
from gatedrnn._sequence import Sequence, check_sequence
from gatedrnn.flow._frames import widths_of
from gatedrnn.flow._growth import How
from gatedrnn.flow._order import in_order
from gatedrnn.flow._ranked import block_ends, ranked, standard_error

PILOT = 256  # steps from which `every` is chosen; sequences of less than four times as many have a QR at each
LONGEST = 32  # steps between two QRs


class Spectrum(NamedTuple):
    """Result of `spectrum`; without B where the inputs have none.

    Attributes:
        exponents: nats per step, largest first, [B, k].
        error: their standard errors, nats per step, [B, k]; nan where there are fewer than two blocks.
        history: the running estimates after each of N blocks, in the order of `exponents`, [N, B, k]; nan before the
            first step that counts.
        steps: how many steps were run by then, masked ones and those of `burn_in` included, int [N].
        number: steps that count, [B].
        every: steps between two QRs.
        cancelled: the most that any direction lost between two QRs, in nats, [B]. Near -ln eps (16 in float32, 36 in
            float64) nothing was left of the direction but rounding.
    """

    exponents: Array
    error: Array
    history: Array
    steps: Array
    number: Array
    every: int
    cancelled: Array


def spectrum(
    cell: Cell,
    params: Any,
    xs: Array,
    carry: Carry | None = None,
    *,
    k: int | None = None,
    burn_in: int = 0,
    backward: bool = False,
    every: int | None = None,
    points: int = 64,
    mask: Array | None = None,
    reset: Array | None = None,
    reverse: bool = False,
) -> Spectrum:
    """The k leading Lyapunov exponents with their convergence and standard errors; differentiable in the weights.

    Backward exponents are the growth of gradients: of the transposed Jacobians, from the last step to the first. In the
    limit they are the forward ones; over T steps the two differ by what directions need to turn, of the order 1/T.

    A product of q Jacobians shrinks the last direction against the first by e^(q (l_1 - l_k)); of a direction that
    cancels by more than -ln eps, a float holds nothing. By default q is the largest power of two, at most 32, at which
    half of the digits are left, chosen from the first 256 steps; where `cancelled` tells that some q steps lost more,
    they are measured again with a smaller q. Below 1,024 steps, and where values are traced, q is 1.

    The gradient of an exponent goes through QR, the carries and the frames: it is finite where no growth is exactly 0,
    and in chaos it grows with T as any gradient does. Reverse mode keeps one frame [B, S, k] and one carry for each of
    N blocks, and about ten of them for each step of one block.

    Args:
        cell: any cell or network, as in `lyapunov`.
        params: its weights.
        xs: inputs that drive it, [T, B, D] or [T, D].
        carry: the carry before the first step; by default `cell.initial_carry`.
        k: how many exponents; all S by default. All start from the identity, fewer from random directions.
        burn_in: steps that are run but not counted, those that are measured first: at the start of the sequence, or at
            its end with `backward`. It is rounded up to whole groups of `every`.
        backward: whether gradients' growth is measured.
        every: q, steps between two QRs; chosen by default.
        points: N, about how many blocks the steps are cut into: from half to twice as many, so that they are even.
        mask: bool [T, B] or [T], as in `unroll`; a masked step is none.
        reset: bool [T, B] or [T], as in `unroll`; such a step is not counted, as in `lyapunov`.
        reverse: as in `unroll`, from the last step to the first.

    Returns:
        `Spectrum`. Memory: the inputs, and N growths; backward also the carries of one block and those before each.

    Raises:
        ValueError: `k` is not in 1..S, `burn_in` is not in 0..T - 1, there is no step, the frames would not fit in
            memory, or an argument has the wrong rank, width or dtype.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.rnn.init(jax.random.key(0), 2, 4)
        >>> xs = jax.random.normal(jax.random.key(1), (400, 2))
        >>> found = gr.flow.spectrum(gr.rnn, params, xs, k=2, burn_in=40)
        >>> found.exponents.shape, found.history.shape, bool((found.exponents < 0).all())
        ((2,), (50, 2), True)
        >>> gradient = jax.grad(lambda params: gr.flow.spectrum(gr.rnn, params, xs).exponents.sum())(params)
        >>> gradient.recurrent["w"].shape
        (4, 4)

    References:
        Benettin, Galgani, Giorgilli, Strelcyn, 1980, https://doi.org/10.1007/BF02128236; Engelken, Wolf, Abbott,
        "Lyapunov spectra of chaotic recurrent neural networks", 2023, https://arxiv.org/abs/2006.02427; Flyvbjerg,
        Petersen, "Error estimates on averages of correlated data", 1989, https://doi.org/10.1063/1.457480
    """
    sequence, k, burn_in = checked(cell, params, xs, carry, k, burn_in, mask, reset, reverse)
    points = check_size("points", points)
    every = None if every is None else check_size("every", every)
    backward = check_flag("backward", backward)
    steps = sequence.xs.shape[0]
    how = How(k, every or 1, -(-steps // points), backward)
    _check_memory(sequence, how)
    if every is None:
        how = how._replace(every=_chosen(cell, how, params, sequence))
    found = _measured(cell, how, params, sequence, burn_in)
    while every is None and how.every > 1 and bool((found.cancelled > _room(found.exponents.dtype)).any()):
        how = how._replace(every=how.every // 4 or 1)
        found = _measured(cell, how, params, sequence, burn_in)
    found = found._replace(every=how.every)
    if np.ndim(xs) == 3:
        return found
    rows = {name: getattr(found, name)[0] for name in ("exponents", "error", "number", "cancelled")}
    return found._replace(history=found.history[:, 0], **rows)


def checked(
    cell: Cell, params: Any, xs: Array, carry: Any, k: Any, burn_in: Any, mask: Any, reset: Any, reverse: Any
) -> tuple[Sequence, int, int]:
    """The sequence, k and `burn_in`, or ValueError: what every measure of exponents checks first."""
    sequence = check_sequence(cell, params, xs, carry, mask, reset, reverse, stepwise=False)
    steps, size = sequence.xs.shape[0], sum(widths_of(sequence.carry))
    k = size if k is None else check_size("k", k)
    if k > size:
        raise fail("k", f"at most {size}, the size of the carry", shown(k))
    burn_in = check_size("burn_in", burn_in, 0)
    if not steps:
        raise fail("xs", "of at least one step", np.shape(xs))
    if burn_in >= steps:
        raise fail("burn_in", f"below the number of steps, {steps}", shown(burn_in))
    return sequence, k, burn_in


@functools.partial(jax.jit, static_argnums=(0, 1))
@gathered(2)
def _measured(cell: Cell, how: How, params: Any, sequence: Sequence, burn_in: Array) -> Spectrum:
    """With rows [B]; `every` is filled in by the caller."""
    found = ranked(cell, how, params, sequence, burn_in)
    number = found.number.sum(0)  # [B, k]
    history = jnp.cumsum(found.total, 0) / jnp.cumsum(found.number, 0)
    exponents = found.total.sum(0) / number
    steps = block_ends(sequence.xs.shape[0], how)
    return Spectrum(exponents, standard_error(found), history, steps, number[:, 0], 0, found.cancelled.max(0))


def _room(dtype: Any) -> float:
    """Half of the digits, in nats: what a direction may lose to the others between two QRs."""
    return -math.log(float(jnp.finfo(dtype).eps)) / 2


def _chosen(cell: Cell, how: How, params: Any, sequence: Sequence) -> int:
    """The largest power of two steps after which half of the digits are left, by the first steps' spread."""
    steps = sequence.xs.shape[0]
    if not concrete(params, sequence) or steps < 4 * PILOT:
        return 1
    pilot = in_order(sequence)
    pilot = pilot.piece(jax.tree.map(lambda a: a[:PILOT], pilot.steps), pilot.carry)
    found = _measured(cell, How(how.k, 1, PILOT), params, pilot, 0)
    if not concrete(found.exponents):  # inside another function's trace
        return 1
    exponents = np.asarray(found.exponents, np.float64)
    exponents = exponents[np.isfinite(exponents).all(1)]
    if not exponents.size:
        return 1
    rate = max(np.abs(exponents).max(), (exponents[:, 0] - exponents[:, -1]).max(), 1e-9)  # sizes stay in range, too
    return int(2 ** math.floor(math.log2(min(max(_room(found.exponents.dtype) / rate, 1), LONGEST))))


def _check_memory(sequence: Sequence, how: How) -> None:
    """Raises ValueError where the frames would not fit: an estimate of what is held at once, but for the inputs."""
    steps, batch = sequence.xs.shape[:2]
    size = sum(widths_of(sequence.carry))
    length = how.length
    blocks = -(-steps // length)
    numbers = batch * (6 * size * how.k + 3 * blocks * how.k + 4 * steps)
    numbers += batch * size * (length + blocks) if how.backward else 0
    beyond = beyond_memory(numbers * max(part.dtype.itemsize for part in jax.tree.leaves(sequence.carry)))
    if beyond:
        sizes = f"k = {how.k:,}, batch {batch:,} and {size:,} numbers in the carry"
        raise fail("k", "so small that the frames fit in memory", f"{sizes}, {beyond}")
