"""The ratios of a random grid and the bars they are held to.

A ratio is our time by a peer's, below 1 where we are faster; of several peers, by the one whose median is the least.
"""

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.shared import Row, number, table
from benchmarks.speed.reading import fastest
from benchmarks.speed.systems import REFERENCE

XLA = (REFERENCE, "flax nnx")


class Bar(NamedTuple):
    """Wanted: the ratio is at most `ratio` in that share of the draws."""

    ratio: float
    share: float


class Question(NamedTuple):
    """A ratio that is asked of every draw.

    Attributes:
        name: as tables and pictures say it.
        kind: "forward" or "gradient".
        peers: whose fastest is taken.
        bars: what is wanted.
    """

    name: str
    kind: str
    peers: tuple[str, ...]
    bars: tuple[Bar, ...]


QUESTIONS = (
    Question("forward, to plain `lax.scan`", "forward", (REFERENCE,), (Bar(1.05, 0.95), Bar(1.15, 1.0))),
    Question("forward + backward, to the fastest XLA peer", "gradient", XLA, (Bar(0.8, 0.5), Bar(1.0, 0.95))),
    Question("forward + backward, to torch.nn", "gradient", ("torch.nn",), (Bar(1.0, 0.8),)),
)


def by_draw(rows: Iterable[Row]) -> list[dict[str, Row]]:
    """For each draw its rows by system."""
    groups: dict[int, dict[str, Row]] = {}
    for row in rows:
        groups.setdefault(row["draw"], {})[row["system"]] = row
    return list(groups.values())


def ratio_of(draw: dict[str, Row], question: Question) -> float:
    """The answer of one draw."""
    name, _ = fastest(draw, question.kind, question.peers)
    answer: float = draw[name][question.kind]["ratio"]
    return answer


def share_within(ratios: Sequence[float], bar: Bar) -> float:
    """The share of the ratios that are at most the bar's."""
    return statistics.mean(each <= bar.ratio for each in ratios)


def shares_table(rows: Iterable[Row]) -> str:
    """A line for each of `QUESTIONS`; what is wanted stands in brackets."""
    header = ("gatedrnn's time", "draws", "median", "95th percentile", "worst", "of the draws (wanted)")
    draws = by_draw(rows)
    lines = []
    for question in QUESTIONS:
        ratios = [ratio_of(draw, question) for draw in draws]
        told = [statistics.median(ratios), float(np.quantile(ratios, 0.95)), max(ratios)]
        within = [
            f"at most {bar.ratio:.2f} in {share_within(ratios, bar):.0%} ({bar.share:.0%})" for bar in question.bars
        ]
        lines.append((question.name, str(len(ratios)), *(number(each, ".2f") for each in told), ", ".join(within)))
    return table(header, lines)
