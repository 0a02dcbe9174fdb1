"""Measured series: columns of a file of numbers, standardised; predicting the next value.

values x_1 .. x_T        target_t = x_{t+1}
"""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._check import check_list, check_size, fail, shown
from gatedrnn.tasks._baselines import baselines
from gatedrnn.tasks._columns import Read, read_columns, read_each
from gatedrnn.tasks._draw import windows_of
from gatedrnn.tasks._readers import reader
from gatedrnn.tasks._scaling import Scaling, on_device, scaling_of
from gatedrnn.tasks._task import Batch, Constant, Task, one_less
from gatedrnn.tasks._units import Units

HELD_OUT = 5  # the last fifth of a series


def read_series(
    path: str | Path,
    column: str | Sequence[str] | None = None,
    *,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: int | None = None,
) -> np.ndarray:
    """One column of numbers, or several.

    Args:
        path: a `.npy` file with an array [N] or [N, C], a `.npz` file of such, a `.parquet` file (which needs
            DuckDB), or a text file, `.gz` or not, in UTF-8, UTF-16 or a code page: lines with fields
            between commas, semicolons, tabs, bars or blanks, decimal points or commas, quotes, comments (`#`, `%`)
            and lines of names. Whatever of these the file leaves in doubt is refused, and can be given.
        column: the column's name or, where none has that name, its number from 0; the first one by default. The arrays
            of a `.npz` file are `NAME`, or `NAME.0`, `NAME.1`, ... for [N, C]. A list of names for several columns.
        delimiter: of a text file, or its name: comma, semicolon, tab, space (any number of blanks) or pipe.
        decimal: the decimal mark of a text file, a point or a comma.
        header: lines in front of the first row of a text file, not counting comments and empty lines.

    Returns:
        [N], float64 from text, and of its own type from arrays; [N, C] where `column` is a list of C names.

    Raises:
        ValueError: the file cannot be read, is no regular one or is empty, how it is written is in doubt, a column is
            missing or given twice, or a cell is no finite number.
    """
    path, read = reader(path, delimiter, decimal, header)
    if column is None or isinstance(column, str):
        return read_each(path, [column], read).values
    names = check_list("column", "a name, or names of columns", column)
    if not names or not all(isinstance(name, str) for name in names):
        raise fail("column", "a name, or names of columns", shown(column))
    values = read_each(path, names, read).values
    return values if values.ndim == 2 else values[:, None]


def read_named(path: str | Path, text: str | None, **dialect: Any) -> Read:
    """The columns that a line of CSV names, such as `a,b`, with what they are called; else as `read_series`."""
    path, read = reader(path, **dialect)
    return read_columns(path, text, read)


def standardised_windows(values: np.ndarray, steps: int, batch: int) -> np.ndarray:
    """`batch` stretches of `steps` values, spread evenly from the beginning to the end, of mean 0 and deviation 1.

    The mean and the deviation are those of all the values of a column.

    Args:
        values: [N] or [N, C].
        steps: T.
        batch: B.

    Returns:
        float64 [T, B, C], with C = 1 for values [N].

    Raises:
        ValueError: the series is shorter than `steps` or constant, or a size is not a whole number of at least 1.
    """
    check_size("horizon", steps)
    check_size("batch", batch)
    if len(values) < steps:
        raise fail("series", f"at least as long as the horizon, {steps:,} values", f"{len(values):,} values")
    columns = _columns(values)
    starts = np.linspace(0, len(values) - steps, batch).astype(int)  # [B]
    of = [(column, scaling_of(column)) for column in columns]
    return np.stack(
        [np.stack([scaled(column[start : start + steps]) for column, scaled in of], -1) for start in starts], axis=1
    )


