"""One column of a text file of numbers: as it was written, compressed or not, in any encoding.

bytes  ->  lines  ->  dialect  ->  NumPy's reader, or, where lines are unusual, Python's, which also finds what is wrong
"""

import codecs
import csv
import gzip
import io
import itertools
import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np

from gatedrnn._check import fail
from gatedrnn._files import named
from gatedrnn._memory import readable
from gatedrnn.tasks._dialect import BLANKS, COMMENTS, NUMBER, Asked, Dialect, decimal_mark, detect, rows_of
from gatedrnn.tasks._names import Doubt, missing

MOST = 2**33  # bytes of text, decompressed
LONGEST = 2**24  # characters of a line
SAMPLE, LEAST = 2**16, 50  # characters and lines from which the dialect is found out
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
Find = Callable[[list[list[str]], int], int]
"""`(names, count) -> the column's number`."""


class _Unusual(Exception):
    """A line that does not split at its delimiters alone."""


def read_rows(path: Path, asked: Asked, find: Find, least: int = 1) -> np.ndarray:
    """One column of numbers, of at least so many.

    Raises:
        ValueError: the file is no text, its dialect is in doubt, or a cell is no finite number.
    """
    try:
        with _opened(path) as file:
            encoding = _encoding(file.read(SAMPLE), path)
        lines, whole = _beginning(path, encoding)
        dialect = detect(lines, whole, asked, least)
        column = find(dialect.names, dialect.width)
        decimal = asked.decimal or decimal_mark(dialect, column)
        if decimal == ".":
            try:
                return _fast(_lines(path, encoding), dialect, column)
            except (ValueError, _Unusual):
                pass  # said below with its line, or read after all
        return _slow(_lines(path, encoding), dialect, column, decimal, path)
    except Doubt as doubt:
        expected, got = doubt.args
        raise fail("series", expected, f"{named(path)}: {got}") from None
    except csv.Error as error:
        raise fail("series", "a CSV file", f"{named(path)}: {error}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise fail("series", "a whole gzip file", f"{named(path)}: {error}") from None


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def _encoding(head: bytes, path: Path) -> str:
    """Of the bytes with which a file begins; in all that are tried as single bytes, numbers are the same."""
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        for encoding, zeros, others in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
            if b"\0" not in others and zeros.count(0) > 0.9 * len(zeros):
                return encoding
        raise fail("series", "a text file", f"a binary one: a NUL byte at offset {head.index(0):,} of {named(path)}")
    for encoding in ("utf-8", "cp1252"):
        try:
            codecs.getincrementaldecoder(encoding)().decode(head)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines with their ends, of bounded length and number."""
    left = MOST
    with _opened(path) as binary:
        stream = io.TextIOWrapper(binary, encoding, "surrogateescape" if encoding == "utf-8" else "replace", newline="")
        for line in iter(lambda: stream.readline(LONGEST), ""):
            left -= len(line)
            if len(line) == LONGEST or left < 0:
                most = f"lines of at most {LONGEST:,} characters and {readable(MOST)} in all"
                raise fail("series", most, f"more in {named(path)}")
            yield line


def _beginning(path: Path, encoding: str) -> tuple[list[str], bool]:
    """The first lines, and whether they are all."""
    found, size, lines = [], 0, _lines(path, encoding)
    for line in lines:
        found.append(line)
        size += len(line)
        if size > SAMPLE and len(found) >= LEAST:
            return found, next(lines, None) is None
    return found, True


def _fast(lines: Iterator[str], dialect: Dialect, column: int) -> np.ndarray:
    """Raises ValueError for what is no finite number, _Unusual for a line that has other fields."""
    blanks = dialect.delimiter == BLANKS

    def kept() -> Iterator[str]:
        for line in itertools.islice(lines, dialect.skip, None):
            if line.isspace() or line.startswith(COMMENTS):
                continue
            count = len(line.split()) if blanks else line.count(dialect.delimiter) + 1
            if count != dialect.width or dialect.quote in line:
                raise _Unusual
            yield line

    delimiter = None if blanks else dialect.delimiter
    values = np.loadtxt(kept(), np.float64, comments=None, delimiter=delimiter, usecols=column, ndmin=1)
    if not values.size or not np.isfinite(values).all():
        raise ValueError
    return values


def _slow(lines: Iterator[str], dialect: Dialect, column: int, decimal: str, path: Path) -> np.ndarray:
    """Row by row."""
    swap = str.maketrans({",": ".", ".": ","} if decimal == "," else {})

    def values() -> Iterator[float]:
        for line, row in rows_of(lines, dialect.delimiter, dialect.quote):
            if line <= dialect.skip:
                continue
            if len(row) != dialect.width:
                got = f"{len(row)} in line {line:,} of {named(path)}"
                raise fail("series", f"{dialect.width} fields in every line, as in the first", got)
            cell = row[column].translate(swap)
            value = float(cell) if NUMBER.fullmatch(cell) else math.nan
            if not math.isfinite(value):
                got = f"{named(row[column][:60])} in line {line:,}, column {column} of {named(path)}"
                raise fail("series", _expected(row[column], decimal), got)
            yield value

    return np.fromiter(values(), np.float64)


def _expected(cell: str, decimal: str) -> str:
    """What a cell must be, and what to do where there is none."""
    if missing(cell):
        return "finite numbers, the missing ones filled in or their lines left out beforehand"
    return "finite numbers, with decimal commas" if decimal == "," else "finite numbers"
