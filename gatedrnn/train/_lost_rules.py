"""Rules of a diagnosis of a training that is lost: its loss is not finite, or far above the answer without memory.

rate -> the largest smaller one with which the same updates keep the loss low            tried, where it could be
"""

import math

from gatedrnn._words import counted
from gatedrnn.train._course import HIGH
from gatedrnn.train._course_rules import overfits
from gatedrnn.train._evidence import Change, Evidence, Finding
from gatedrnn.train._numbers import brief


def diverged(e: Evidence) -> Finding | None:
    """The loss is not finite: a smaller rate."""
    course = e.course
    at = f"between updates {course.finite_at:,} and {course.updates:,}"
    if e.failed_at is not None:
        at = f"at update {e.failed_at:,}"
    says = f"The loss stopped being finite {at}, with a learning rate of {e.rate:g}."
    again = f"Run again, it stays finite for {counted(e.until, 'update')}"
    change = _smaller(e) or _tenth(e, again if e.until else "There is no finite state to try others from")
    return Finding("diverged", says + _norm(e), (change,))


def above(e: Evidence) -> Finding | None:
    """The loss is finite, far above that without memory, and stays there: a smaller rate.

    But where that of the training is not, and its data have an end, what it has learned holds of these alone.
    """
    if e.failed_at is None and not e.generated and e.course.train_loss <= HIGH * e.without_memory:
        return overfits(e)
    rate = f"with a learning rate of {e.rate:g}"
    if e.failed_at is None:
        times = brief(e.course.loss / e.without_memory)
        says = f"The loss is {times} times that without memory, {rate}, and is not coming down any more."
    else:
        rose = f"rose far above that without memory at update {e.failed_at:,}"
        was = "was far above that without memory before the first update"
        says = f"The loss {rose if e.failed_at > 1 else was}, {rate}, and is not coming down any more."
    low = (
        f"Run again, it stays low for {counted(e.until, 'update')}"
        if e.until
        else "An update is too long to be run again"
    )
    return Finding("above", says + _norm(e), (_smaller(e) or _tenth(e, low),))


def _norm(e: Evidence) -> str:
    """That of the gradient at the last checkpoint, beside the clip."""
    if e.last is None or not math.isfinite(e.last.norm):
        return ""
    clip = "nothing clips it" if e.clip is None else f"the clip is at {e.clip:g}"
    return f" At update {e.made:,}, the last checkpoint, the gradient's norm is {brief(e.last.norm)}; {clip}."


def _tenth(e: Evidence, untried: str) -> Change:
    """A guess, where no smaller rate was tried."""
    return Change(f"{untried}: a tenth.", {"rate": e.rate / 10})


def _smaller(e: Evidence) -> Change | None:
    """The rate with which the loss stays low; None where none was tried."""
    if e.failed_at is None:
        return None
    over = "from the beginning" if e.since == 0 else f"from update {e.since:,} on"
    if 0 < e.until < e.course.updates:
        over = f"for {counted(e.until, 'update')}"
    if e.stable is not None:
        return Change(f"With {e.stable:g} the loss stays low, {over}.", {"rate": e.stable})
    return Change(f"With no smaller one that was tried it stays low, {over}.")