def prediction(
    values: np.ndarray,
    *,
    columns: Sequence[str] | None = None,
    target: str | Sequence[str] | None = None,
    period: int | None = None,
) -> Task:
    """The next value of every column at every step, from windows at random places of the series.

    Args:
        values: [N] or [N, C], from `read_series`; the last fifth is held out, and each column scaled so that the rest
            of it has mean 0 and deviation 1.
        columns: names of the C columns; "0", "1", ... by default.
        target: the name of the column that is predicted, or several names; all columns by default. In whatever order
            they are given, targets stand in the order of the columns.
        period: steps after which the series is said to repeat itself, for the seasonal baseline. By default it is found
            on what is not held out: the shortest of the deepest valleys of the mean squared difference to the value
            p steps before, for p from 2 to half of that part. Valleys that are at most a tenth of the lowest and a
            hundredth of the variance above it count as deepest.

    Returns:
        A task whose chance loss is 1, the variance of what is not held out; its `baselines` are the losses of repeating
        the last value and the value one period ago, on what is held out. Losses are means over the predicted columns.

    Raises:
        ValueError: the series has fewer than 20 values, what is not held out is constant, or what is held out is so
            large beside it that it is no float32; a name is none of the columns, or given twice; `period` is no whole
            number, or is longer than what is not held out.
    """
    every, cut = _columns(values), _cut(values)
    scalings = [scaling_of(column[:cut]) for column in every]
    predicted = _predicted(_names(columns, len(every)), target)
    chosen = [every[i] for i in predicted], [scalings[i] for i in predicted]
    return Task(
        name="series",
        sample=_sample if values.ndim == 1 else _Sample(predicted),
        chance=Constant(1.0),
        memory=one_less,
        input_size=len(every),
        output_size=len(predicted),
        classes=False,
        at_end=False,
        ahead=True,
        longest=len(values) - cut - 1,
        data=on_device([column[:cut] for column in every], scalings, values.ndim == 2),
        held_out_data=on_device([column[cut:] for column in every], scalings, values.ndim == 2),
        baselines=baselines(*chosen, cut, period),
    )


def units(
    values: np.ndarray, *, columns: Sequence[str] | None = None, target: str | Sequence[str] | None = None
) -> Units:
    """How `prediction` of the same arguments standardises, to be saved with a model and used in a forecast.

    Raises:
        ValueError: as `prediction` does.
    """
    every, cut = _columns(values), _cut(values)
    scalings: list[Scaling] = [scaling_of(column[:cut]) for column in every]
    names = _names(columns, len(every))
    means, deviations = zip(*(scaling.own for scaling in scalings), strict=True)
    return Units(names, means, deviations, _predicted(names, target))


def _columns(values: np.ndarray) -> list[np.ndarray]:
    if values.ndim not in (1, 2) or not all(values.shape[1:]):
        raise fail("series", "values [N] or [N, C]", shown(values))
    return [values] if values.ndim == 1 else list(values.T)


def _cut(values: np.ndarray) -> int:
    """How many values are not held out."""
    if len(values) < 4 * HELD_OUT:
        raise fail("series", f"at least {4 * HELD_OUT} numbers, of which a fifth is held out", f"{len(values)}")
    return len(values) - len(values) // HELD_OUT


def _names(columns: Sequence[str] | None, count: int) -> tuple[str, ...]:
    names = [str(i) for i in range(count)] if columns is None else check_list("columns", "names", columns)
    if len(names) != count or len(set(names)) < count or not all(isinstance(name, str) for name in names):
        raise fail("columns", f"{count} different names, one for each column of the values", shown(names))
    return tuple(names)


def _predicted(names: tuple[str, ...], target: str | Sequence[str] | None) -> tuple[int, ...]:
    """The places of what is predicted."""
    if target is None:
        return tuple(range(len(names)))
    wanted = [target] if isinstance(target, str) else check_list("target", "names of columns", target)
    if not wanted or len(set(map(str, wanted))) < len(wanted) or not all(name in names for name in wanted):
        raise fail("target", f"different ones of the columns {reprlib.repr(list(names))[1:-1]}", shown(target))
    return tuple(sorted(names.index(name) for name in wanted))


def _sample(key: Array, batch: int, steps: int, values: Any) -> Batch:
    stretch = windows_of(key, batch, steps + 1, values)  # [T + 1, B]
    return Batch(stretch[:-1, :, None], stretch[1:], jnp.ones((steps, batch), bool))


@dataclass(frozen=True)
class _Sample:
    """The same of several columns, some of which are predicted."""

    predicted: tuple[int, ...]

    def __call__(self, key: Array, batch: int, steps: int, values: Any) -> Batch:
        stretch = windows_of(key, batch, steps + 1, values)  # [T + 1, B, C]
        targets = stretch[1:, :, jnp.array(self.predicted)]
        targets = targets[..., 0] if len(self.predicted) == 1 else targets
        return Batch(stretch[:-1], targets, jnp.ones((steps, batch), bool))
