"""What the command line's words mean: numbers, paths, cells, files with a column; and how numbers are printed."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from gatedrnn._check import fail


def whole(text: str) -> int:
    """A whole number from the command line."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"must be a whole number; got {text!r}.") from None


def number(text: str) -> float:
    """A number from the command line."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"must be a number; got {text!r}.") from None


def name_of_file(text: str) -> str:
    """A file's or a folder's name; nothing is none, though `Path` takes it for the current folder."""
    if not text:
        raise typer.BadParameter("must be the name of a file or a folder; got nothing.")
    return text


def path_of(text: str) -> Path:
    """A file or a folder from the command line."""
    return Path(name_of_file(text))


class Encoding(StrEnum):
    """How a byte becomes a vector."""

    EMBEDDED = "embedded"
    ONE_HOT = "one-hot"


class Dtype(StrEnum):
    """Dtype of the weights."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BFLOAT16 = "bfloat16"


def find_cells(names: str) -> list[Any]:
    """Cells by their names, separated by commas, each once."""
    from gatedrnn.models import CELLS

    wanted = list(dict.fromkeys(name.strip() for name in names.split(",")))
    unknown = [name for name in wanted if name not in CELLS]
    if unknown:
        raise fail("cells", f"some of {', '.join(CELLS)}, separated by commas", repr(unknown[0]))
    return [CELLS[name] for name in wanted]


def split_column(asked: str) -> tuple[str, str | None]:
    """FILE[:COLUMN] -> the file and the column; either may hold colons, so the longest file that exists is taken."""
    places = [len(asked), *(i for i in range(len(asked) - 1, 0, -1) if asked[i] == ":")]
    known = [i for i in places if os.path.isfile(asked[:i])]
    end = known[0] if known else places[min(1, len(places) - 1)]
    return asked[:end], asked[end + 1 :] if end < len(asked) else None


def formatted(value: float | None, form: str) -> str:
    """The number, or a dash for what never happened; huge ones with an exponent."""
    if value is None:
        return "-"
    return format(value, form if abs(value) < 1e6 else ".1e")
