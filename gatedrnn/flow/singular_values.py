"""Singular values of the product of many Jacobians: how many directions of a carry reach the end, and how much of each.

    d carry_T / d carry_t = J_T ... J_{t+1}        J_t = d carry_t / d carry_{t-1}

The largest one bounds what any gradient keeps from T to t, whatever the loss.
"""

import functools
import math
from collections.abc import Sequence as Several
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
from gatedrnn._sequence import Sequence, check_sequence, quarantine
from gatedrnn._step import restart, select
from gatedrnn.flow._frames import linearised, random_directions, widths_of
from gatedrnn.flow._log_scaled import Product, frame, log_singular_values, times
from gatedrnn.flow._order import in_order

POINTS = 8
SPARE = 8  # directions beyond k, whose own values are not shown: they make the k-th converge
LARGEST = 64  # S up to which all are found by default


class SingularValues(NamedTuple):
    """Result of `singular_values`; without B where the inputs have none.

    Attributes:
        times: the steps t, int [N], in rising order.
        log10: log10 of the k largest singular values of d carry_T / d carry_t, largest first, [N, B, k]. -inf for 0.
        change: by how much the last pass over the sequence changed them, in decades, [N, B, k]; 0 where all S
            directions are followed, which is exact at once.
    """

    times: np.ndarray
    log10: Array
    change: Array


def singular_values(
    cell: Cell,
    params: Any,
    xs: Array,
    carry: Carry | None = None,
    *,
    times: Several[int] | None = None,
    k: int | None = None,
    passes: int = 3,
    mask: Array | None = None,
    reset: Array | None = None,
    reverse: bool = False,
) -> SingularValues:
    """The singular values of d carry_T / d carry_t in log10, for several t; any size, such as 10^-4000, is a number.

    Where k + 8 directions are as many as the carry has, the product itself is kept, as Q D T with a logarithm for each
    row, and its values found by one-sided Jacobi: exact to rounding, of the small ones too. Else k + 8 directions go
    over the sequence and back, `passes` times: subspace iteration, whose error in a value shrinks by the square of
    (first value that is left out / that value) with each pass. Values are approached from below.

    Args:
        cell: any cell, or a network that is run step by step, whose carry is then that of all its cells.
        params: its weights.
        xs: inputs that drive it, [T, B, D] or [T, D].
        carry: the carry before the first step; by default `cell.initial_carry`.
        times: the steps t in 0..T, in any order; row T of an `adjoint` profile belongs to t = T, where the product is
            the identity. By default 8, at lags T - t from 1 to T in equal ratios.
        k: how many; by default all S up to 64, and 16 of more.
        passes: how often the sequence is gone over where not all directions are followed.
        mask: bool [T, B] or [T], as in `unroll`; a masked step is the identity.
        reset: bool [T, B] or [T], as in `unroll`; nothing passes it, so that values before it are -inf.
        reverse: as in `unroll`; t then counts steps in the order in which they are run.

    Returns:
        `SingularValues`. Memory: the trajectory [T, B, S], and N frames [B, S, k + 8]. In float32 the sums of
        logarithms round: after 4,000 steps that each divide by ten, 10^-4000 is off by 0.1 decades; float64 keeps ten
        digits.

    Raises:
        ValueError: a time is not in 0..T, `k` is not in 1..S, the network reads backwards, the frames would not fit in
            memory, or an argument has the wrong rank, width or dtype.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.rnn.init(jax.random.key(0), 1, 4, recurrent_init=gr.initializers.orthogonal(0.1))
        >>> found = gr.flow.singular_values(gr.rnn, params, jax.numpy.zeros((4000, 1)), times=[0, 3999], k=2)
        >>> found.log10.round().tolist()  # 10^-4000 after 4,000 steps that each divide by ten
        [[-4000.0, -4000.0], [-1.0, -1.0]]

    References:
        Demmel, Veselic, "Jacobi's method is more accurate than QR", 1992, https://doi.org/10.1137/0613074; Halko,
        Martinsson, Tropp, "Finding structure with randomness", 2011, https://arxiv.org/abs/0909.4061
    """
    sequence = check_sequence(cell, params, xs, carry, mask, reset, reverse)
    steps, batch = sequence.xs.shape[:2]
    size = sum(widths_of(sequence.carry))
    k = (size if size <= LARGEST else 16) if k is None else check_size("k", k)
    if k > size:
        raise fail("k", f"at most {size}, the size of the carry", shown(k))
    passes = check_size("passes", passes, 2)
    marks = _times(times, steps)
    width = min(k + SPARE, size)
    item = max(part.dtype.itemsize for part in jax.tree.leaves(sequence.carry))
    beyond = beyond_memory(item * batch * (2 * steps * size + len(marks) * 6 * width * (size + width)))
    if beyond:
        sizes = f"k = {k:,}, {len(marks)} times, {steps:,} steps, batch {batch:,} and {size:,} numbers in the carry"
        raise fail("k", "so small that the frames fit in memory", f"{sizes}, {beyond}")
    found, change = _singular_values(cell, k, passes if width < size else 1, params, sequence, jnp.asarray(marks))
    rows = (found, change) if np.ndim(xs) == 3 else (found[:, 0], change[:, 0])
    return SingularValues(marks, *rows)


