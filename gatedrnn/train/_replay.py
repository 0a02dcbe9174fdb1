"""A training run again: which update's loss is lost, not finite or far up, and with which learning rate none is.

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

from gatedrnn.train._course import HIGH
from gatedrnn.train._setup import Setup
from gatedrnn.train._state import TrainState, updated

TRIED = 15  # rates: five decades
LARGEST = float(np.finfo(np.float32).max)
RULED = optax.identity()  # in the place of an optimiser, whose rate is no part of the program: one, so that it is one
PARTS = 8  # of a run, whose losses one is the mean at its end of, at most
WHOLE = 5_000_000  # steps of sequences of a training that is run again from its beginning


class Stability(NamedTuple):
    """What came of it.

    Attributes:
        failed_at: the update whose loss is the first that is lost; None where none was.
        rate: the largest of the smaller rates with which the loss stays low; None where there is none.
        since: the update from which they were tried.
        until: that up to which.
    """

    failed_at: int | None = None
    rate: float | None = None
    since: int = 0
    until: int = 0


class _Way(NamedTuple):
    """What the losses of updates did.

    Attributes:
        lost: the first update whose loss is above `high` and far above the first, or no number; -1 for none. The last.
        over: the first whose loss is above `high`, or no number; -1 for none.
        end: mean loss, in which the last updates, a window of them, weigh most.
    """

    lost: Array
    over: Array
    end: Array


def stability(setup: Setup, start: TrainState, state: TrainState, until: int, bar: float) -> Stability:
    """Runs the updates of one seed up to a loss that is not finite.

    Smaller rates are tried from the beginning, or where that is long from the checkpoint.

    Args:
        setup: with an `Optimiser` whose learning rate is a number.
        start: before the first update, [1, ...].
        state: of the checkpoint; one that is not finite counts as none.
        until: an update.
        bar: the loss without memory.
    """
    whole = until <= _affordable(setup)
    finite = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    if not (finite or whole):
        return Stability()
    rate = setup.optimiser.learning_rate
    failed = int(_run(setup, state if finite else start, rate, until, LARGEST).lost)
    if failed < 0:
        return Stability(until=until)
    begun = start if whole else state
    stays = lambda rate: int(_run(setup, begun, rate, until, HIGH * bar).lost) < 0
    return Stability(failed, next(filter(stays, _below(rate)), None), int(begun.step[0]), until)


def rise(setup: Setup, start: TrainState, until: int, bar: float, window: int) -> Stability | None:
    """Runs the updates of one seed whose loss is far above that without memory, as many as can be from the beginning.

    A loss is lost where it is far above both that without memory and the first one. Where none is, though the loss ends
    high, the first counts that is far above that without memory: update 1 of a loss that was there already. With a
    smaller rate the loss stays low where none is lost and it ends low.

    Args:
        setup: with an `Optimiser` whose learning rate is a number.
        start: before the first update, [1, ...].
        until: an update.
        bar: the loss without memory.
        window: of the mean loss that it ends with, in updates; at most an eighth of them.

    Returns:
        What was found; None where it ends high with no loss lost, and low with no smaller rate: it is not the rate.
    """
    until = min(until, _affordable(setup))
    if until < 1:
        return Stability()
    rate, high, window = setup.optimiser.learning_rate, HIGH * bar, max(1, min(window, until // PARTS))
    way = _run(setup, start, rate, until, high, window)
    rises = bool(way.lost >= 0)
    if not rises and way.end <= high:
        return Stability(until=until)
    failed = int(way.lost if rises else way.over)
    for smaller in _below(rate):
        way = _run(setup, start, smaller, until, high, window)
        if way.lost < 0 and way.end <= high:
            return Stability(failed, smaller, 0, until)
    return Stability(failed, None, 0, until) if rises else None


def _affordable(setup: Setup) -> int:
    """Updates from the beginning."""
    return WHOLE // (setup.batch * setup.horizon)


def _below(rate: float) -> Iterator[float]:
    """The largest numbers below it that are 1, 2 or 5 times a power of ten."""
    power = math.floor(math.log10(rate))
    numbers = [float(f"{digit}e{power - i}") for i in range(TRIED) for digit in (5, 2, 1)]
    yield from [number for number in numbers if number < 0.99 * rate][:TRIED]


def _run(setup: Setup, state: TrainState, rate: float, until: int, high: float, window: int = 1) -> _Way:
    """From this state up to an update, or to one that is lost."""
    plain = replace(setup, optimiser=RULED)
    numbers = jnp.float32(rate), jnp.int32(until), jnp.float32(high), jnp.int32(window)
    return _way(setup.optimiser.rule, setup.optimiser.clip, plain, state, *numbers)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _way(
    rule: Callable[..., Any],
    clip: float | None,
    plain: Setup,
    state: TrainState,
    rate: Array,
    until: Array,
    high: Array,
    window: Array,
) -> _Way:
    change = rule(rate) if clip is None else optax.chain(optax.clip_by_global_norm(clip), rule(rate))
    setup = replace(plain, optimiser=change)

    first, none = state.step[0], jnp.int32(-1)

    def more(now: tuple[TrainState, _Way, Array]) -> Array:
        return (now[0].step[0] < until) & (now[1].lost < 0)

    def go_on(now: tuple[TrainState, _Way, Array]) -> tuple[TrainState, _Way, Array]:
        state, way, most = now
        after, metrics = jax.vmap(lambda one: updated(setup, one))(state)
        loss, update = metrics.loss[0], after.step[0]
        most = jnp.where(most < high, jnp.minimum(jnp.maximum(high, HIGH * loss), LARGEST), most)  # at the first
        lost = jnp.where(loss <= most, way.lost, update)
        over = jnp.where((loss <= high) | (way.over >= 0), way.over, update)
        end = way.end + (loss - way.end) / jnp.minimum(update - first, window).astype(loss.dtype)
        return after, _Way(lost, over, end), most

    return lax.while_loop(more, go_on, (state, _Way(none, none, jnp.float32(0)), jnp.float32(0)))[1]
