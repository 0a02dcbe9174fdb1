"""The course of a training, from made-up tests: its place, its trend, and how numbers are told."""

import math

import numpy as np
import pytest

from gatedrnn._words import counted
from gatedrnn.train import Row
from gatedrnn.train._course import course
from gatedrnn.train._numbers import brief, power, rounded_up


def row(step, test, train=0.2):
    return Row(step, 0, train, test, 0.0)


@pytest.mark.parametrize(
    ("losses", "target", "place", "left_at"),
    [
        ([], None, "untested", None),
        ([0.2], None, "plateau", None),
        ([0.1901], None, "plateau", None),
        ([0.19], None, "left", 10),
        ([0.2, 0.18, 0.021], None, "left", 20),
        ([0.2, 0.18, 0.02], None, "learned", 20),
        ([0.2, 0.18, 0.02], 0.01, "left", 20),
        ([0.2, 0.18, 0.05], 0.05, "learned", 20),
        ([0.2, 0.18, 0.2], None, "plateau", None),
        ([0.18, 0.2, 0.18, 0.17], None, "left", 30),
        ([0.2, math.inf], None, "diverged", None),
        ([math.nan], None, "diverged", None),
        ([2.1], None, "plateau", None),  # of one test nothing is said
        ([2.0], None, "plateau", None),
        ([9.0, 9.0], None, "above", None),
        ([9.0, 8.9], None, "plateau", None),
        ([0.1, 9.0, 2.1], None, "above", None),
        ([30.0, 31.0, 29.0, 30.0], None, "above", None),
        ([1.0, 1.01, 0.99, 1.0], None, "plateau", None),
        ([90.0, 40.0, 19.0, 9.0], None, "plateau", None),  # which comes down
        ([90.0, 40.0, 19.0, 9.0], 10.0, "learned", None),
        ([0.3, 90.0, 20.0, 9.0, 30.0, 5.0, 6.0], None, "above", None),  # by no more than it goes up and down
        ([90.0, math.nan, 40.0, 19.0, 9.0], None, "plateau", None),
    ],
)
def test_places(losses, target, place, left_at):
    """By the last test, against 0.2 without memory."""
    found = course([row(10 * i, loss) for i, loss in enumerate(losses, 1)], 0.2, target)
    assert (found.place, found.left_at) == (place, left_at)


def test_a_loss_that_hardly_comes_down():
    """By 0.9 % of itself, or 1.1, in a tenth of the updates; of a loss without memory that is zero nothing is said."""
    falls = lambda share: [row(i, 30 * math.exp(-share * i / 2)) for i in range(1, 21)]
    assert [course(falls(share), 0.2).place for share in (0.009, 0.011)] == ["above", "plateau"]
    assert course(falls(0.0), 0.0).place == "plateau"


def test_trend():
    """Slope and standard error of the last quarter's logarithms, by NumPy's polynomial fit; the best and the last."""
    losses = np.exp(-0.01 * np.arange(20) + 0.05 * np.sin(np.arange(20)))
    rows = [row(5 * i, float(loss)) for i, loss in enumerate(losses, 1)] + [row(105, math.nan)]
    assert abs(course(rows, 0.01).trend) < 1e-12  # all above that without memory
    found = course(rows, 2.0)
    steps, logs = np.array([80, 85, 90, 95, 100.0]), np.log(losses[-5:])
    (slope, _), covariance = np.polyfit(steps, logs, 1, cov=True)
    assert (found.trend, found.error) == pytest.approx((slope, math.sqrt(covariance[0, 0])), rel=1e-6)
    assert found.step == pytest.approx((logs[-1] - logs[-2]) / 5)
    assert (found.place, found.finite_at, found.updates) == ("diverged", 100, 105)
    assert (found.best, found.best_at) == (min(losses), 5 * (int(np.argmin(losses)) + 1))


def test_numbers():
    """As they are printed."""
    assert [brief(value) for value in (0.01234, 12345.0, math.inf, 1e10)] == ["0.0123", "12,345", "inf", "1e+10"]
    assert [power(value) for value in (-31.24, -0.5, -math.inf)] == ["10^-31.2", "0.32", "none"]
    assert [rounded_up(value) for value in (0.0031, 0.003, 9.1, 0.0)] == [0.004, 0.003, 10.0, 0.0]
    assert (rounded_up(0.123412, 4), counted(1, "unit"), counted(2000, "step")) == (0.1235, "1 unit", "2,000 steps")
