"""What is summed over the steps where the loss counts: the loss, and whether the answer was right.

values    (y - target)^2              right where |y - target| < tolerance
classes   -ln softmax(y)[target]      right where the largest y is the target's
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._method import Method
from gatedrnn._outputs import Readout
from gatedrnn._unroll import unroll
from gatedrnn.models import Model, ModelParams, read_out
from gatedrnn.tasks import Batch, Task


class Metrics(NamedTuple):
    """Means over the steps and sequences where the loss counts.

    Attributes:
        loss: squared error, or cross entropy in nats.
        accuracy: the share of right answers.
    """

    loss: Array
    accuracy: Array


@dataclass(frozen=True)
class _Values:
    tolerance: float

    def __call__(self, readout: Any, ys: Array, asked: tuple[Array, Array]) -> Metrics:
        """ys [K, B, H], targets and mask [K, B] -> loss and rightness of each, [K, B]."""
        targets, mask = asked
        errors = read_out(readout, ys)[..., 0] - targets
        return _where(mask, jnp.square(errors), jnp.abs(errors) < self.tolerance)


@dataclass(frozen=True)
class _Classes:
    def __call__(self, readout: Any, ys: Array, asked: tuple[Array, Array]) -> Metrics:
        """ys [K, B, H], targets and mask [K, B] -> loss and rightness of each, [K, B]."""
        targets, mask = asked
        logits = read_out(readout, ys)  # [K, B, O]
        losses = jax.nn.logsumexp(logits, axis=-1) - jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
        return _where(mask, losses, jnp.argmax(logits, axis=-1) == targets)


def _where(mask: Array, losses: Array, right: Array) -> Metrics:
    zero = jnp.zeros_like(losses)
    return Metrics(jnp.where(mask, losses, zero), jnp.where(mask & right, jnp.ones_like(losses), zero))


def evaluate(model: Model, task: Task, params: ModelParams, batch: Batch, method: Method) -> Metrics:
    """The means over one batch; differentiable in `params`."""
    function = _Classes() if task.classes else _Values(task.tolerance)
    xs, asked = model.features(params, batch.xs), (batch.targets, batch.mask)
    if task.at_end:
        _, last = unroll(model.cell, params.cell, xs, method=method, outputs="last")  # [B, H]
        each = function(params.readout, last[None], jax.tree.map(lambda a: a[-1:], asked))
        sums, counted = jax.tree.map(jnp.sum, each), batch.mask[-1].sum()
    else:
        readout = Readout(function, params.readout, asked)
        _, totals = unroll(model.cell, params.cell, xs, method=method, outputs=readout)  # [B] each
        sums, counted = jax.tree.map(jnp.sum, totals), batch.mask.sum()
    return jax.tree.map(lambda total: total / counted.astype(total.dtype), sums)
