"""What the command line's words mean: numbers, paths, cells, files with a column; and how numbers are printed."""

import importlib
import math
import operator
import os
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gatedrnn._check import fail
from gatedrnn._cores import schedulable_cores
from gatedrnn._registry import CELLS

if TYPE_CHECKING:
    from gatedrnn._cell import Cell


def whole(text: str) -> int:
    """A whole number from the command line."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"must be a whole number; got {text!r:.60}.") from None


def number(text: str) -> float:
    """A number from the command line; not another one because no float is that small or that large."""
    try:
        found, exact = float(text), Decimal(text)
    except (ValueError, ArithmeticError):
        raise typer.BadParameter(f"must be a number; got {text!r:.60}.") from None
    if exact.is_finite() and (math.isinf(found) or (found == 0) != (exact == 0)):
        raise typer.BadParameter(f"must be 0 or a number from 4.9e-324 to 1.8e+308; got {text!r:.60}.")
    return found


def name_of_file(text: str) -> str:
    """A file's or a folder's name; nothing is none, though `Path` takes it for the current folder."""
    if not text:
        raise typer.BadParameter("must be the name of a file or a folder; got nothing.")
    return text


def path_of(text: str) -> Path:
    """A file or a folder from the command line."""
    return Path(name_of_file(text))


def check_cell(name: str, value: str) -> None:
    """Raises ValueError for what is neither the name of a cell, nor a network, nor MODULE:CELL; loads nothing."""
    if not _may_be_a_cell(value):
        raise fail(name, f"one of {', '.join(CELLS)}, or a network of them, such as 'stack(gru, gru)'", repr(value))


def _may_be_a_cell(text: str) -> bool:
    return text in CELLS or ":" in text or (text.endswith(")") and "(" in text)


def find_cell(text: str, name: str = "cell") -> "Cell":
    """The cell or network of that name, or one of the user's: MODULE:CELL, from an installed module or this folder.

    Importing a module runs it: `text` must be what the user typed, and not what a file says.

    Raises:
        ValueError: there is no such cell, module or attribute, or it is no `gatedrnn.Cell`.
    """
    from gatedrnn import Cell, cells, networks

    check_cell(name, text)
    if ":" not in text:
        return networks.named(text, cells.CELLS, name)
    module, _, attribute = text.partition(":")
    if not (attribute and all(part.isidentifier() for part in module.split("."))):
        raise fail(name, "MODULE:CELL, where it is your own", repr(text))
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a script has its own folder there
    try:
        found = operator.attrgetter(attribute)(importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise fail(name, "MODULE:CELL of a `gatedrnn.Cell`", f"{text!r}: {error}") from None
    if not isinstance(found, Cell):
        raise fail(name, "MODULE:CELL of a `gatedrnn.Cell`", f"{text!r}, of the type {type(found).__name__}")
    return found


def split_cells(names: str) -> list[str]:
    """The words between commas, each once; those inside parentheses belong to a network.

    Raises:
        ValueError: one is neither the name of a cell, nor a network, nor MODULE:CELL.
    """
    words, depth = [""], 0
    for letter in names:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth <= 0:
            words.append("")
        else:
            words[-1] += letter
    wanted = list(dict.fromkeys(name.strip() for name in words))
    for name in wanted:
        if not _may_be_a_cell(name):
            raise fail("cells", f"some of {', '.join(CELLS)}, separated by commas", repr(name))
    return wanted


def complete_cell() -> list[str]:
    """What a shell offers where a cell is named."""
    return list(CELLS)


def complete_cells(incomplete: str) -> list[str]:
    """What a shell offers behind the last comma: the cells that are not named yet."""
    *named, _ = incomplete.split(",")
    return [",".join([*named, name]) for name in CELLS if name not in named]


def complete_devices() -> list[str]:
    """What a shell offers for a number of devices: up to the CPU's cores; nothing is loaded to ask for others."""
    return [str(number) for number in range(1, schedulable_cores() + 1)]


def files_read(text: Path | None, series: str | None) -> dict[str, str]:
    """The files of the options `text` and `series`, by their options."""
    of_series = None if series is None else split_column(series)[0]
    return {name: str(path) for name, path in (("text", text), ("series", of_series)) if path is not None}


def split_column(asked: str) -> tuple[str, str | None]:
    """FILE[:COLUMN] -> the file and the column; either may hold colons, so the longest file that exists is taken."""
    drive = 2 if asked[1:3] in (":\\", ":/") else 1  # C:\data.csv
    places = [len(asked), *(i for i in range(len(asked) - 1, drive - 1, -1) if asked[i] == ":")]
    known = [i for i in places if os.path.isfile(asked[:i])]
    end = known[0] if known else places[min(1, len(places) - 1)]
    return asked[:end], asked[end + 1 :] if end < len(asked) else None


def in_words(baselines: Iterable[Any]) -> str:
    """`persistence 0.153, seasonal (24 steps) 0.0802`."""
    return ", ".join(f"{name}{f' ({lag:,} steps)' * (lag > 1)} {loss:.4g}" for name, loss, lag in baselines)


def formatted(value: float | None, form: str) -> str:
    """The number, or a dash for what never happened; huge ones with an exponent."""
    if value is None:
        return "-"
    return format(value, form if abs(value) < 1e6 else ".1e")
