"""What a task is: a pure function from a key to sequences with targets, and what is known about it beforehand.

batch = task(key, B, T)        xs [T, B, D]    targets [T, B]    mask [T, B], True where the loss counts

N is the number of steps that `T` asks for: T itself, unless the task says otherwise.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import jax
from jax import Array

from gatedrnn._check import check_size, fail


class Batch(NamedTuple):
    """Sequences and what is asked about them.

    Attributes:
        xs: float32 [N, B, D]; or int32 [N, B] where the task's inputs are symbols to be embedded.
        targets: int32 [N, B], a class; or float32 [N, B], a value. Zero where nothing is asked.
        mask: bool [N, B]: True where the loss counts.
    """

    xs: Array
    targets: Array
    mask: Array


Sampler = Callable[[Array, int, int, Any], Batch]
"""`(key, batch, steps, data) -> Batch`, pure, for whole numbers `batch` and `steps`."""


@dataclass(frozen=True)
class Constant:
    """A number that does not depend on T."""

    value: float

    def __call__(self, steps: int) -> float:
        return self.value


def one_less(steps: int) -> int:
    """T - 1: from the first step to the last."""
    return steps - 1


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["data", "held_out_data"],
    meta_fields=[
        *("name", "sample", "chance", "memory", "input_size", "output_size"),
        *("classes", "symbols", "at_end", "shortest", "longest", "tolerance"),
    ],
)
@dataclass(frozen=True)
class Task:
    """A task over T steps, sampled on the device: `task(key, batch, steps) -> Batch`.

    Attributes:
        name: what the command line and tables call it.
        sample: makes a batch; jitted by the call.
        chance: `steps -> loss` of the best constant answer (copying: of one that knows when blanks are due), in the
            unit of the loss (squared error, or nats).
        memory: `steps -> steps`, the longest time for which something has to be remembered.
        input_size: D, or the number of different symbols.
        output_size: the number of classes, or 1 for a value.
        classes: whether targets are classes (loss: cross entropy in nats) or values (loss: squared error).
        symbols: whether `xs` are whole numbers below `input_size`, to be embedded.
        at_end: whether the loss counts at the last step alone.
        shortest: the smallest T that leaves room for everything.
        longest: the largest T that the data allows; None where there is no end.
        tolerance: how near a value must be to its target to be called right.
        data: arrays that `sample` draws from; none for generated tasks.
        held_out_data: the same kind, kept apart for tests.
    """

    name: str
    sample: Sampler
    chance: Callable[[int], float]
    memory: Callable[[int], int]
    input_size: int
    output_size: int
    classes: bool = True
    symbols: bool = False
    at_end: bool = True
    shortest: int = 1
    longest: int | None = None
    tolerance: float = 0.04
    data: Any = ()
    held_out_data: Any = ()

    def __call__(self, key: Array, batch: int, steps: int) -> Batch:
        """Draws a batch; equal keys give equal batches.

        Args:
            key: a `jax.random.key`.
            batch: B.
            steps: T.

        Raises:
            ValueError: a size is not a whole number, or T is too short for the task or too long for its data.
        """
        return _sampled(self, key, check_size("batch", batch), self.check_steps(steps))

    def check_steps(self, steps: int, argument: str = "steps") -> int:
        """Returns T, or raises ValueError, which calls it `argument`, where the task cannot have that length."""
        steps = check_size(argument, steps)
        if steps < self.shortest:
            raise fail(argument, f"at least {self.shortest:,} for the task {self.name!r}", f"{steps:,}")
        if self.longest is not None and steps > self.longest:
            raise fail(argument, f"at most {self.longest:,} for the data of the task {self.name!r}", f"{steps:,}")
        return steps

    @property
    def held_out(self) -> Self:
        """The task on data kept apart; a generated task is its own, with other keys."""
        return replace(self, data=self.held_out_data)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _sampled(task: Task, key: Array, batch: int, steps: int) -> Batch:
    return task.sample(key, batch, steps, task.data)
