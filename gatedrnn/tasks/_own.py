"""A task of arrays: sequences first, as data are kept; what a training draws of them has time first.

xs [M, T, D], targets [M] or [M, T]        ->        batch.xs [T, B, D], batch.targets [T, B]
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._check import check_number, check_size, fail, shown
from gatedrnn.tasks._batch import Batch
from gatedrnn.tasks._draw import asked_at_end, whole
from gatedrnn.tasks._task import Constant, Task, one_less


class Rows(NamedTuple):
    """Sequences [M, T, ...], targets [M, ...] or [M, T, ...], and a mask [M, T] or None."""

    xs: Any
    targets: Any
    mask: Any


@dataclass(frozen=True)
class _Sample:
    """Rows drawn at random, of which the first T steps are taken."""

    at_end: bool
    once: bool  # one target for a sequence

    def __call__(self, key: Array, batch: int, steps: int, data: Any) -> Batch:
        chosen = whole(key, batch, 0, data.xs.shape[0])  # [B]
        xs = data.xs[chosen, :steps].swapaxes(0, 1)
        if self.at_end:
            return asked_at_end(xs, data.targets[chosen])
        targets = data.targets[chosen]
        targets = jnp.broadcast_to(targets[None], (steps, batch)) if self.once else targets[:, :steps].swapaxes(0, 1)
        mask = jnp.ones((steps, batch), bool) if data.mask is None else data.mask[chosen, :steps].T
        return Batch(xs, targets, mask)


def from_arrays(xs: Any, targets: Any, mask: Any, held_out: Any, input_size: Any, output_size: Any, name: Any) -> Task:
    """As `Task.from_arrays` says."""
    if not isinstance(name, str) or not name:
        raise fail("name", "a name for the task", shown(name))
    rows = _rows(xs, targets, mask, "")
    if isinstance(held_out, tuple | list):
        if len(held_out) not in (2, 3):
            raise fail(
                "held_out", "a share, or arrays (xs, targets) or (xs, targets, mask)", f"{len(held_out)} of them"
            )
        train, test = rows, _rows(held_out[0], held_out[1], held_out[2] if len(held_out) == 3 else None, "held_out ")
        _check_alike(train, test)
    else:
        share = check_number("held_out", held_out, above=0)
        count = round(len(rows.xs) * share)
        if not 0 < count < len(rows.xs):
            got = f"{held_out}, which is {count:,} of {len(rows.xs):,}"
            raise fail("held_out", "a share that leaves a sequence for training and one for tests", got)
        train, test = (
            Rows(*(None if a is None else a[part] for a in rows)) for part in (slice(None, -count), slice(-count, None))
        )
    classes, symbols = train.targets.dtype.kind in "iu", train.xs.ndim == 2
    asked = [_asked(part) for part in (train, test)]
    outputs = train.targets.shape[2] if train.targets.ndim == 3 else 1
    if classes:
        outputs = _count("output_size", "targets", asked, output_size)
    elif output_size is not None and output_size != outputs:
        raise fail("output_size", f"{outputs}, as many as the targets have", shown(output_size))
    inputs = _count("input_size", "xs", [train.xs, test.xs], input_size) if symbols else train.xs.shape[2]
    if not symbols and input_size not in (None, inputs):
        raise fail("input_size", f"{inputs}, as many as the features", shown(input_size))
    at_end, steps = train.targets.ndim == 1 and train.mask is None, train.xs.shape[1]
    return Task(
        name=name,
        sample=_Sample(at_end, train.targets.ndim == 1),
        chance=Constant(_chance(asked[0], classes)),
        memory=one_less,
        input_size=inputs,
        output_size=outputs,
        classes=classes,
        symbols=symbols,
        at_end=at_end,
        shortest=steps if train.targets.ndim == 1 else 1,
        longest=steps,
        data=_on_device(train, classes, symbols),
        held_out_data=_on_device(test, classes, symbols),
    )


def _rows(xs: Any, targets: Any, mask: Any, what: str) -> Rows:
    """The arrays, of shapes and types that go together; `what` stands before their names in a message."""
    xs, targets = np.asarray(xs), np.asarray(targets)
    symbols = xs.ndim == 2 and xs.dtype.kind in "iu"
    if not symbols and (xs.ndim != 3 or (xs.dtype.kind not in "fiu" and xs.dtype.name != "bfloat16")):
        expected = "real numbers [N, T, D], or whole ones [N, T] for symbols, sequences first"
        raise fail("xs", f"{what}{expected}", f"{xs.dtype} {xs.shape}")
    if 0 in xs.shape:
        raise fail("xs", f"{what}at least one sequence of one step", f"the shape {xs.shape}")
    first = f"{what}whole numbers (classes) or real ones [N], [N, T] or [N, T, O] with N = {xs.shape[0]:,} and T = "
    expected = f"{first}{xs.shape[1]:,}, sequences first, as in `xs`"
    fits = targets.ndim == 1 or targets.shape[1:2] == xs.shape[1:2]
    most = 3 if targets.dtype.kind == "f" else 2
    if targets.dtype.kind not in "fiu" or targets.shape[:1] != xs.shape[:1] or not fits or targets.ndim > most:
        raise fail("targets", expected, f"{targets.dtype} {targets.shape}")
    if mask is not None:
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != xs.shape[:2]:
            raise fail("mask", f"{what}truths [N, T] = {xs.shape[:2]}", f"{mask.dtype} {mask.shape}")
        if not mask.any():
            raise fail("mask", f"{what}True somewhere", "False everywhere")
    rows = Rows(xs, targets, mask)
    for name, found in (("xs", xs), ("targets", _asked(rows))):
        with np.errstate(over="ignore"):
            if not np.isfinite(found.astype(np.float32)).all():
                raise fail(name, f"{what}finite numbers that float32 holds", "others")
    return rows


def _check_alike(train: Rows, test: Rows) -> None:
    """Raises ValueError where the arrays for tests are of another kind."""
    for name, one, other in zip(Rows._fields, train, test, strict=True):
        words = [_in_words(one), _in_words(other)]
        if words[0] != words[1]:
            raise fail("held_out", f"arrays like those of the training, with {name} {words[0]}", words[1])


def _in_words(array: np.ndarray | None) -> str | None:
    """`real [N, 40, 3]`."""
    if array is None:
        return None
    return f"{'whole' if array.dtype.kind in 'iu' else 'real'} [{', '.join(['N', *map(str, array.shape[1:])])}]"


def _asked(rows: Rows) -> np.ndarray:
    """The targets that count: [K] or [K, O]."""
    if rows.mask is None:
        return rows.targets.reshape(-1, *rows.targets.shape[2:])
    spread = rows.targets if rows.targets.ndim > 1 else np.broadcast_to(rows.targets[:, None], rows.mask.shape)
    return spread[rows.mask]


def _count(argument: str, of: str, parts: list[np.ndarray], told: Any) -> int:
    """How many classes or symbols there are: as many as are told, or as the largest says."""
    least, most = min(int(part.min()) for part in parts), max(int(part.max()) for part in parts)
    count = most + 1 if told is None else check_size(argument, told, most=2**31 - 1)
    if least < 0 or most >= count:
        upper = "0 or above" if told is None else f"from 0 to {count - 1}"
        hint = "; where nothing is asked, `mask` says so" if of == "targets" else ""
        raise fail(of, f"whole numbers {upper}{hint}", least if least < 0 else most)
    return check_size(argument, count, most=2**31 - 1)


def _chance(asked: np.ndarray, classes: bool) -> float:
    """Of the best constant answer to the training part: the entropy of its classes, or the variance of its values."""
    if not classes:
        return float(asked.astype(np.float64).var(axis=0).mean())
    shares = np.unique(asked, return_counts=True)[1] / asked.size
    return float(-(shares * np.log(shares)).sum()) + 0.0


def _on_device(rows: Rows, classes: bool, symbols: bool) -> Rows:
    targets = rows.targets
    if classes and rows.mask is not None and targets.ndim == 2:
        targets = np.where(rows.mask, targets, 0)  # -100 and the like
    return Rows(
        jnp.asarray(rows.xs.astype(np.int32 if symbols else np.float32)),
        jnp.asarray(targets.astype(np.int32 if classes else np.float32)),
        None if rows.mask is None else jnp.asarray(rows.mask),
    )
