"""Where a training is, from its tests: on the plateau of the answer without memory, off it, at its goal, or lost.

untested     no test yet
diverged     the last test has a loss that is not finite
learned      the loss is at its target, or a tenth of that of the answer without memory
left         it is at most 95 % of that
above        it is more than ten times that, and is not coming down any more
plateau      it is none of these
"""

import itertools
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from gatedrnn.train._metrics import Row

OFF, LEARNED = 0.95, 0.1
"""Of the loss without memory: what is off the plateau, and what has learned."""
HIGH = 10  # times the loss without memory, at which a loss counts as lost
LAST = 4  # tests from which a trend is read at least
FALL = 0.01  # by which the loss falls in a tenth of the updates made, at least, where it is still falling
Place = Literal["untested", "diverged", "above", "plateau", "left", "learned"]


class Course(NamedTuple):
    """One seed's way.

    Attributes:
        place: where it is.
        updates: at the last test; 0 before the first.
        loss: there, on held-out data; NaN before the first.
        train_loss: over the updates before it.
        best: the smallest test loss.
        best_at: the update of that test.
        left_at: the first of the tests off the plateau at the end; None where the last one is on it.
        finite_at: the last test whose losses were finite; 0 where there was none.
        trend: slope of ln(test loss) per update over the last quarter of the tests; NaN below four of them. A loss
            above that without memory counts as that: to come down to it is not to leave it.
        error: its standard error.
        step: the same between the last two tests; NaN below two of them.
    """

    place: Place
    updates: int
    loss: float
    train_loss: float
    best: float
    best_at: int
    left_at: int | None
    finite_at: int
    trend: float
    error: float
    step: float


def course(rows: Sequence[Row], without_memory: float, target: float | None = None) -> Course:
    """Of the rows of one seed, in order.

    Args:
        rows: its tests.
        without_memory: the loss of the best answer without memory, on the same tests.
        target: the test loss that was asked for.
    """
    if not rows:
        return Course("untested", 0, math.nan, math.nan, math.nan, 0, None, 0, *3 * (math.nan,))
    last = rows[-1]
    finite = [row for row in rows if math.isfinite(row.test_loss) and math.isfinite(row.train_loss)]
    counted = [row._replace(test_loss=min(row.test_loss, without_memory)) for row in finite]
    off = list(itertools.takewhile(lambda row: row.test_loss <= OFF * without_memory, reversed(finite)))
    best = min(finite, key=lambda row: row.test_loss, default=last)
    return Course(
        _place(finite, last, without_memory, target),
        last.step,
        last.test_loss,
        last.train_loss,
        best.test_loss,
        best.step,
        off[-1].step if off else None,
        finite[-1].step if finite else 0,
        *_trend(_recent(counted)),
        _slope(*counted[-2:]) if len(counted) > 1 else math.nan,
    )


def steadily_falls(trend: float, error: float, updates: int) -> bool:
    """Whether a loss of this trend, with this standard error, is surely falling, and by what counts."""
    return -trend * updates / 10 >= FALL and trend + 2 * error < 0


def _place(finite: Sequence[Row], last: Row, without_memory: float, target: float | None) -> Place:
    if not (math.isfinite(last.test_loss) and math.isfinite(last.train_loss)):
        return "diverged"
    if last.test_loss <= (LEARNED * without_memory if target is None else target):
        return "learned"
    if last.test_loss <= OFF * without_memory:
        return "left"
    return "above" if last.test_loss > HIGH * without_memory > 0 and not _comes_down(finite) else "plateau"


def _comes_down(rows: Sequence[Row]) -> bool:
    """Whether the loss itself is still falling; of few tests, whether it is below that of the first; of one, yes."""
    if len(rows) < 2:
        return True  # too early to say
    trend, error = _trend(_recent(rows))
    if math.isnan(trend):
        return rows[-1].test_loss < rows[0].test_loss
    return steadily_falls(trend, error, rows[-1].step)


def _recent(rows: Sequence[Row]) -> Sequence[Row]:
    """The last quarter, or as many as a trend is read from."""
    return rows[-max(LAST, len(rows) // 4) :]


def _slope(before: Row, after: Row) -> float:
    positive = before.test_loss > 0 and after.test_loss > 0
    return math.log(after.test_loss / before.test_loss) / (after.step - before.step) if positive else math.nan


def _trend(rows: Sequence[Row]) -> tuple[float, float]:
    """Least-squares slope of ln(test loss), and its standard error."""
    if len(rows) < LAST or any(row.test_loss <= 0 for row in rows):
        return math.nan, math.nan
    steps = np.array([row.step for row in rows], np.float64)
    logs = np.log([row.test_loss for row in rows])
    centred = steps - steps.mean()
    spread = np.square(centred).sum()
    slope = float((centred * logs).sum() / spread)
    left = logs - logs.mean() - slope * centred
    return slope, math.sqrt(float(np.square(left).sum()) / (len(rows) - 2) / spread)
