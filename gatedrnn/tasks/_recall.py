"""One bit, shown at the beginning, to be told at the end through noise.

delayed recall   bit at step 1, then T - 1 random bits that do not count        a cue tells the two apart
noisy latch      three inputs +1 or -1 under noise, then noise alone            nothing tells the two apart

Bengio, Simard, Frasconi, "Learning long-term dependencies with gradient descent is difficult", 1994,
https://doi.org/10.1109/72.279181 (the latch).
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn.tasks._draw import asked_at_end, times
from gatedrnn.tasks._task import Batch, Task

LATCH = 3  # steps that carry the class
NOISE = 0.2  # standard deviation


def _sample_recall(key: Array, batch: int, steps: int, _: object) -> Batch:
    bits = jax.random.bernoulli(key, shape=(steps, batch))  # [T, B]
    cue = jnp.broadcast_to(times(steps) == 0, bits.shape)
    xs = jnp.stack([2 * bits.astype(jnp.float32) - 1, cue.astype(jnp.float32)], axis=-1)  # [T, B, 2]
    return asked_at_end(xs, bits[0].astype(jnp.int32))


def _sample_latch(key: Array, batch: int, steps: int, _: object) -> Batch:
    key_class, key_noise = jax.random.split(key)
    high = jax.random.bernoulli(key_class, shape=(batch,))  # [B]
    signal = jnp.where(times(steps) < LATCH, jnp.where(high, 1.0, -1.0)[None], 0.0)  # [T, B]
    xs = signal + NOISE * jax.random.normal(key_noise, (steps, batch), jnp.float32)
    return asked_at_end(xs[..., None], high.astype(jnp.int32))


delayed_recall = Task(
    name="delayed-recall",
    sample=_sample_recall,
    chance=lambda steps: math.log(2),
    memory=lambda steps: steps - 1,
    input_size=2,
    output_size=2,
)

noisy_latch = Task(
    name="noisy-latch",
    sample=_sample_latch,
    chance=lambda steps: math.log(2),
    memory=lambda steps: steps - LATCH,
    input_size=1,
    output_size=2,
    shortest=LATCH,
)
