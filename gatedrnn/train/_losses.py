"""What is summed over the steps where the loss counts: the loss, and whether the answer was right.

values    (y - target)^2              right where |y - target| < tolerance; means over several
classes   -ln softmax(y)[target]      right where the largest y is the target's
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._jax import depends
from gatedrnn._method import Method
from gatedrnn._outputs import Readout
from gatedrnn._step import select
from gatedrnn._unroll import unroll
from gatedrnn.models import Model, ModelParams, read_out
from gatedrnn.tasks import Batch, Task


class Metrics(NamedTuple):
    """Means over the steps and sequences where the loss counts; zero where it counts nowhere.

    Attributes:
        loss: squared error, or cross entropy in nats.
        accuracy: the share of right answers.
        share: of the steps and sequences that are asked, those where the loss counts: the means' weight among others.
    """

    loss: Array
    accuracy: Array
    share: Array


def weighed(metrics: Metrics) -> Metrics:
    """The means over several batches, from those of each, [N]: every step that counts weighs the same."""
    most = metrics.share.max()
    weights = metrics.share / jnp.where(most > 0, most, jnp.ones_like(most))  # 1 where all batches count alike
    total = weights.sum()
    mean = lambda values: (values * weights).sum() / jnp.where(total > 0, total, jnp.ones_like(total))
    return Metrics(mean(metrics.loss), mean(metrics.accuracy), metrics.share.mean())


def counts_vary(task: Task, batch: int, steps: int) -> bool:
    """Whether the steps that count may differ from batch to batch; not where no random number reaches the mask."""
    mask = lambda key: task.sample(key, batch, steps, task.data).mask
    return depends(jax.make_jaxpr(mask)(jax.random.key(0)).jaxpr)


@dataclass(frozen=True)
class _Values:
    tolerance: float

    def __call__(self, readout: Any, ys: Array, asked: tuple[Array, Array]) -> tuple[Array, Array]:
        """ys [K, B, H], targets [K, B] or [K, B, O] and mask [K, B] -> loss and rightness of each, [K, B]."""
        targets, mask = asked
        outputs = read_out(readout, ys)  # [K, B, O]
        outputs = outputs if targets.ndim == 3 else outputs[..., 0]
        errors = outputs - select(mask, targets.astype(outputs.dtype), outputs)  # a NaN there: 0 * NaN in gradients
        losses, right = jnp.square(errors), (jnp.abs(errors) < self.tolerance).astype(errors.dtype)
        if targets.ndim == 3:
            losses, right = losses.mean(-1), right.mean(-1)
        return _where(mask, losses, right)


@dataclass(frozen=True)
class _Classes:
    def __call__(self, readout: Any, ys: Array, asked: tuple[Array, Array]) -> tuple[Array, Array]:
        """ys [K, B, H], targets and mask [K, B] -> loss and rightness of each, [K, B]."""
        targets, mask = asked
        logits = read_out(readout, ys)  # [K, B, O]
        losses = jax.nn.logsumexp(logits, axis=-1) - jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
        right = jnp.argmax(logits, axis=-1).astype(targets.dtype) == targets
        return _where(mask, losses, right.astype(losses.dtype))


def _where(mask: Array, losses: Array, right: Array) -> tuple[Array, Array]:
    zero = jnp.zeros_like(losses)
    return jnp.where(mask, losses, zero), jnp.where(mask, right, zero)


def evaluate(
    model: Model, task: Task, params: ModelParams, batch: Batch, method: Method, key: Array | None = None
) -> Metrics:
    """The means over one batch; differentiable in `params`. With a key, under the noise of a cell that has any."""
    key = None if model.cell.training is None else key
    function = _Classes() if task.classes else _Values(task.tolerance)
    xs = model.features(params, batch.xs)
    asked = batch.targets, batch.mask
    if task.at_end:
        _, last = unroll(model.cell, params.cell, xs, key=key, method=method, outputs="last")  # [B, H]
        asked = jax.tree.map(lambda a: a[-1:], asked)
        totals = function(params.readout, last[None], asked)
    else:
        readout = Readout(function, params.readout, asked)
        _, totals = unroll(model.cell, params.cell, xs, key=key, method=method, outputs=readout)  # [B] each
    mask = asked[1]
    counted = mask.sum()
    loss, accuracy = (total.sum() / jnp.maximum(counted, 1).astype(total.dtype) for total in totals)
    share = jnp.where(counted == mask.size, 1, counted.astype(loss.dtype) / max(mask.size, 1))  # 1 to the last bit
    return Metrics(loss, accuracy, share)
