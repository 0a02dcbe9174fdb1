"""Copying: ten symbols, a long silence, a delimiter; then the ten symbols are to be said again.

input   s_1 .. s_10  blank x (T - 1)  delimiter  blank x 10        N = T + 20 steps
target  blank x (T + 10)                         s_1 .. s_10

Hochreiter and Schmidhuber, 1997; this form: Arjovsky, Shah and Bengio, 2016, https://arxiv.org/abs/1511.06464.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn.tasks._draw import one_hot, times, whole
from gatedrnn.tasks._task import Batch, Task

LENGTH = 10  # symbols to copy
ALPHABET = 8
BLANK, DELIMITER = ALPHABET, ALPHABET + 1


def _copied(key: Array, gaps: Array, steps: int) -> Batch:
    """`gaps [B]`: steps from the last symbol to the delimiter, at most T."""
    said = jax.random.randint(key, (LENGTH, gaps.size), 0, ALPHABET, jnp.int32)  # [10, B]
    time = times(steps + 2 * LENGTH)  # [N, 1]
    delimiter = LENGTH - 1 + gaps[None]  # [1, B]
    padded = jnp.concatenate([said, jnp.full((steps + LENGTH, gaps.size), BLANK, jnp.int32)])  # [N, B]
    symbols = jnp.where(time == delimiter, DELIMITER, padded)
    place = time - delimiter - 1  # [N, B]: which of the ten symbols is due
    again = jnp.take_along_axis(said, jnp.clip(place, 0, LENGTH - 1), axis=0)
    targets = jnp.where((place >= 0) & (place < LENGTH), again, BLANK)
    return Batch(one_hot(symbols, ALPHABET + 2), targets, jnp.ones(targets.shape, bool))


def _sample(key: Array, batch: int, steps: int, _: object) -> Batch:
    return _copied(key, jnp.full((batch,), steps, jnp.int32), steps)


def _sample_variable(key: Array, batch: int, steps: int, _: object) -> Batch:
    key_said, key_gaps = jax.random.split(key)
    return _copied(key_said, whole(key_gaps, batch, 1, steps + 1), steps)


def _chance(steps: int) -> float:
    """Blanks are known, the ten symbols are not: 10 ln 8 / (T + 20)."""
    return LENGTH * math.log(ALPHABET) / (steps + 2 * LENGTH)


copy = Task(
    name="copy",
    sample=_sample,
    chance=_chance,
    memory=lambda steps: steps + LENGTH,
    input_size=ALPHABET + 2,
    output_size=ALPHABET + 1,
    at_end=False,
)

variable_copy = Task(
    name="variable-copy",
    sample=_sample_variable,
    chance=_chance,
    memory=lambda steps: steps + LENGTH,
    input_size=ALPHABET + 2,
    output_size=ALPHABET + 1,
    at_end=False,
)
"""The delimiter comes after 1 to T steps, uniformly; blanks follow up to T + 20."""