def _times(times: Any, steps: int) -> np.ndarray:
    if times is None:
        lags = np.geomspace(1, max(steps, 1), POINTS).round().astype(int)
        return np.unique(steps - np.minimum(lags, steps))
    listed = [check_size("times", t, 0, steps) for t in check_list("times", "whole numbers of steps", times)]
    if not listed:
        raise fail("times", "at least one step", shown(times))
    return np.unique(listed)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
@gathered(3)
def _singular_values(
    cell: Cell, k: int, passes: int, params: Any, sequence: Sequence, marks: Array
) -> tuple[Array, Array]:
    """log10 of the values [N, B, k], and how much the last pass changed them."""
    sequence = quarantine(in_order(sequence))
    xs, mask, reset = sequence.xs, sequence.mask, sequence.reset
    steps, batch = xs.shape[:2]
    size = sum(widths_of(sequence.carry))

    def run(carry: Carry, inputs: Any) -> tuple[Carry, Carry]:
        x, run, fresh = inputs
        before = restart(fresh, sequence.initial, carry)
        return select(run, cell.step(params, before, x)[0], carry), before

    _, befores = scan(run, sequence.carry, (xs, mask, reset))
    inputs = (befores, xs, mask, reset, jnp.arange(steps))

    def gone_over(frames: Array, transposed: bool) -> Product:
        """The product of all Jacobians after each mark, or of its transpose, with its frame; [N, B, ...] each."""

        def step(state: Product, inputs: Any) -> tuple[Product, None]:
            before, x, run, fresh, t = inputs
            _, push = linearised(cell, params, before, x, transposed)

            def one(product: Product, mark: Array) -> Product:
                pushed = push(product.q)
                pushed = pushed if fresh is None else select(fresh, jnp.zeros_like(pushed), pushed)
                active = jnp.broadcast_to(t >= mark, (batch,))
                active = active if run is None else active & run
                return select(active, times(pushed, product), product)

            return jax.vmap(one)(state, marks), None

        return scan(step, jax.vmap(frame)(frames), inputs, reverse=transposed)[0]

    width = min(k + SPARE, size)
    q = random_directions(size, width, jnp.result_type(*jax.tree.leaves(sequence.carry)))
    frames = jnp.broadcast_to(q, (len(marks), batch, size, width))
    found = jnp.full((len(marks), batch, k), jnp.nan, q.dtype)
    change = jnp.zeros_like(found)
    for number in range(passes):
        product = gone_over(frames, transposed=number % 2 == 0)
        before, found = found, jax.vmap(log_singular_values)(product)[..., :k]
        change = jnp.where(found == before, jnp.zeros_like(found), jnp.abs(found - before))
        frames = product.q
    change = jnp.zeros_like(found) if passes == 1 else change
    if sequence.poisoned is not None and steps:
        broken = sequence.poisoned[-1][None, :, None] & (marks < steps)[:, None, None] & ~jnp.isneginf(found)
        found = jnp.where(broken, jnp.nan, found)
    return found / math.log(10), change / math.log(10)
