"""The course of a training as rows, in memory and in a file that a spreadsheet or a program reads."""

import csv
import io
import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from gatedrnn._check import fail
from gatedrnn._files import check_regular
from gatedrnn._output import check_free, whole_files

KINDS = (".csv", ".jsonl")


class Row(NamedTuple):
    """One test of one seed.

    Attributes:
        step: updates made before it.
        seed: whose.
        train_loss: mean over the updates since the last test.
        test_loss: on held-out data; NaN, which reaches no target, where nothing is asked there.
        test_accuracy: share of right answers there.
    """

    step: int
    seed: int
    train_loss: float
    test_loss: float
    test_accuracy: float


def check_name(path: Path) -> None:
    """Raises ValueError where the name says neither CSV nor JSONL."""
    if path.suffix not in KINDS:
        raise fail("metrics", f"a file whose name ends in {' or '.join(KINDS)}", repr(str(path)))


class MetricsFile:
    """A CSV or JSONL file that grows by rows.

    Args:
        path: its place.
        rows: those of a resumed run, which it starts anew from.
        own: whether what is there may be replaced; a file that holds these rows, or the first of them, may, too.

    Raises:
        ValueError: the file's name ends in neither, or another file is there.
    """

    def __init__(self, path: str | Path, rows: Sequence[Row], own: bool) -> None:
        self.path = Path(path)
        check_name(self.path)
        self._head = _csv(Row._fields) if self.path.suffix == ".csv" else ""
        self._begun = self._head + "".join(map(self._line, rows))
        check_free("metrics", [self.path], {}, force=own or self._holds_these_rows())

    def begin(self) -> None:
        """Writes the rows that there are; raises ValueError where that cannot be done."""
        with whole_files(self.path.parent, "metrics") as draft:
            (draft / self.path.name).write_text(self._begun, encoding="utf-8")

    def append(self, rows: Iterable[Row]) -> None:
        """Writes more of them; raises ValueError where that cannot be done."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(map(self._line, rows)))
        except OSError as error:
            raise fail("metrics", "a file that can be written to", f"{str(self.path)!r}: {error.strerror}") from None

    def _holds_these_rows(self) -> bool:
        """Some of them, and no others before them."""
        try:
            check_regular(self.path, sys.maxsize)
            with self.path.open("rb") as file:
                found = file.read(len(self._begun))
        except (OSError, ValueError):
            return False
        return len(found) > len(self._head) and self._begun.encode().startswith(found)

    def _line(self, row: Row) -> str:
        if self.path.suffix == ".csv":
            return _csv(row)
        plain = {name: value if math.isfinite(value) else None for name, value in row._asdict().items()}
        return json.dumps(plain) + "\n"


def _csv(values: Iterable[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()
