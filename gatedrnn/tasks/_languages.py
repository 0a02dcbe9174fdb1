"""Formal languages: parity of a stream of bits, and a^n b^n against its near misses.

parity   x_1 x_2 .. x_T            target_t = x_1 + .. + x_t mod 2, at every step
a^n b^n  - - - a a a b b b         is the number of b that of a?

What a cell can count: Weiss, Goldberg, Yahav, "On the practical computational power of finite precision RNNs for
language recognition", 2018, https://arxiv.org/abs/1805.04908.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn.tasks._draw import asked_at_end, one_hot, times, whole
from gatedrnn.tasks._task import Batch, Task


def _sample_parity(key: Array, batch: int, steps: int, _: object) -> Batch:
    bits = jax.random.bernoulli(key, shape=(steps, batch)).astype(jnp.int32)  # [T, B]
    return Batch(one_hot(bits, 2), jnp.cumsum(bits, axis=0) % 2, jnp.ones(bits.shape, bool))


def _sample_anbn(key: Array, batch: int, steps: int, _: object) -> Batch:
    """n uniform from 2 to T / 2; a wrong word moves 1 to n - 1 letters, half of the time just one, between a and b."""
    key_n, key_wrong, key_far, key_near, key_side = jax.random.split(key, 5)
    n = whole(key_n, batch, 2, steps // 2 + 1)  # [B]
    wrong = jax.random.bernoulli(key_wrong, shape=(batch,))
    far = jax.random.randint(key_far, (batch,), 1, n, jnp.int32)
    moved = jnp.where(jax.random.bernoulli(key_near, shape=(batch,)), 1, far)
    side = jnp.where(jax.random.bernoulli(key_side, shape=(batch,)), 1, -1)
    count_a = n + jnp.where(wrong, side * moved, 0)  # of 2 n letters, right or wrong
    start = (steps - 2 * n)[None]  # [1, B]
    time = times(steps)
    symbols = jnp.where(time < start, 0, jnp.where(time < start + count_a[None], 1, 2))  # silence, a, b
    return asked_at_end(one_hot(symbols, 3), (~wrong).astype(jnp.int32))


parity = Task(
    name="parity",
    sample=_sample_parity,
    chance=lambda steps: math.log(2),
    memory=lambda steps: steps - 1,
    input_size=2,
    output_size=2,
    at_end=False,
)

anbn = Task(
    name="anbn",
    sample=_sample_anbn,
    chance=lambda steps: math.log(2),
    memory=lambda steps: 2 * (steps // 2) - 1,
    input_size=3,
    output_size=2,
    shortest=4,
)
