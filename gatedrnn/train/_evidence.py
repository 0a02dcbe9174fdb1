"""What is known of a training, as numbers: what the rules of a diagnosis read, and what they give.

at hand    rate * updates of Adam; rate * updates * min(norm, clip) of gradient descent       how far a weight can move
lasting    logit(10^(-1 / lag))                                                             the bias that keeps a tenth
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gatedrnn._words import counted
from gatedrnn.flow.forecast import Forecast
from gatedrnn.train._course import Course
from gatedrnn.train._measured import Measured
from gatedrnn.train._numbers import brief

BEYOND = 1e9  # sequences, more than anyone trains on
OFF_FOR_SURE = 0.75  # of the loss without memory
ADAPTIVE = {"adam": 1.0, "rmsprop": 10**0.5}
"""Rules whose updates do not grow with the gradient: how many learning rates one can move a weight."""


class Change(NamedTuple):
    """What to do.

    Attributes:
        says: what, and what it is computed from.
        options: of a new training, by the names of the settings.
        resume: updates in all, where this training is to go on.
    """

    says: str
    options: Mapping[str, Any] = {}
    resume: int | None = None


class Finding(NamedTuple):
    """What explains it.

    Attributes:
        name: of the rule.
        says: the numbers in a sentence or two.
        changes: what to do, the first one first.
    """

    name: str
    says: str
    changes: tuple[Change, ...] = ()


class Tried(NamedTuple):
    """Other first weights: what options make of the gradient at the lag, and how many units can be written."""

    options: Mapping[str, Any]
    gradient: float | None
    units: int | None


@dataclass(frozen=True)
class Evidence:
    """All that the rules read.

    Attributes:
        course: of one seed.
        without_memory: the loss of the best answer without memory, on the tests.
        lag: the steps over which something has to be remembered; None where much can be learned nearby.
        horizon: T.
        batch: B.
        rule: adam, rmsprop or sgd.
        rate: the learning rate.
        clip: the largest norm; None for no clipping.
        made: updates made by the last checkpoint.
        budget: updates asked for.
        test_every: updates between tests.
        target: the test loss asked for, or None.
        generated: whether there is no end of training data.
        keeps: the gate by which units keep, "" for none.
        first: weights as the training began.
        last: as the last checkpoint has them; None where they are not finite.
        forecast: of the first weights; None of a task, cell or rule that it is not for.
        tried: other first weights.
        bias: of the gate that keeps, at which a tenth of the gradient arrives; None where it was not looked for.
        failed_at: the first update whose loss is not finite, or is far above that without memory, where that was found.
        stable: a smaller rate with which the loss stays low.
        since: the update from which smaller rates were tried.
        until: that up to which; 0 where none was.
    """

    course: Course
    without_memory: float
    lag: int | None
    horizon: int
    batch: int
    rule: str
    rate: float
    clip: float | None
    made: int
    budget: int
    test_every: int
    target: float | None
    generated: bool
    keeps: str
    first: Measured
    last: Measured | None
    forecast: Forecast | None = None
    tried: tuple[Tried, ...] = ()
    bias: float | None = None
    failed_at: int | None = None
    stable: float | None = None
    since: int = 0
    until: int = 0

    @property
    def was_off(self) -> bool:
        """Whether the loss has been a quarter below that without memory, which is no luck of a test."""
        return self.course.best <= OFF_FOR_SURE * self.without_memory

    @property
    def clipped(self) -> float:
        """The share of measured gradients beyond the clip, first and last."""
        norms = [norm for each in (self.first, self.last) if each is not None for norm in each.norms]
        return float(np.mean([self.clip is not None and norm > self.clip for norm in norms]))

    @property
    def at_hand(self) -> float:
        """How far the updates made can have moved one weight, at most."""
        if self.rule in ADAPTIVE:
            return ADAPTIVE[self.rule] * self.rate * self.made
        norm = max(each.norm for each in (self.first, self.last) if each is not None)
        return self.rate * self.made * (norm if self.clip is None else min(norm, self.clip))

    @property
    def aim(self) -> float:
        """How far a learning rate should be able to move one: a gate by a factor of e, or what `to_last` says."""
        return max(1.0, 0.0 if self.tried else self.to_last)

    @property
    def to_last(self) -> float:
        """How far the bias of the unit that lasts longest has to move for it to last; 0 where it does."""
        if self.lag is None or self.first.scales is None:
            return 0.0
        return max(0.0, bias_for(self.lag) - bias_of(self.first.scales[1]))


def headline(e: Evidence) -> str:
    """Where it is, in one sentence."""
    course = e.course
    if course.place == "untested":
        return "Not tested yet."
    if course.place == "diverged":
        return f"Diverged: the loss of the last test, at update {course.updates:,}, is not finite."
    word = {
        "above": "Above the answer without memory",
        "plateau": "On the plateau",
        "left": "Off the plateau",
        "learned": "Learned",
    }[course.place]
    if course.place == "plateau" and e.was_off:
        word = "Back on the plateau"
    elif course.left_at is not None:
        word += f"{', off the plateau' if course.place == 'learned' else ''} since update {course.left_at:,}"
    return (
        f"{word}: the test loss is {brief(course.loss)} after {counted(course.updates, 'update')}; the best answer "
        f"without memory has {brief(e.without_memory)} on the same tests."
    )


def foretold(e: Evidence) -> str | None:
    """What was to be expected of the first weights, beside what they were given."""
    if e.forecast is None:
        return None
    given = counted(e.made * e.batch, "sequence")
    if not e.forecast.low < BEYOND:
        return f"Forecast of its first weights: on the plateau for more than a billion sequences; it has had {given}."
    interval = f"{brief(e.forecast.low)} to {brief(e.forecast.high)} sequences"
    return f"Forecast of its first weights: off the plateau after {interval}; it has had {given}."


def bias_for(lag: int) -> float:
    """The pre-activation of a gate that keeps a tenth over the lag: logit(10^(-1 / lag))."""
    return -math.log(math.expm1(math.log(10) / max(lag, 1)))


def bias_of(steps: float) -> float:
    """That of a gate with this time scale: logit(exp(-1 / steps))."""
    if steps <= 0:
        return -math.inf
    return math.inf if math.isinf(steps) else -math.log(math.expm1(min(1 / steps, 700.0)))
