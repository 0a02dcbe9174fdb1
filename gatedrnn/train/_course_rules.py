"""Rules of a diagnosis that read the course of the tests alone: still falling, overfitting, come back up."""

import math

from gatedrnn.train._course import LEARNED, steadily_falls
from gatedrnn.train._evidence import Change, Evidence, Finding
from gatedrnn.train._numbers import brief, rounded_up

SUDDEN = 0.8  # of the loss one test before, at which it has just begun to fall
BACK = 1.5  # times its best, at which a loss has come back up
GAP = 1.1  # by which a test loss is above its best, and above the training's, where a model overfits


def falling(e: Evidence) -> Finding | None:
    """The loss was still falling at the last test: steadily, or by a fifth since the one before."""
    course = e.course
    steady = steadily_falls(course.trend, course.error, course.updates)
    sudden = course.best_at == course.updates and course.step * e.test_every <= math.log(SUDDEN)
    if not (steady or sudden):
        return None
    pace = -course.step if sudden else -course.trend
    half = course.loss / 2
    if e.target is None:
        goal = max(LEARNED * e.without_memory, half)
    else:
        goal = e.target if e.target > 0 else half  # none below zero is ever reached: no loss is the last
    more = math.log(course.loss / goal) / pace
    steps = course.updates + e.test_every * math.ceil(min(more, course.updates) / e.test_every)
    says = f"The loss was still falling at the last test, by {-math.expm1(-100 * pace):.1%} per 100 updates."
    reach = f"At that pace it is at {brief(goal)} after {course.updates + more:,.0f} updates."
    reach += " As many again, to begin with." if more > course.updates else ""
    return Finding("falling", says, (Change(reach, resume=max(steps, e.budget)),))


def overfits(e: Evidence) -> Finding | None:
    """Tests get worse while the training does not."""
    course = e.course
    apart = course.loss > GAP * course.best and course.loss > GAP * course.train_loss
    if e.generated or not apart or course.best_at == course.updates:
        return None
    says = (
        f"The test loss was best at update {course.best_at:,}, {brief(course.best)}, and is {brief(course.loss)} now, "
        f"beside a training loss of {brief(course.train_loss)}: what was learned since holds of its data alone."
    )
    return Finding("overfits", says, (Change(f"End at update {course.best_at:,}.", {"steps": course.best_at}),))


def fell_back(e: Evidence) -> Finding | None:
    """The loss has been much lower, and the training's is not any more either."""
    course = e.course
    lower = course.loss > BACK * course.best and course.train_loss > BACK * course.best / GAP
    if not e.was_off or not lower:
        return None
    says = (
        f"The test loss was {brief(course.best)} at update {course.best_at:,} and has come back up to "
        f"{brief(course.loss)}: the updates are too large to stay there."
    )
    target = rounded_up(course.best, 4)
    end = Change("The same again ends at its best with a target.", {"target": target})
    return Finding("fell back", says, (Change("A quarter of the learning rate.", {"rate": e.rate / 4}), end))
