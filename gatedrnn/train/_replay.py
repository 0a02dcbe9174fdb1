"""A training run again: which update's loss is not finite any more, and with which learning rate all are, and stay low.

1, 2 or 5 times a power of ten, below the rate that failed, the largest that does not
"""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from gatedrnn.train._setup import Setup
from gatedrnn.train._state import TrainState, updated

TRIED = 15  # rates: five decades
HIGH = 10  # times the loss without memory, or the first, at which a loss counts as lost
LARGEST = float(np.finfo(np.float32).max)
WHOLE = 5_000_000  # steps of sequences of a training that is run again from its beginning


class Stability(NamedTuple):
    """What came of it.

    Attributes:
        failed_at: the update whose loss is the first that is not finite; None where all of them were.
        rate: the largest of the smaller rates with which the loss stays low; None where there is none.
        since: the update from which they were tried.
    """

    failed_at: int | None = None
    rate: float | None = None
    since: int = 0


def stability(setup: Setup, start: TrainState, state: TrainState, until: int, bar: float) -> Stability:
    """Runs the updates of one seed; smaller rates from the beginning, or where that is long from the checkpoint.

    Args:
        setup: with an `Optimiser` whose learning rate is a number.
        start: before the first update, [1, ...].
        state: of the checkpoint; one that is not finite counts as none.
        until: an update.
        bar: the loss without memory.
    """
    whole = until * setup.batch * setup.horizon <= WHOLE
    finite = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    if not (finite or whole):
        return Stability()
    rule, rate, clip = setup.optimiser.rule, setup.optimiser.learning_rate, setup.optimiser.clip
    run = functools.partial(_first_above, rule, clip, replace(setup, optimiser=optax.identity()))
    failed = int(run(state if finite else start, jnp.float32(rate), jnp.int32(until), jnp.float32(LARGEST)))
    if failed < 0:
        return Stability()
    begun = start if whole else state
    stays = lambda rate: int(run(begun, jnp.float32(rate), jnp.int32(until), jnp.float32(HIGH * bar))) < 0
    return Stability(failed, next(filter(stays, _below(rate)), None), int(begun.step[0]))


def _below(rate: float) -> Iterator[float]:
    """The largest numbers below it that are 1, 2 or 5 times a power of ten."""
    power = math.floor(math.log10(rate))
    numbers = [float(f"{digit}e{power - i}") for i in range(TRIED) for digit in (5, 2, 1)]
    yield from [number for number in numbers if number < 0.99 * rate][:TRIED]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _first_above(
    rule: Callable[..., Any],
    clip: float | None,
    plain: Setup,
    state: TrainState,
    rate: Array,
    until: Array,
    high: Array,
) -> Array:
    """The first update up to `until` whose loss is above `high` and the first one's, or no number; -1 for none."""
    change = rule(rate) if clip is None else optax.chain(optax.clip_by_global_norm(clip), rule(rate))
    setup = replace(plain, optimiser=change)

    def more(now: tuple[TrainState, Array, Array]) -> Array:
        return (now[0].step[0] < until) & (now[1] < 0)

    def go_on(now: tuple[TrainState, Array, Array]) -> tuple[TrainState, Array, Array]:
        state, bad, most = now
        after, metrics = jax.vmap(lambda one: updated(setup, one))(state)
        loss = metrics.loss[0]
        most = jnp.where(most < high, jnp.minimum(jnp.maximum(high, HIGH * loss), LARGEST), most)  # at the first
        return after, jnp.where(loss <= most, bad, after.step[0]), most

    return lax.while_loop(more, go_on, (state, jnp.int32(-1), jnp.float32(0)))[1]
