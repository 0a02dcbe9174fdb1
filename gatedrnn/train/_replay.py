"""A training run again from a checkpoint: which update's loss is not finite any more, and with which rate all are."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from gatedrnn.train._setup import Setup
from gatedrnn.train._state import TrainState, updated

PARTS = (2, 10, 100)
"""By which the learning rate is divided until the loss stays finite."""


class Stability(NamedTuple):
    """What came of it.

    Attributes:
        failed_at: the update whose loss is the first that is not finite; None where all of them were.
        rate: the largest of the smaller rates with which they are finite for twice as long; None where there is none.
    """

    failed_at: int | None
    rate: float | None


def stability(setup: Setup, state: TrainState, until: int) -> Stability:
    """Runs the updates of one seed, `state` [1, ...], up to `until`; where they fail, with smaller rates.

    Args:
        setup: with an `Optimiser` whose learning rate is a number.
        state: of the checkpoint.
        until: an update.
    """
    rule, rate, clip = setup.optimiser.rule, setup.optimiser.learning_rate, setup.optimiser.clip
    plain = replace(setup, optimiser=optax.identity())

    def failed(rate: float, until: int) -> int | None:
        found = int(_first_bad(rule, clip, plain, state, jnp.float32(rate), jnp.int32(until)))
        return None if found < 0 else found

    first, at = int(state.step[0]), failed(rate, until)
    if at is None:
        return Stability(None, None)
    stable = (rate / part for part in PARTS if failed(rate / part, first + 2 * (at - first)) is None)
    return Stability(at, next(stable, None))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _first_bad(
    rule: Callable[..., Any], clip: float | None, plain: Setup, state: TrainState, rate: Array, until: Array
) -> Array:
    """The first update before or at `until` whose loss is not finite; -1 where there is none. One program for all."""
    change = rule(rate) if clip is None else optax.chain(optax.clip_by_global_norm(clip), rule(rate))
    setup = replace(plain, optimiser=change)

    def more(now: tuple[TrainState, Array]) -> Array:
        return (now[0].step[0] < until) & (now[1] < 0)

    def go_on(now: tuple[TrainState, Array]) -> tuple[TrainState, Array]:
        after, metrics = jax.vmap(lambda one: updated(setup, one))(now[0])
        return after, jnp.where(jnp.isfinite(metrics.loss[0]), now[1], after.step[0])

    return lax.while_loop(more, go_on, (state, jnp.int32(-1)))[1]
