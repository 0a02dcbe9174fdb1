"""The records of training, read: what counts as learned, and when it was."""

import json
import statistics
from collections.abc import Iterator, Sequence

from benchmarks.shared import RESULTS, Row, number

PUBLISHED = {
    "adding-10000": "LEM, 128 units, batch 50: below 0.01 at 1,900 (Rusch 2022)",
    "adding-100000": "none",
    "adding-1000000": "none",
    "adding-writable": "none",
    "copy-1000": "LSTM 0.0204, chance (Bai 2018)",
    "adding-600": "LSTM 0.164, GRU 5.3e-5, RNN 0.177 (Bai 2018)",
    "adding-750": "LSTM: chrono about 7 times fewer updates than bias 1 (Tallec, Ollivier 2018)",
    "temporal-order": "LSTM, T = 100 to 110: 31,390 sequences for two symbols, 571,100 for three (Hochreiter, "
    "Schmidhuber 1997)",
    "temporal-order-1997": "the same with 156 and 308 weights, 1 and 2 of 2,560 wrong",
}
"""What others report for the records with a target."""
MARK = 0.01  # a loss that counts as learned
OWN_MARK = ("adding-100000",)  # where it is the loss that each entry was to reach
MARGIN = 0.02
BELOW_CHANCE = ("copy-1000",)  # whose mark is the loss without memory, as what is published is just that


def records() -> Iterator[tuple[str, Row]]:
    """The records of training that there are, by name."""
    for path in sorted((RESULTS / "records").glob("*.json")):
        yield path.stem, json.loads(path.read_text())


def entries(name: str) -> list[Row]:
    """The entries of a record of training; none where it was not taken."""
    path = RESULTS / "records" / f"{name}.json"
    found: list[Row] = json.loads(path.read_text())["entries"] if path.exists() else []
    return found


def first_below(entry: Row, mark: float) -> dict[int, int | None]:
    """For each seed the updates at its first test at or below a loss."""
    found: dict[int, int | None] = dict.fromkeys(row["seed"] for row in entry["rows"])
    for row in reversed(entry["rows"]):
        if row["test_loss"] <= mark:
            found[row["seed"]] = row["step"]
    return found


def learned_at(name: str, entry: Row) -> float:
    """The loss that counts as learned."""
    if name in BELOW_CHANCE:
        return float((1 - MARGIN) * entry["chance"])
    return float(entry["target"]) if name in OWN_MARK else MARK


def spread(values: Sequence[float], form: str) -> str:
    """The median, and the least and the largest where they are written otherwise."""
    middle, least, most = (number(of(values), form) for of in (statistics.median, min, max))
    return middle if least == most else f"{middle} ({least} to {most})"
