"""The loops of an optimised program, read off its text.

Parameters, tuples, bitcasts and constants cost nothing and are left out. A fusion is one operation, whatever it
computes.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

FREE = ("parameter", "get-tuple-element", "tuple", "bitcast", "constant")
KINDS = ("fusions", "copies", "products", "concatenations", "others")
OPCODES = {"fusion": "fusions", "call": "fusions", "copy": "copies", "dot": "products", "concatenate": "concatenations"}


class Loop(NamedTuple):
    """An innermost loop.

    Attributes:
        runs: how often its body runs in a call of the program; None where XLA does not say.
        counts: its operations by kind, see `KINDS`.
    """

    runs: int | None
    counts: Counter[str]


def computations(text: str) -> tuple[str, dict[str, list[str]]]:
    """The name of the entry computation of an HLO module, and the lines of every computation."""
    lines: dict[str, list[str]] = {}
    entry = name = ""
    for line in text.splitlines():
        if head := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            name = head[2]
            entry = name if head[1] else entry
            lines[name] = []
        elif name:
            lines[name].append(line)
    return entry, lines


def innermost(text: str) -> list[Loop]:
    """Every loop of an optimised HLO module that has no loop in it."""
    entry, lines = computations(text)

    def kind(line: str) -> str | None:
        found = re.match(r"\s+(?:ROOT )?%?[\w.\-]+ = (?:\(.*?\)|\S+) ([\w\-]+)\(", line)
        if not found or found[1] in FREE:
            return None
        called = re.findall(r"(?:calls|to_apply)=%?([\w.\-]+)", line)
        if any(kind(inner) == "products" for name in called for inner in lines[name]):
            return "products"
        return OPCODES.get(found[1], "others")

    def walk(name: str, runs: int | None) -> Iterator[Loop]:
        for line in lines[name]:
            if body := re.search(r"body=%?([\w.\-]+)", line):
                count = re.search(r'"known_trip_count":\{"n":"(\d+)"', line)
                inside = runs * int(count[1]) if runs is not None and count else None
                deeper = list(walk(body[1], inside))
                yield from deeper or [Loop(inside, Counter(filter(None, map(kind, lines[body[1]]))))]
            elif called := re.search(r" call\(.* to_apply=%?([\w.\-]+)", line):
                yield from walk(called[1], runs)

    return list(walk(entry, 1))
