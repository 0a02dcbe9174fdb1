"""Measured series: one column of a CSV or NPY file, standardised; predicting the next value.

values x_1 .. x_T        target_t = x_{t+1}
"""

import csv
import math
import reprlib
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._check import check_size, fail
from gatedrnn.tasks._draw import windows_of
from gatedrnn.tasks._task import Batch, Constant, Task, one_less

Rows = Sequence[Sequence[object]]
HELD_OUT = 5  # the last fifth of a series


def read_series(path: str | Path, column: str | None = None) -> np.ndarray:
    """One column of numbers.

    Args:
        path: a `.npy` file with an array [N] or [N, C], or a CSV file; a first line without any
            number is one of names.
        column: the column's name or its number from 0; the first one by default.

    Returns:
        float64 [N].

    Raises:
        ValueError: the file cannot be read, is no regular one or is empty, the column is missing, or a cell is no
            finite number.
    """
    path = Path(path)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe may never end, and /dev/zero does not
            raise fail("series", "a regular file", repr(str(path)))
        rows, names = _read_npy(path) if path.suffix == ".npy" else _read_csv(path)
    except OSError as error:
        raise fail("series", "a readable CSV or NPY file", f"{str(path)!r}: {error.strerror or error}") from None
    if not rows:
        raise fail("series", "a file with at least one row of numbers", f"none in {str(path)!r}")
    index = _find_column(column, names, len(rows[0]), path)
    first_line = 1 if names is None else 2
    return np.array([_number(row, index, line, path) for line, row in enumerate(rows, first_line)])


def _read_npy(path: Path) -> tuple[Rows, None]:
    try:
        with path.open("rb") as file:  # not `np.load`, which opens other formats too
            array = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, TypeError, OverflowError, MemoryError, SyntaxError, tokenize.TokenError) as error:
        raise fail("series", "a NPY file of numbers", f"{str(path)!r}: {error}") from None
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiu":
        raise fail("series", "an array [N] or [N, C] of real numbers", f"{array.dtype} {array.shape} in {str(path)!r}")
    return (array if array.ndim == 2 else array[:, None]).tolist() if array.size else [], None


def _read_csv(path: Path) -> tuple[Rows, list[str] | None]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except UnicodeDecodeError as error:
        raise fail("series", "a CSV file in UTF-8", f"{str(path)!r}: {error.reason} at {error.start:,}") from None
    except csv.Error as error:
        raise fail("series", "a CSV file", f"{str(path)!r}: {error}") from None
    if rows and not any(_is_number(cell) for cell in rows[0]):
        return rows[1:], [name.strip() for name in rows[0]]
    return rows, None


def _find_column(column: str | None, names: list[str] | None, count: int, path: Path) -> int:
    if column is None:
        return 0
    column, numbers = column.strip(), [str(number) for number in range(count)]
    for labels in (names, numbers):
        if labels is not None and column in labels:
            return labels.index(column)
    known = f"one of {reprlib.repr(names)[1:-1]} or " if names else ""
    raise fail("series", f"a column, {known}a number from 0 to {count - 1}", f"{column!r} for {str(path)!r}")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(row: Sequence[object], index: int, line: int, path: Path) -> float:
    cell = row[index] if index < len(row) else None
    try:
        value = float(str(cell))
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        got = "nothing" if cell is None else reprlib.repr(cell)
        raise fail("series", "finite numbers", f"{got} in row {line}, column {index} of {str(path)!r}")
    return value


def standardised_windows(values: np.ndarray, steps: int, batch: int) -> np.ndarray:
    """`batch` stretches of `steps` values, spread evenly from the beginning to the end, of mean 0 and deviation 1.

    The mean and the deviation are those of all the values.

    Args:
        values: [N].
        steps: T.
        batch: B.

    Returns:
        float64 [T, B, 1].

    Raises:
        ValueError: the series is shorter than `steps` or constant, or a size is not a whole number of at least 1.
    """
    check_size("horizon", steps)
    check_size("batch", batch)
    if len(values) < steps:
        raise fail("series", f"at least as long as the horizon, {steps:,} values", f"{len(values):,} values")
    values = _standardised(values, values)
    starts = np.linspace(0, len(values) - steps, batch).astype(int)  # [B]
    return np.stack([values[start : start + steps] for start in starts], axis=1)[..., None]


def _standardised(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """`values [N]` scaled and shifted so that `by [M]` has mean 0 and deviation 1."""
    exponent = -np.frexp(np.abs(by).max())[1]  # the square of 1e200 is no float
    scaled = np.ldexp(by, exponent)
    if not scaled.std() > 1e-12:
        raise fail("series", "a series that varies", f"the constant {by[0]:g}")
    return (np.ldexp(values, exponent) - scaled.mean()) / scaled.std()


def prediction(values: np.ndarray) -> Task:
    """The next value at every step, from windows at random places of the series.

    Args:
        values: [N], from `read_series`; the last fifth is held out, the rest scaled to mean 0 and deviation 1.

    Returns:
        A task whose chance loss is 1, the variance of what is not held out.

    Raises:
        ValueError: the series has fewer than 20 values, what is not held out is constant, or what is held out is so
            large beside it that it is no float32.
    """
    if len(values) < 4 * HELD_OUT:
        raise fail("series", f"at least {4 * HELD_OUT} numbers, of which a fifth is held out", f"{len(values)}")
    cut = len(values) - len(values) // HELD_OUT
    with np.errstate(over="ignore"):
        scaled = _standardised(values, values[:cut]).astype(np.float32)
    if not np.isfinite(scaled).all():
        raise fail("series", "a series whose last fifth is of the size of the rest", f"{np.abs(values).max():g} there")
    return Task(
        name="series",
        sample=_sample,
        chance=Constant(1.0),
        memory=one_less,
        input_size=1,
        output_size=1,
        classes=False,
        at_end=False,
        longest=len(values) - cut - 1,
        data=jnp.asarray(scaled[:cut]),
        held_out_data=jnp.asarray(scaled[cut:]),
    )


def _sample(key: Array, batch: int, steps: int, values: Any) -> Batch:
    stretch = windows_of(key, batch, steps + 1, values)  # [T + 1, B]
    return Batch(stretch[:-1, :, None], stretch[1:], jnp.ones((steps, batch), bool))
