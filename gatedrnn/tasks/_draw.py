"""Parts that several tasks are made of."""

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn.tasks._task import Batch


def asked_at_end(xs: Array, answers: Array) -> Batch:
    """One question, after the last step: xs [N, B, ...], answers [B]."""
    last = times(xs.shape[0]) == xs.shape[0] - 1  # [N, 1]
    targets = jnp.where(last, answers[None], jnp.zeros((), answers.dtype))  # [N, B]
    return Batch(xs, targets, jnp.broadcast_to(last, targets.shape))


def times(steps: int) -> Array:
    """The steps 0 to N - 1 as a column, int32 [N, 1], to be compared with what each sequence has, [1, B]."""
    return jnp.arange(steps, dtype=jnp.int32)[:, None]


def one_hot(symbols: Array, count: int) -> Array:
    """Whole numbers [N, B] -> [N, B, `count`]."""
    return jax.nn.one_hot(symbols, count, dtype=jnp.float32)


def marks(places: Array, steps: int) -> Array:
    """Places [B] -> bool [N, B], True at each sequence's place."""
    return times(steps) == places[None]


def whole(key: Array, batch: int, least: int, end: int) -> Array:
    """Whole numbers from `least` up to but not including `end`, uniform, int32 [B]."""
    return jax.random.randint(key, (batch,), least, end, jnp.int32)


def windows_of(key: Array, batch: int, steps: int, values: Array) -> Array:
    """Stretches of `values [M, ...]` from uniformly drawn places: [`steps`, B, ...]."""
    starts = whole(key, batch, 0, values.shape[0] - steps + 1)
    return values[starts[None] + times(steps)]
