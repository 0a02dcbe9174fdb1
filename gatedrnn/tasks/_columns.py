"""Which columns of a file are meant: `a`, `a,b`, or `"a, quoted",b`, as a line of CSV says them.

what is asked for  ->  names  ->  places in the file  ->  values [N, C]
"""

import csv
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gatedrnn._check import fail
from gatedrnn._files import named

Find = Callable[[list[list[str]], int], int]


class Read(NamedTuple):
    """Columns of a file.

    Attributes:
        values: [N] of one column, [N, C] of several.
        names: C of them; a number where the file gives no name.
    """

    values: np.ndarray
    names: tuple[str, ...]


def split_names(text: str, argument: str = "series") -> list[str]:
    """The names between commas; quotes stand around one that holds a comma, and are doubled within it.

    Raises:
        ValueError: a name is empty, or a quote is not closed.
    """
    try:
        (names,) = csv.reader([text], strict=True, skipinitialspace=True)
    except (csv.Error, ValueError):
        names = [""]
    names = [name.strip() for name in names]
    if not all(names) and text.strip():
        raise fail(argument, "names of columns between commas, in quotes where one holds a comma", repr(text)[:100])
    return names if any(names) else [text]


def read_columns(path: Path, text: str | None, read: Callable[[Find, int], np.ndarray]) -> Read:
    """Those that a text asks for; the first one where it is None.

    Args:
        path: of the file, for messages.
        text: names or numbers, as in a line of CSV.
        read: `(find, least) -> values [N]` of one column, in a file of at least so many.

    Raises:
        ValueError: a column is missing, meant twice, or has another length; or the text may be one name or several.
    """
    asked: list[str | None] = [None] if text is None else [*split_names(text)]
    return read_each(path, asked, read, text if len(asked) > 1 else None)


def read_each(
    path: Path, asked: list[str | None], read: Callable[[Find, int], np.ndarray], whole: str | None = None
) -> Read:
    """The columns of these very names or numbers; `whole` must not be the name of one, too."""
    places: list[int] = []
    labels: list[str] = []
    columns: list[np.ndarray] = []
    for column in asked:

        def find(names: list[list[str]], count: int, column: str | None = column) -> int:
            if whole is not None and any(whole.strip() == name for line in names for name in line):
                expected = f"in quotes where it is one name, '\"{whole.strip()}\"'"
                raise fail("series", expected, f"{whole!r}, which may be one column of {named(path)} or several")
            place = find_column(column, names, count, path)
            if place in places:
                raise fail("series", "columns of which none is given twice", f"{column!r} for {named(path)}")
            places.append(place)
            label = next((line[place] for line in names if line[place]), str(place))
            labels.append(str(place) if label in labels else label)
            return place

        number = (column or "").strip()
        columns.append(read(find, int(number) + 1 if number.isdecimal() and len(number) < 9 else 1))
    lengths = {len(values) for values in columns}
    if len(lengths) > 1:
        got = f"{' and '.join(f'{length:,}' for length in sorted(lengths))} in {named(path)}"
        raise fail("series", "columns of one length", got)
    return Read(columns[0] if len(columns) == 1 else np.stack(columns, axis=1), tuple(labels))


def find_column(column: str | None, names: list[list[str]], count: int, path: Path) -> int:
    """The place of a column, by its name or else its number."""
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
