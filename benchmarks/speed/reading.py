"""The record of speed, read."""

import json
from collections.abc import Iterable, Iterator

from benchmarks.shared import RESULTS, Row


def speed_record() -> Row:
    """What `benchmarks.speed` measured."""
    record: Row = json.loads((RESULTS / "speed.json").read_text())
    return record


def made_by(record: Row, part: str) -> Row:
    """Versions, device and limit of the run that measured a part: the record's, or that of the part taken anew."""
    found: Row = record.get("again", {}).get(part, record)
    return found


def size_of(row: Row) -> str:
    """B D H T."""
    return " ".join(f"{row[letter]:,}" for letter in "BDHT")


def by_problem(record: Row) -> Iterator[dict[str, Row]]:
    """For each cell and size of the record, its rows by system."""
    groups: dict[tuple[str, str], dict[str, Row]] = {}
    for row in record["rows"]:
        groups.setdefault((row["cell"], size_of(row)), {})[row["system"]] = row
    yield from groups.values()


def fastest(rows: dict[str, Row], kind: str, names: Iterable[str]) -> tuple[str, float]:
    """The name and the milliseconds of the fastest of some systems."""
    times = {name: rows[name][kind]["ms"] for name in names if name in rows and rows[name][kind] is not None}
    name = min(times, key=lambda name: times[name])
    return name, times[name]
