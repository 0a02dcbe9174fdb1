"""Adding: two of T random values are marked; their sum is asked for at the end.

xs[t] = (value, mark)        target = the two marked values' sum
"""

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn.tasks._draw import asked_at_end, marks, whole
from gatedrnn.tasks._task import Batch, Task


def _sample(key: Array, batch: int, steps: int, _: object) -> Batch:
    """Values U[0, 1]; one mark in each half."""
    key_values, key_first, key_second = jax.random.split(key, 3)
    values = jax.random.uniform(key_values, (steps, batch), jnp.float32)  # [T, B]
    first, second = whole(key_first, batch, 0, steps // 2), whole(key_second, batch, steps // 2, steps)
    marked = marks(first, steps) | marks(second, steps)  # [T, B]
    return asked_at_end(
        jnp.stack([values, marked.astype(values.dtype)], axis=-1), jnp.where(marked, values, 0.0).sum(0)
    )


def _sample_1997(key: Array, batch: int, steps: int, _: object) -> Batch:
    """Values U[-1, 1]; marks among pairs 2 to 11 and among the first half's others; first and last pair marked -1."""
    key_values, key_first, key_second = jax.random.split(key, 3)
    values = jax.random.uniform(key_values, (steps, batch), jnp.float32, minval=-1.0)  # [T, B]
    first = whole(key_first, batch, 1, min(11, steps // 2))
    second = whole(key_second, batch, 1, steps // 2 - 1)
    second = jnp.where(second >= first, second + 1, second)  # the first mark's place left out
    marked = marks(first, steps) | marks(second, steps)  # [T, B]
    edge = (jnp.arange(steps) % (steps - 1) == 0)[:, None]  # [T, 1]
    channel = jnp.where(edge, -1.0, marked.astype(values.dtype))
    return asked_at_end(jnp.stack([values, channel], axis=-1), 0.5 + jnp.where(marked, values, 0.0).sum(0) / 4)


adding = Task(
    name="adding",
    sample=_sample,
    chance=lambda steps: 1 / 6,  # the variance of the sum of two of U[0, 1]; 1/12 once one of them is known
    memory=lambda steps: steps - 1,
    input_size=2,
    output_size=1,
    classes=False,
    shortest=2,
)
"""The form of Arjovsky, Shah and Bengio, "Unitary evolution recurrent neural networks", 2016,
https://arxiv.org/abs/1511.06464."""

adding_1997 = Task(
    name="adding-1997",
    sample=_sample_1997,
    chance=lambda steps: 1 / 24,  # the variance of 0.5 + (a + b) / 4 for two of U[-1, 1]
    memory=lambda steps: steps - 2,
    input_size=2,
    output_size=1,
    classes=False,
    shortest=6,
)
"""The form of Hochreiter and Schmidhuber, "Long short-term memory", 1997, https://doi.org/10.1162/neco.1997.9.8.1735,
at a fixed length, and with no mark on the first pair (which there, rarely, sets its value to zero)."""
