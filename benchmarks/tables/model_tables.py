"""Whole models beside those of other frameworks, from the record of `python -m benchmarks.models`."""

import json

from benchmarks.models.__main__ import RECORD
from benchmarks.shared import Row, number, table
from benchmarks.tables.durations import BUSY

HEADER = (
    *("their model", "ours by", "outputs, gradients differ by"),
    *("theirs, ms", "ours, ms", "ratio", "theirs, MB", "ours, MB"),
)


def models_table() -> str:
    """A row per peer, and a line about what was measured; before there is a record, how one is made."""
    if not RECORD.exists():
        return "`python -m benchmarks.models` measures this table; there is no record of it yet."
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    rows = [_row(row) for row in record["rows"]]
    size = " ".join(f"{letter} {value}" for letter, value in record["size"].items())
    beside = " beside other work" if record["load"] > BUSY else ""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    told = f"{size}; medians of {record['turns']} turns; {record['device']['cores']} cores{beside}. {versions}."
    return f"{table(('', *HEADER), rows)}\n\n{told}"


def _row(row: Row) -> tuple[str, ...]:
    theirs, ours = row["theirs"], row["ours"]
    differ = ", ".join(number(row["errors"][what], ".0e") for what in ("outputs", "gradients"))
    times = [number(side["ms"], ",.0f") for side in (theirs, ours)]
    memory = [None if side["temp_bytes"] is None else side["temp_bytes"] / 1e6 for side in (theirs, ours)]
    ratio = number(ours["ms"] / theirs["ms"], ".2f")
    return (row["peer"], row["model"], row["here"], differ, *times, ratio, *(number(each, ",.0f") for each in memory))
