"""How many lines in front of a table are of names: found out where it is beyond doubt.

a word above numbers, nothing above an index: names        0, 1, 2 or years above numbers: in doubt
"""

import itertools
import re
from collections.abc import Sequence

_LIKE_NUMBER = re.compile(r"[+-]?[\d.,]*\d[\d.,]*([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
_MISSING = {"", "na", "n/a", "nan", "null", "none", "nil", "-", "--", "?", "missing", "inf", "+inf", "-inf"}


class Doubt(ValueError):
    """More than one dialect fits, or none: what must be so, and what came."""


def lines_of_names(rows: list[list[str]], numbered: Sequence[tuple[int, object]]) -> int:
    """How many rows are of names."""
    kinds = [[_kind(cell) for cell in row] for row in rows[:1000]]
    first, signs = kinds[0], _signs(kinds, 0, rows)
    where = f"{_shown(rows[0])} in line {numbered[0][0]}"
    doubt = Doubt("a file that says whether its first line is one of names, or `header` given (0 or 1)", where)
    if "number" in first:
        cells = [cell.strip() for cell, kind in zip(rows[0], first, strict=True) if kind == "number"]
        whole = [int(cell) for cell in cells if _WHOLE.fullmatch(cell)]
        if len(whole) < len(cells) or len(set(whole)) < len(whole):
            return 0  # no column has the name 1.5, and no two have one name
        if signs == 0:
            if set(first) == {"number"} and _like_names(whole, rows):
                raise doubt
            return 0
        if signs == 1 and not (_counted(whole) or _years(whole)):
            raise doubt
    elif "word" not in first:
        return 0
    header = 1
    while header < len(kinds) and "word" in kinds[header] and not {"number", "other"} & set(kinds[header]):
        signs = _signs(kinds, header, rows)
        if signs == 1:
            got = f"{_shown(rows[header])} in line {numbered[header][0]}"
            raise Doubt(f"a file without a second line of names, or `header` given ({header} or {header + 1})", got)
        if signs == 0:
            break
        header += 1
    return header


def _signs(kinds: list[list[str]], at: int, rows: list[list[str]]) -> int:
    """In how many columns this row is of another kind than all below: a word above numbers, nothing above an index."""
    count = 0
    for column, kind in enumerate(kinds[at]):
        below = {row[column] for row in kinds[at + 1 :]}
        plain = any(sort in below and below <= {sort, "missing"} for sort in ("number", "other"))
        if kind == "word":
            count += plain
        elif kind == "missing" and not rows[at][column].strip() and "missing" not in below and below:
            counter = all(row[column].strip() == str(i) for i, row in enumerate(rows[at + 1 :]))
            count += counter or "number" not in below
    return count


def _like_names(whole: list[int], rows: list[list[str]]) -> bool:
    """Whether a first row of whole numbers may be one of names: 0, 1, 2; years; or whole above decimals alone."""
    if len(rows) == 1:
        return False
    below = [cell for row in rows[1:] for cell in row]
    if not any(map(_WHOLE.fullmatch, map(str.strip, below))) and any("." in cell or "," in cell for cell in below):
        return len(whole) > 1 or whole[0] == 0 or _years(whole)
    if len(whole) > 1:
        return _counted(whole) or _years(whole)
    return _years(whole) and not any(_WHOLE.fullmatch(cell) and _years([int(cell)]) for cell in map(str.strip, below))


def _counted(whole: list[int]) -> bool:
    return whole == list(range(len(whole))) or (len(whole) > 2 and whole == list(range(1, len(whole) + 1)))


def _years(whole: list[int]) -> bool:
    return all(1500 <= year <= 2200 for year in whole) and len({b - a for a, b in itertools.pairwise(whole)}) <= 1


def _shown(row: list[str]) -> str:
    return repr(",".join(row[:8])[:60])


def missing(cell: str) -> bool:
    """Whether it stands for no number."""
    return cell.strip().lower() in _MISSING


def _kind(cell: str) -> str:
    cell = cell.strip()
    if missing(cell):
        return "missing"
    if _LIKE_NUMBER.fullmatch(cell):
        return "number"
    return "other" if cell[0].isdigit() else "word"  # a date, a time, a share
