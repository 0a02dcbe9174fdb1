"""Measured series: one column of a file of numbers, standardised; predicting the next value.

values x_1 .. x_T        target_t = x_{t+1}
"""

import math
import reprlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._check import check_path, check_size, fail
from gatedrnn._files import named, regular
from gatedrnn.tasks import _arrays
from gatedrnn.tasks._dialect import WORDS, Asked
from gatedrnn.tasks._draw import windows_of
from gatedrnn.tasks._rows import read_rows
from gatedrnn.tasks._task import Batch, Constant, Task, one_less

HELD_OUT = 5  # the last fifth of a series
BLOCK = 2**14  # values that are widened at once
ALIGNED = 64  # bytes, so that XLA takes memory as it is
_READERS = {
    ".npy": _arrays.read_npy,
    ".npz": _arrays.read_npz,
    ".parquet": _arrays.read_parquet,
    ".pq": _arrays.read_parquet,
}


def read_series(
    path: str | Path,
    column: str | None = None,
    *,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: int | None = None,
) -> np.ndarray:
    """One column of numbers.

    Args:
        path: a `.npy` file with an array [N] or [N, C], a `.npz` file of such, a `.parquet` file (which needs
            `gatedrnn[series]`), or a text file, `.gz` or not, in UTF-8, UTF-16 or a code page: lines with fields
            between commas, semicolons, tabs, bars or blanks, decimal points or commas, quotes, comments (`#`, `%`)
            and lines of names. Whatever of these the file leaves in doubt is refused, and can be given.
        column: the column's name or, where none has that name, its number from 0; the first one by default. The arrays
            of a `.npz` file are `NAME`, or `NAME.0`, `NAME.1`, ... for [N, C].
        delimiter: of a text file, or its name: comma, semicolon, tab, space (any number of blanks) or pipe.
        decimal: the decimal mark of a text file, a point or a comma.
        header: lines in front of the first row of a text file, not counting comments and empty lines.

    Returns:
        [N], float64 from text, and of its own type from arrays.

    Raises:
        ValueError: the file cannot be read, is no regular one or is empty, how it is written is in doubt, the column is
            missing, or a cell is no finite number.
    """
    path = check_path("series", path)
    regular(path, "series", kind="file of numbers")
    asked = _asked(delimiter, decimal, header)

    def find(names: list[list[str]], count: int) -> int:
        return _find_column(column, names, count, path)

    try:
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            number = (column or "").strip()
            return read_rows(path, asked, find, int(number) + 1 if number.isdecimal() and len(number) < 9 else 1)
        if asked != Asked():
            name = next(name for name, value in zip(Asked._fields, asked, strict=True) if value is not None)
            raise fail(name, "left out: it is for text files", f"it for {named(path)}")
        values = reader(path, find)
    except OSError as error:
        got = f"{named(path)}: {error.strerror or error}"
        raise fail("series", "a readable file of numbers", got) from None
    for start, block in _blocks(values):
        if not np.isfinite(block).all():
            row = int(np.argmin(np.isfinite(block)))
            raise fail("series", "finite numbers", f"{block[row]} in row {start + row:,} of {named(path)}")
    return values


def check_dialect(name: str, value: Any) -> None:
    """Raises ValueError where the option `delimiter`, `decimal` or `header` cannot have that value."""
    if name == "header":
        check_size(name, value, 0)
    elif name == "decimal":
        if value not in (".", ","):
            raise fail(name, "'.' or ','", repr(value))
    elif value not in WORDS and (len(value) != 1 or value.isalnum() or value in ".+-\"'\n\r"):
        raise fail(name, f"one character or one of {', '.join(list(WORDS)[:3])}, space, pipe", reprlib.repr(value))


def _asked(delimiter: str | None, decimal: str | None, header: int | None) -> Asked:
    for name, value in (("delimiter", delimiter), ("decimal", decimal), ("header", header)):
        if value is not None:
            check_dialect(name, value)
    return Asked(delimiter if delimiter is None else WORDS.get(delimiter, delimiter), decimal, header)


def _find_column(column: str | None, names: list[list[str]], count: int, path: Path) -> int:
    if column is None:
        return 0
    column = column.strip()
    found = sorted({i for line in names for i, name in enumerate(line) if name == column})
    if len(found) > 1:
        places = ", ".join(map(str, found[:8]))
        raise fail(
            "series", f"a column of a name of its own, or a number such as {places}", f"{column!r} for {named(path)}"
        )
    if found:
        return found[0]
    numbers = [str(number) for number in range(count)]
    if column in numbers:
        return numbers.index(column)
    known = f"one of {reprlib.repr(names[0])[1:-1]} or " if names else ""
    got = f"{reprlib.repr(column)} for {named(path)}"
    raise fail("series", f"a column, {known}a number from 0 to {count - 1}", got)


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
    scaled = _scaling(values)
    starts = np.linspace(0, len(values) - steps, batch).astype(int)  # [B]
    return np.stack([scaled(values[start : start + steps]) for start in starts], axis=1)[..., None]


def _scaling(by: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """What scales and shifts values in float64, so that `by [M]` has mean 0 and deviation 1."""
    exponent = -np.frexp(max(np.abs(block).max() for _, block in _blocks(by)))[1]  # the square of 1e200 is no float

    def moved(values: np.ndarray) -> np.ndarray:
        return np.ldexp(values.astype(np.float64), exponent)

    mean = _total(by, moved) / len(by)
    deviation = math.sqrt(_total(by, lambda values: np.square(moved(values) - mean)) / len(by))
    if not deviation > 1e-12:
        raise fail("series", "a series that varies", f"the constant {by[0]:g}")
    return lambda values: (moved(values) - mean) / deviation


def _total(values: np.ndarray, of: Callable[[np.ndarray], np.ndarray]) -> float:
    """The sum of `of(values)`, in the order in which NumPy adds up an array, of which only a block is ever made."""
    if len(values) <= BLOCK:
        return float(of(values).sum())
    half = len(values) // 2 // 8 * 8
    return _total(values[:half], of) + _total(values[half:], of)


def _blocks(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Stretches of the values as float64, with the places where they begin."""
    return ((start, values[start : start + BLOCK].astype(np.float64)) for start in range(0, len(values), BLOCK))


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
    scaled = _scaling(values[:cut])
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
        data=_on_device(values[:cut], scaled),
        held_out_data=_on_device(values[cut:], scaled),
    )


def _on_device(values: np.ndarray, scaled: Callable[[np.ndarray], np.ndarray]) -> Array:
    """float32 [N]; on the CPU the memory into which it is written here is the array's own."""
    bytes_of = np.empty(4 * len(values) + ALIGNED, np.uint8)
    start = -bytes_of.ctypes.data % ALIGNED
    found = bytes_of[start : start + 4 * len(values)].view(np.float32)
    with np.errstate(over="ignore"):
        for at in range(0, len(values), BLOCK):
            found[at : at + BLOCK] = scaled(values[at : at + BLOCK])
    if not np.isfinite(found).all():
        got = f"{max(np.abs(block).max() for _, block in _blocks(values)):g} there"
        raise fail("series", "a series whose last fifth is of the size of the rest", got)
    return jax.device_put(found)


def _sample(key: Array, batch: int, steps: int, values: Any) -> Batch:
    stretch = windows_of(key, batch, steps + 1, values)  # [T + 1, B]
    return Batch(stretch[:-1, :, None], stretch[1:], jnp.ones((steps, batch), bool))
