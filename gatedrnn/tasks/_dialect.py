"""How a text file of numbers is written: what is beyond doubt is found out, what is not is asked for.

lines of the beginning  ->  delimiter  ->  rows  ->  lines of names  ->  decimal mark

A dialect is beyond doubt where no other one fits every line of the sample. Libraries that sniff choose the likeliest,
so that the lines `x`, `1,5`, `2,5` become two columns; here they are refused.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gatedrnn.tasks._names import Doubt, lines_of_names

NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_MARKED = {mark: re.compile(rf"\s*[+-]?(\d*)\{mark}(\d+)([eE][+-]?\d+)?\s*", re.ASCII) for mark in ".,"}
_GROUPED = re.compile(r"[1-9]\d{0,2}([, ]\d{3})+", re.ASCII)  # 1,234 and 1 234 567
_COMMA = re.compile(r"[+-]?(\d+|[1-9]\d{0,2}(\.\d{3})+),\d+([eE][+-]?\d+)?", re.ASCII)  # 1,5 and 1.234,5
STRONG = (";", "\t", "|")  # in no number and in no date
BLANKS = " "
COMMENTS = ("#", "%")
WORDS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "space": BLANKS, "pipe": "|"}
Row = tuple[int, list[str]]


class Asked(NamedTuple):
    """What the user said of a file; None: to be found out.

    Attributes:
        delimiter: between the fields of a line; a space stands for any number of blanks.
        decimal: the decimal mark.
        header: lines in front of the first row of numbers, comments and empty lines not counted.
    """

    delimiter: str | None = None
    decimal: str | None = None
    header: int | None = None


class Dialect(NamedTuple):
    """How a file is written.

    Attributes:
        delimiter: between fields; a space stands for any number of blanks.
        quote: around fields that hold a delimiter.
        skip: lines of the file in front of the first row.
        names: of the columns, a list for each line of names.
        rows: the first rows of numbers.
    """

    delimiter: str
    quote: str
    skip: int
    names: list[list[str]]
    rows: list[list[str]]

    @property
    def width(self) -> int:
        """Fields in each line."""
        return len(self.rows[0])


def rows_of(lines: Iterable[str], delimiter: str, quote: str) -> Iterator[Row]:
    """The number of each row's last line, from 1, and its fields; empty lines and comments are none."""
    kept = ("\n" if line.startswith(COMMENTS) else line for line in lines)
    if delimiter == BLANKS:
        yield from ((i, fields) for i, line in enumerate(kept, 1) if (fields := line.split()))
        return
    reader = csv.reader(kept, delimiter=delimiter, quotechar=quote, skipinitialspace=True)
    yield from ((reader.line_num, row) for row in reader if row and any(map(str.strip, row) if len(row) == 1 else row))


def detect(lines: Sequence[str], whole: bool, asked: Asked, least: int = 1) -> Dialect:
    """The dialect of which these lines are the beginning.

    Args:
        lines: with their ends.
        whole: whether they are all.
        asked: what need not be found out.
        least: fields that there must be, for the column that is asked for to be among them.

    Raises:
        Doubt: it is not beyond doubt.
    """
    text = "".join(line for line in lines if not line.startswith(COMMENTS))
    quote = "'" if '"' not in text and re.search(r"(^|[,;|\t])'", text) else '"'
    tried = _candidates(asked, quote in text)
    split = {delimiter: _sample(lines, whole, delimiter, quote) for delimiter in tried}
    told = asked.header or 0
    fitting = {delimiter: rows for delimiter, rows in split.items() if len({len(row) for _, row in rows[told:]}) == 1}
    delimiter = _choose(fitting, split, asked, least)
    rows = split[delimiter]
    if len(rows) <= told:
        raise Doubt("a file with at least one row of numbers", "none")
    cells = [row for _, row in rows]
    header = lines_of_names(cells, rows) if asked.header is None else told
    if header >= len(cells):
        raise Doubt("a file with at least one row of numbers", "none")
    names = [[name.strip() for name in row] for row in cells[:header] if len(row) == len(cells[header])]
    return Dialect(delimiter, quote, rows[header - 1][0] if header else 0, names, cells[header:])


def decimal_mark(dialect: Dialect, column: int) -> str:
    """The decimal mark of the rows; a mark with three digits behind it may stand between thousands.

    Raises:
        Doubt: the column's numbers may be either.
    """
    commas, points = (_marked(dialect.rows, mark) for mark in ",.")
    if any(commas.values()) and not any(points.values()):
        return ","
    doubtful = {} if any(points.values()) else commas or (points if dialect.delimiter == ";" else {})
    cell = next((row[column] for row in dialect.rows if row[column] in doubtful), None)
    if cell is not None:
        got = f"{cell.strip()[:40]!r}, which may be a decimal number or thousands"
        raise Doubt("a file of one meaning, or `decimal` given", got)
    return "."


