"""Cells and sizes drawn at random, so that nobody has chosen those that suit.

cell     one of rnn, gru, lstm
B D H T  log-uniform between two bounds, rounded

A draw is kept where plain `lax.scan` under `jax.grad` is expected to stay within a limit of bytes and one of seconds,
G gates, float32:

bytes    4 B T (D + (3 + 2 G) H)                inputs, outputs, cotangents, and the gates and carries that are kept
seconds  6 B T G H (D + H) / RATE               three products, forward and back
         + T (16 G H (D + H) / TRAFFIC + STEP)  weights read twice, their gradient read and written; a step's overhead
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from benchmarks.speed.problem import Size
from benchmarks.speed.systems import COMMON
from gatedrnn.cells import CLASSICS

RATE = 40e9  # multiplications and additions per second, low for two cores
TRAFFIC = 10e9  # bytes per second between a core and memory
STEP = 20e-6  # seconds to start a step's operations, forward and back


class Limits(NamedTuple):
    """What is drawn from, and what of it is kept."""

    least: Size
    most: Size
    bytes: float
    seconds: float


class Draw(NamedTuple):
    """A cell's name, and a size."""

    cell: str
    size: Size


WHOLE = Limits(Size(1, 1, 8, 8), Size(256, 512, 1_024, 20_000), 4e9, 3.0)
QUICK = Limits(Size(1, 1, 8, 8), Size(3, 4, 12, 30), 1e6, 0.1)


def expected(draw: Draw) -> tuple[float, float]:
    """Bytes and seconds of forward + backward, by the formulas above."""
    (batch, width, hidden, steps), gates = draw.size, len(CLASSICS[draw.cell].gates)
    weights = gates * hidden * (width + hidden)
    per_step = 6 * batch * weights / RATE + 16 * weights / TRAFFIC + STEP
    return 4.0 * batch * steps * (width + (3 + 2 * gates) * hidden), steps * per_step


def drawn(seed: int, count: int, limits: Limits) -> list[Draw]:
    """The first `count` draws of a seed that are within the limits."""
    return list(islice(_kept(seed, limits), count))


def _kept(seed: int, limits: Limits) -> Iterator[Draw]:
    rng = np.random.default_rng(seed)
    least, most = np.log(limits.least), np.log(limits.most)
    while True:
        cell = COMMON[rng.integers(len(COMMON))]
        draw = Draw(cell, Size(*(round(each) for each in np.exp(rng.uniform(least, most)).tolist())))
        size, seconds = expected(draw)
        if size <= limits.bytes and seconds <= limits.seconds:
            yield draw
