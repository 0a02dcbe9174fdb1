"""The course of a training as rows, in memory and in a file that a spreadsheet or a program reads."""

import csv
import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from gatedrnn._check import fail

KINDS = (".csv", ".jsonl")


class Row(NamedTuple):
    """One test of one seed.

    Attributes:
        step: updates made before it.
        seed: whose.
        train_loss: mean over the updates since the last test.
        test_loss: on held-out data.
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
    """A CSV or JSONL file that grows by rows; it starts anew from the rows that a resumed run already has.

    Raises:
        ValueError: the file's name ends in neither, or it cannot be written to.
    """

    def __init__(self, path: str | Path, rows: Iterable[Row]) -> None:
        self.path = Path(path)
        check_name(self.path)
        head = _csv(Row._fields) if self.path.suffix == ".csv" else ""
        draft = self.path.with_name(f".{self.path.name}.partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(head + "".join(map(self._line, rows)), encoding="utf-8")
            draft.replace(self.path)
        except OSError as error:
            raise fail("metrics", "a file that can be written to", f"{str(path)!r}: {error.strerror}") from None

    def append(self, rows: Iterable[Row]) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(map(self._line, rows)))
        except OSError as error:
            raise fail("metrics", "a file that can be written to", f"{str(self.path)!r}: {error.strerror}") from None

    def _line(self, row: Row) -> str:
        if self.path.suffix == ".csv":
            return _csv(row)
        plain = {name: value if math.isfinite(value) else None for name, value in row._asdict().items()}
        return json.dumps(plain) + "\n"


def _csv(values: Iterable[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()
