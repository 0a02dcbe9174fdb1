"""Temporal order: X or Y at two (or three) places far apart among distractors; which were they, in order?

E a c X d b a b .. Y c a .. B        four classes of two symbols (task 6a), eight of three (task 6b)

Hochreiter and Schmidhuber, "Long short-term memory", 1997, tasks 6a and 6b, at a fixed length: their windows for the
symbols, in hundredths of the length.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn.tasks._draw import asked_at_end, marks, one_hot, times, whole
from gatedrnn.tasks._task import Batch, Task

START, END, FIRST_DISTRACTOR, X = 0, 1, 2, 6  # then Y = 7; distractors 2 to 5
SYMBOLS = 8


def _sample(windows: tuple[tuple[int, int], ...], key: Array, batch: int, steps: int, _: object) -> Batch:
    key_noise, *keys = jax.random.split(key, 1 + 2 * len(windows))
    symbols = jax.random.randint(key_noise, (steps, batch), FIRST_DISTRACTOR, X, jnp.int32)  # [T, B]
    time = times(steps)
    symbols = jnp.where(time == 0, START, jnp.where(time == steps - 1, END, symbols))
    answers = jnp.zeros(batch, jnp.int32)
    for i, (least, most) in enumerate(windows):
        place = whole(keys[2 * i], batch, steps * least // 100, steps * most // 100)  # [B]
        which = whole(keys[2 * i + 1], batch, 0, 2)  # [B]
        symbols = jnp.where(marks(place, steps), X + which, symbols)
        answers = 2 * answers + which
    return asked_at_end(one_hot(symbols, SYMBOLS), answers)


temporal_order = Task(
    name="temporal-order",
    sample=functools.partial(_sample, ((10, 20), (50, 60))),
    chance=lambda steps: math.log(4),
    memory=lambda steps: steps - 1 - steps * 10 // 100,
    input_size=SYMBOLS,
    output_size=4,
    shortest=10,
)

temporal_order_3 = Task(
    name="temporal-order-3",
    sample=functools.partial(_sample, ((10, 20), (33, 43), (66, 76))),
    chance=lambda steps: math.log(8),
    memory=lambda steps: steps - 1 - steps * 10 // 100,
    input_size=SYMBOLS,
    output_size=8,
    shortest=10,
)
