"""What a task is: a pure function from a key to sequences with targets, and what is known about it beforehand.

batch = task(key, B, T)        xs [T, B, D]    targets [T, B]    mask [T, B], True where the loss counts

N is the number of steps that `T` asks for: T itself, unless the task says otherwise.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._check import LARGEST, check_key, check_size, fail
from gatedrnn._step import select
from gatedrnn.tasks._batch import Batch as Batch, among, check_batch, wrong

Sampler = Callable[[Array, int, int, Any], Batch]
"""`(key, batch, steps, data) -> Batch`, pure, for whole numbers `batch` and `steps`."""


class Baseline(NamedTuple):
    """The loss of an answer that needs no model: what was `lag` steps before.

    Attributes:
        name: persistence, or seasonal.
        loss: on held-out data, in the unit of the task's loss.
        lag: steps.
    """

    name: str
    loss: float
    lag: int


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
        *("classes", "symbols", "at_end", "ahead", "shortest", "longest", "tolerance", "baselines"),
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
        output_size: the number of classes; or O, of values: 1 for targets [N, B], more for targets [N, B, O].
        classes: whether targets are classes (loss: cross entropy in nats) or values (loss: squared error, the mean over
            several).
        symbols: whether `xs` are whole numbers below `input_size`, to be embedded.
        at_end: whether the loss counts at the last step alone.
        ahead: whether the answers are inputs of later steps, which what reads backwards would see.
        shortest: the smallest T that leaves room for everything.
        longest: the largest T that the data allows; None where there is no end.
        tolerance: how near a value must be to its target to be called right.
        data: arrays that `sample` draws from; none for generated tasks.
        held_out_data: the same kind, kept apart for tests.
        baselines: the losses of answers that need no model, on what is held out.
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
    ahead: bool = False
    shortest: int = 1
    longest: int | None = None
    tolerance: float = 0.04
    data: Any = ()
    held_out_data: Any = ()
    baselines: tuple[Baseline, ...] = ()

    def __call__(self, key: Array, batch: int, steps: int) -> Batch:
        """Draws a batch; equal keys give equal batches.

        Args:
            key: a `jax.random.key`.
            batch: B.
            steps: T.

        Raises:
            ValueError: a size is not a whole number, T is too short for the task or too long for its data, or `sample`
                makes no batch.
        """
        return _sampled(self, check_key("key", key), check_size("batch", batch, most=LARGEST), self.check_steps(steps))

    def draw(self, key: Array, batch: int, steps: int) -> Batch:
        """The same for a training, inside what is transformed.

        Targets are zero where nothing is asked. Where something is, a class outside 0 to `output_size` - 1, or symbols
        outside 0 to `input_size` - 1 in the sequence, make the loss NaN, and never count as another class or symbol;
        `check_task` says which.

        Raises:
            ValueError: `sample` makes no batch.
        """
        found = self.sample(key, batch, steps, self.data)
        check_batch(self, found, batch)
        places = wrong(self, found)
        if places is None:
            return found
        targets = found.targets.astype(jnp.int32 if self.classes else jnp.float32)
        unknown = jnp.full_like(targets, self.output_size if self.classes else jnp.nan)
        return found._replace(targets=select(places, unknown, select(found.mask, targets, jnp.zeros_like(targets))))

    def check_shapes(self, batch: int, steps: int) -> None:
        """Raises ValueError where `sample` makes no batch of B sequences; without making one."""

        def drawn(batch: int) -> None:
            key = jax.eval_shape(lambda: jax.random.key(0))
            check_batch(self, jax.eval_shape(lambda key: self.sample(key, batch, steps, self.data), key), batch)

        drawn(batch)
        drawn(batch + 1)  # N may be B

    def check_values(self, found: Batch) -> None:
        """Raises ValueError where a class or a symbol of a batch is out of range, or a target is not finite."""
        asked = found.targets[found.mask]
        ranges = (
            ("classes", asked, self.output_size, self.classes),
            ("symbols", found.xs, self.input_size, self.symbols),
        )
        for what, values, count, whole in ranges:
            outside = values[~among(values, count)] if whole else values[:0]
            if outside.size:
                expected = f"one of {what} from 0 to {count - 1} where the mask is True"
                raise fail("task", expected, int(outside.ravel()[0]))
        if not self.classes and not jnp.isfinite(asked).all():
            raise fail("task", "one of finite targets where the mask is True", "others")

    def check_steps(self, steps: int, argument: str = "steps") -> int:
        """Returns T, or raises ValueError, which calls it `argument`, where the task cannot have that length."""
        steps = check_size(argument, steps, most=LARGEST)
        if steps < self.shortest:
            raise fail(argument, f"at least {self.shortest:,} for the task {self.name!r}", f"{steps:,}")
        if self.longest is not None and steps > self.longest:
            raise fail(argument, f"at most {self.longest:,} for the data of the task {self.name!r}", f"{steps:,}")
        return steps

    @classmethod
    def from_arrays(
        cls,
        xs: Any,
        targets: Any,
        mask: Any = None,
        *,
        held_out: Any = 0.2,
        input_size: int | None = None,
        output_size: int | None = None,
        name: str = "arrays",
    ) -> "Task":
        """A task of data of your own, sequences first, of which a batch is drawn at random at every update.

        Args:
            xs: N sequences of T steps: real numbers [N, T, D], or whole ones [N, T] for symbols to be embedded.
            targets: [N], one for each sequence, asked at its last step; or [N, T], one for each step. Whole numbers are
                classes, real ones are values; [N, T, O] for several values at a step. With targets for each step, a
                horizon below T takes the first steps of a sequence.
            mask: bool [N, T], True where the loss counts; everywhere by default. With targets [N], where they are
                asked: at the last step of each padded sequence, for example.
            held_out: the share of the sequences that is kept for tests, the last ones as they stand: shuffle before
                what is in an order. Or the tests' own arrays, `(xs, targets)` or `(xs, targets, mask)`.
            input_size: how many symbols there are; by default one more than the largest.
            output_size: how many classes there are; by default one more than the largest.
            name: what tables call it.

        Returns:
            A task whose chance loss is that of the best constant answer to what is not held out.

        Raises:
            ValueError: shapes do not go together, or are not sequences first; a class or a symbol is negative, or too
                large, where it counts; a number is not finite; the mask is nowhere True; nothing is left for training
                or tests.

        Example:
            >>> import numpy as np, gatedrnn as gr
            >>> xs = np.random.default_rng(0).normal(size=(100, 20, 3))  # N, T, D
            >>> task = gr.tasks.Task.from_arrays(xs, (xs[:, 0, 0] > 0).astype(int))
            >>> task.input_size, task.output_size, task.data.xs.shape, task.held_out_data.xs.shape
            (3, 2, (80, 20, 3), (20, 20, 3))
        """
        from gatedrnn.tasks._own import from_arrays  # which is made of tasks

        return from_arrays(xs, targets, mask, held_out, input_size, output_size, name)

    @property
    def held_out(self) -> Self:
        """The task on data kept apart; a generated task is its own, with other keys."""
        return replace(self, data=self.held_out_data)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _sampled(task: Task, key: Array, batch: int, steps: int) -> Batch:
    found = task.sample(key, batch, steps, task.data)
    check_batch(task, found, batch)
    return found


def check_task(task: Task, batch: int = 3, steps: int | None = None) -> None:
    """Draws batches of a task of your own and compares them with what the task says of itself.

    Args:
        task: the task.
        batch: B.
        steps: T; the shortest by default.

    Raises:
        ValueError: the batch is none: its parts, shapes, types, classes or symbols are other ones, or nothing is asked.

    Example:
        >>> import gatedrnn as gr
        >>> gr.tasks.check_task(gr.tasks.parity, steps=8)
    """
    steps = task.check_steps(task.shortest if steps is None else steps)
    task.check_shapes(check_size("batch", batch), steps)
    for on in (task, task.held_out):
        found = on(jax.random.key(0), batch, steps)
        if not found.mask.any():
            raise fail("task", "one whose mask is True somewhere", "a mask that is False everywhere")
        on.check_values(found)
