"""Files of numbers, each read by what its name ends with; what is no finite number is refused whatever it is read by.

.npy, .npz, .parquet        arrays                anything else        a text, whose dialect is found out or given
"""

import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gatedrnn._check import check_path, check_size, fail
from gatedrnn._files import named, regular
from gatedrnn.tasks import _arrays
from gatedrnn.tasks._columns import Find
from gatedrnn.tasks._dialect import WORDS, Asked
from gatedrnn.tasks._rows import read_rows
from gatedrnn.tasks._scaling import blocks

_READERS = {
    ".npy": _arrays.read_npy,
    ".npz": _arrays.read_npz,
    ".parquet": _arrays.read_parquet,
    ".pq": _arrays.read_parquet,
}


def reader(
    path: str | Path, delimiter: str | None = None, decimal: str | None = None, header: int | None = None
) -> tuple[Path, Callable[[Find, int], np.ndarray]]:
    """The path, and a function `(find, least) -> values [N]` of it, all finite; options as in `read_series`.

    Raises:
        ValueError: there is no such regular file, or an option cannot have that value.
    """
    path, asked = check_path("series", path), _asked(delimiter, decimal, header)
    regular(path, "series", kind="file of numbers")

    def read(find: Find, least: int) -> np.ndarray:
        try:
            of_arrays = _READERS.get(path.suffix.lower())
            if of_arrays is None:
                return read_rows(path, asked, find, least)
            if asked != Asked():
                name = next(name for name, value in zip(Asked._fields, asked, strict=True) if value is not None)
                raise fail(name, "left out: it is for text files", f"it for {named(path)}")
            values = of_arrays(path, find)
        except OSError as error:
            got = f"{named(path)}: {error.strerror or error}"
            raise fail("series", "a readable file of numbers", got) from None
        for start, block in blocks(values):
            if not np.isfinite(block).all():
                row = int(np.argmin(np.isfinite(block)))
                raise fail("series", "finite numbers", f"{block[row]} in row {start + row:,} of {named(path)}")
        return values

    return path, read


def _asked(delimiter: str | None = None, decimal: str | None = None, header: int | None = None) -> Asked:
    for name, value in (("delimiter", delimiter), ("decimal", decimal), ("header", header)):
        if value is not None:
            _check_dialect(name, value)
    return Asked(delimiter if delimiter is None else WORDS.get(delimiter, delimiter), decimal, header)


def _check_dialect(name: str, value: Any) -> None:
    """Raises ValueError where the option `delimiter`, `decimal` or `header` cannot have that value."""
    if name == "header":
        check_size(name, value, 0)
    elif name == "decimal":
        if value not in (".", ","):
            raise fail(name, "'.' or ','", repr(value))
    elif not isinstance(value, str) or (
        value not in WORDS and (len(value) != 1 or value.isalnum() or value in ".+-\"'\n\r")
    ):
        raise fail(name, f"one character or one of {', '.join(list(WORDS)[:3])}, space, pipe", reprlib.repr(value))
