"""Sequences and what is asked about them, and whether they are what a task says of them: time comes first."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from gatedrnn._check import fail


class Batch(NamedTuple):
    """Sequences and what is asked about them.

    Attributes:
        xs: float32 [N, B, D]; or int32 [N, B] where the task's inputs are symbols to be embedded.
        targets: int32 [N, B], a class; or float32 [N, B], a value, or [N, B, O], several. Anything where nothing
            is asked, -100 for example.
        mask: bool [N, B]: True where the loss counts.
    """

    xs: Array
    targets: Array
    mask: Array


def check_batch(task: Any, found: Any, batch: int) -> None:
    """Raises ValueError where the parts of a batch are not of the shapes and types that the task says."""
    if not isinstance(found, Batch):
        raise fail("task", "one whose `sample` gives a `gatedrnn.tasks.Batch`", f"a {type(found).__name__}")
    parts = found._asdict()
    for name, part in parts.items():
        if not hasattr(part, "shape") or not hasattr(part, "dtype"):
            raise fail("task", f"one whose {name} are an array", f"a {type(part).__name__}")
    steps = found.targets.shape[0] if found.targets.ndim else 0
    width = () if task.symbols else (task.input_size,)
    values = () if task.classes or task.output_size == 1 else (task.output_size,)
    kinds = {
        "xs": (jnp.integer, "whole numbers") if task.symbols else (jnp.floating, "real numbers"),
        "targets": (jnp.integer, "whole numbers") if task.classes else (jnp.number, "numbers"),
        "mask": (jnp.bool_, "truths"),
    }
    for name, part in parts.items():
        kind, words = kinds[name]
        shape = (steps, batch, *{"xs": width, "targets": values}.get(name, ()))
        if part.shape != shape or not jnp.issubdtype(part.dtype, kind):
            last = "D" if name == "xs" else "O"
            axes = (
                f"[N, B, {last}] with B = {batch} and {last} = {shape[2]}" if shape[2:] else f"[N, B] with B = {batch}"
            )
            expected = f"one whose {name} are {words} {axes}, time first, with one N for xs, targets and mask"
            raise fail("task", expected, f"{part.dtype} {part.shape} from the task {task.name!r}")


def wrong(task: Any, found: Batch) -> Array | None:
    """Where something is asked that has no answer, [N, B]; None where no number can be out of range."""
    inside = jnp.ones_like(found.mask)
    if task.classes:
        inside &= among(found.targets, task.output_size)
    if task.symbols:
        inside &= among(found.xs, task.input_size).all(axis=0, keepdims=True)
    return found.mask & ~inside if task.classes or task.symbols else None


def among(values: Array, count: int) -> Array:
    """Where whole numbers of any type are from 0 to `count` - 1, which need not be of that type."""
    return (values >= 0) & (values.astype(jnp.int32) < count)
