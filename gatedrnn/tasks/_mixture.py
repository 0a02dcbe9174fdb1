"""Several tasks in one batch: rows of each, side by side."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._check import fail
from gatedrnn.tasks._task import Batch, Sampler, Task


@dataclass(frozen=True)
class _Mixed:
    """Rows of each sampler, as evenly as they go; the first ones get what is left over."""

    samples: tuple[Sampler, ...]

    def __call__(self, key: Array, batch: int, steps: int, data: object) -> Batch:
        if batch < len(self.samples):
            raise fail("batch", f"at least {len(self.samples)}, one row of each task of the mixture", batch)
        share, left = divmod(batch, len(self.samples))
        keys = jax.random.split(key, len(self.samples))
        parts = [
            sample(key, share + (i < left), steps, ())
            for i, (key, sample) in enumerate(zip(keys, self.samples, strict=True))
        ]
        return jax.tree.map(lambda *arrays: jnp.concatenate(arrays, axis=1), *parts)


def mixture(*tasks: Task) -> Task:
    """A task whose batches hold rows of several tasks, as evenly as they go.

    Args:
        tasks: generated tasks of the same inputs and targets, such as `agreement_with(0)` to `agreement_with(5)`.

    Returns:
        A task; its chance loss and memory are the largest of theirs.

    Raises:
        ValueError: there is none, one draws from data, or they do not ask the same kind of question.
    """
    if not tasks:
        raise fail("tasks", "at least one task", "none")
    first = tasks[0]
    for task in tasks:
        if jax.tree.leaves((task.data, task.held_out_data)):
            raise fail("tasks", "generated ones", f"{task.name!r}, which draws from data")
        if _kind(task) != _kind(first):
            raise fail("tasks", f"of the same inputs and targets as {first.name!r}", repr(task.name))
    return replace(
        first,
        name=first.name if len({task.name for task in tasks}) == 1 else " + ".join(task.name for task in tasks),
        sample=_Mixed(tuple(task.sample for task in tasks)),
        chance=_Largest(tuple(task.chance for task in tasks)),
        memory=_Largest(tuple(task.memory for task in tasks)),
        shortest=max(task.shortest for task in tasks),
    )


@dataclass(frozen=True)
class _Largest:
    functions: tuple[Callable[[int], Any], ...]

    def __call__(self, steps: int) -> Any:
        return max(function(steps) for function in self.functions)


def _kind(task: Task) -> tuple[object, ...]:
    return (task.input_size, task.output_size, task.classes, task.symbols, task.at_end)