def _marked(rows: list[list[str]], mark: str) -> dict[str, bool]:
    """The numbers with this mark, and whether it is beyond doubt that it is a decimal one."""
    found = {}
    for cell in (cell for row in rows for cell in row):
        if match := _MARKED[mark].fullmatch(cell):
            before, after, power = match.groups()
            found[cell] = len(after) != 3 or len(before) > 3 or before in ("", "0") or power is not None
    return found


def _candidates(asked: Asked, quoted: bool) -> tuple[str, ...]:
    if asked.delimiter is not None:
        return (asked.delimiter,)
    return (*STRONG, BLANKS) if asked.decimal == "," and not quoted else (*STRONG, ",", BLANKS)


def _sample(lines: Sequence[str], whole: bool, delimiter: str, quote: str) -> list[Row]:
    rows = list(rows_of(lines, delimiter, quote))
    return rows if whole else rows[:-1]  # the last one may go on


def _choose(fitting: dict[str, list[Row]], split: dict[str, list[Row]], asked: Asked, least: int) -> str:
    """The only delimiter that fits every line."""
    if not any(split.values()):
        raise Doubt("a file with at least one row of numbers", "none")
    several = [delimiter for delimiter, rows in fitting.items() if len(rows[-1][1]) > 1]
    strong = [delimiter for delimiter in STRONG if delimiter in several]
    if len(strong) > 1:
        raise Doubt("a file with one delimiter, or `delimiter` given", " and ".join(map(repr, strong)))
    if strong:
        return strong[0]
    if "," in several and asked.delimiter is None:
        _check_comma(split[","], split[BLANKS], asked, least)
        return ","
    if BLANKS in several and ("," not in split or "," in fitting):
        if asked.delimiter is None:
            _check_grouped(fitting[BLANKS])
        return BLANKS
    return next(iter(fitting if "," not in split else {","} & set(fitting)), None) or _ragged(
        {delimiter: rows for delimiter, rows in split.items() if delimiter not in fitting}, asked
    )


def _check_comma(rows: list[Row], unsplit: list[Row], asked: Asked, least: int) -> None:
    """Raises Doubt where every comma could be a decimal mark, or one between thousands."""
    told = asked.header or 0
    if asked.decimal is not None or any(len(row) == len(rows[-1][1]) for _, row in rows[:told]):
        return  # no line of names has a decimal mark
    body = [row for _, row in unsplit[told:]]
    lines, fields = [" ".join(row) for row in body], {len(row) for row in body}
    decimal = len(fields) == 1 and all(_COMMA.fullmatch(cell) for row in body for cell in row if "," in cell)
    grouped = all(map(_GROUPED.fullmatch, lines))
    for meant, what in ((decimal, "decimal commas"), (grouped, "commas between thousands")):
        if meant and min(fields) >= least:
            got = f"{lines[0][:40]!r} in line {rows[told][0]}, where commas may also be {what}"
            raise Doubt("a file of one meaning, or `delimiter` or `decimal` given", got)


def _check_grouped(rows: list[Row]) -> None:
    """Raises Doubt where every blank could stand between thousands."""
    body = [" ".join(fields) for _, fields in rows if any(map(NUMBER.fullmatch, fields))]
    if body and all(map(_GROUPED.fullmatch, body)):
        got = f"{body[0][:40]!r} in line {rows[-len(body)][0]}, where blanks may also stand between thousands"
        raise Doubt("a file of one meaning, or `delimiter` given", got)


def _ragged(split: dict[str, list[Row]], asked: Asked) -> str:
    """Raises Doubt with the first line that has other fields than the first, by the commonest that does not fit."""
    delimiter = max(split, key=lambda one: (sum(len(row) for _, row in split[one]), one != BLANKS))
    rows = split[delimiter][asked.header or 0 :]
    first = next(iter(rows), (0, []))
    line, row = next(((line, row) for line, row in rows if len(row) != len(first[1])), (0, []))
    if not line:
        raise Doubt("a file with at least one row of numbers", "none")
    got = f"{len(first[1])} in line {first[0]} and {len(row)} in line {line}, split at {delimiter!r}"
    raise Doubt("a file with as many fields in every line, or `delimiter`, `decimal` or `header` given", got)
