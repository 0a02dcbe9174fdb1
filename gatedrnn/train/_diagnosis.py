"""Why a training is where it is, and what to change: rules from measured numbers to a finding with its remedy.

rule(evidence) -> Finding | None        pure; a threshold stands once, and every number of a remedy is computed
"""

import math
from collections.abc import Callable

import numpy as np

from gatedrnn.flow._scalars import USABLE
from gatedrnn.train._evidence import ADAPTIVE, Change, Evidence, Finding
from gatedrnn.train._numbers import brief, power, rounded_up

MOSTLY = 0.9  # share of the gradients beyond the clip at which it decides how far updates go
FROZEN = 0.5  # share of units whose gate never moves
NOISY = 0.5  # of |mean| / sd, in every leaf
FALL = 0.01  # by which the loss falls in a tenth of the updates made, at least, where it is still falling
BACK = 1.5  # times its best, at which a loss has come back up
GAP = 1.1  # by which a test loss is above its best, and above the training's, where a model overfits


def findings(evidence: Evidence) -> list[Finding]:
    """What explains it, the most telling first; one that says so where nothing does."""
    course = evidence.course
    found = [each for rule in RULES.get(course.place, ()) if (each := rule(evidence)) is not None]
    if not found and course.place in ("plateau", "left"):
        found = [unexplained(evidence)]
    return found


def diverged(e: Evidence) -> Finding | None:
    """The loss is not finite."""
    course = e.course
    at = f"after update {course.finite_at:,} and by update {course.updates:,}"
    if e.failed_at is not None:
        at = f"at update {e.failed_at:,}"
    says = f"The loss stopped being finite {at}, with a learning rate of {e.rate:g}."
    if e.last is not None:
        clip = "nothing clipped it" if e.clip is None else f"the clip is at {e.clip:g}"
        says += f" At the last checkpoint, update {e.made:,}, the gradient's norm is {brief(e.last.norm)}; {clip}."
    if e.stable is not None:
        change = f"With a learning rate of {e.stable:g} it stays finite from the last checkpoint on, twice as long."
        return Finding("diverged", says, (Change(change, {"rate": e.stable}),))
    least = e.rate / (1_000 if e.replayed else 10)
    why = "A hundredth of the learning rate does not help any more at the last checkpoint: begin anew with less."
    return Finding(
        "diverged", says, (Change(why if e.replayed else "Begin anew with a tenth of it.", {"rate": least}),)
    )


def vanishing(e: Evidence) -> Finding | None:
    """On the plateau, and less than a thousandth of the gradient arrives at the lag."""
    if e.last is None or e.last.gradient is None or e.lag is None or not e.last.gradient < -USABLE:
        return None
    size = power(e.last.gradient)
    says = f"{e.lag:,} steps back, where what matters is, {size} of the gradient arrives: nothing is learned from there."
    if e.last.scales is not None:
        says += f" Units keep their state for {brief(e.last.scales[0])} steps; the longest for {brief(e.last.scales[1])}."
    if e.rule in ADAPTIVE and e.at_hand < e.to_last:
        says += f" The bias of the longest has to move by {brief(e.to_last)}, and {brief(e.at_hand)} is the most it can."
    changes = [_begun_otherwise(e)] if e.tried else []
    if e.bias is not None:
        gate = e.keeps.removeprefix("1 - ")
        sign = "-" if gate != e.keeps else ""
        changes.append(Change(f"Solved on this task: with a bias of {sign}{e.bias:.1f} in every {gate} gate a tenth arrives."))
    return Finding("vanishing", says, tuple(changes))


def unwritable(e: Evidence) -> Finding | None:
    """On the plateau, and no unit can be written by the steps that matter."""
    if e.last is None or e.last.units != 0 or e.last.ratio is None:
        return None
    says = (
        f"No unit that lasts can be written by the steps that matter and by nothing else: what they write into the best "
        f"is {brief(e.last.ratio)} of what {e.horizon:,} other steps add."
    )
    return Finding("unwritable", says, (_begun_otherwise(e),) if e.tried else ())


def _begun_otherwise(e: Evidence) -> Change:
    """The best of what was tried: units first, where they count, then gradient."""
    arrives = lambda tried: tried.gradient is not None and tried.gradient >= -USABLE
    order = lambda tried: (arrives(tried), tried.units or 0, -math.inf if tried.gradient is None else tried.gradient)
    best = max(e.tried, key=order)
    parts = [] if best.gradient is None else [f"{power(best.gradient)} of the gradient arrives"]
    if best.units is not None:
        parts.append(f"{best.units} unit{'' if best.units == 1 else 's'} can be written")
    words = " ".join(f"--{name} {value}" for name, value in best.options.items())
    return Change(f"Measured of first weights with {words}: {' and '.join(parts)}.", best.options)


def slow(e: Evidence) -> Finding | None:
    """The updates made cannot have moved a weight by the size that weights have."""
    if not e.at_hand < e.first.weight or _by_its_clip(e):
        return None
    rule = {"adam": "Adam", "rmsprop": "RMSprop"}.get(e.rule, "Gradient descent")
    says = (
        f"{rule} can have moved a weight by {brief(e.at_hand)} in {e.made:,} updates at a learning rate of {e.rate:g}: "
        f"less than the {brief(e.first.weight)} that weights have at first."
    )
    rate = rounded_up(e.rate * e.aim / e.at_hand) if e.at_hand > 0 else 10 * e.rate
    change = Change(f"With {rate:g} they can move it by {brief(e.aim)}.", {"rate": rate})
    return Finding("slow", says, (change,))


def clipped(e: Evidence) -> Finding | None:
    """The same of plain gradient descent where it is the clip that keeps updates short."""
    if not e.at_hand < e.first.weight or not _by_its_clip(e):
        return None
    norms = [*e.first.norms, *(() if e.last is None else e.last.norms)]
    says = (
        f"{e.clipped:.0%} of the gradients are clipped to {e.clip:g} (their median norm is "
        f"{brief(float(np.median(norms)))}): {e.made:,} updates can have moved a weight by {brief(e.at_hand)}, less than "
        f"the {brief(e.first.weight)} that weights have at first."
    )
    clip = rounded_up(float(np.quantile(norms, 0.9)))
    return Finding("clipped", says, (Change(f"A clip of {clip:g} lets nine in ten pass as they are.", {"clip": clip}),))


def _by_its_clip(e: Evidence) -> bool:
    return e.clip is not None and e.rule not in ADAPTIVE and e.clipped >= MOSTLY


def saturated(e: Evidence) -> Finding | None:
    """Gates that never move, other than those that keep or write by their initialisation."""
    if e.last is None:
        return None
    worst = {name: share for name, share in e.last.frozen.items() if share > FROZEN >= e.first.frozen.get(name, 0)}
    if not worst:
        return None
    name = max(worst, key=lambda name: worst[name])
    says = (
        f"The {name} gate is within 0.01 of 0 or 1 at every step in {worst[name]:.0%} of the units, "
        f"and was in {e.first.frozen.get(name, 0):.0%} at first: no gradient passes it."
    )
    rate = e.rate / 10
    return Finding("saturated", says, (Change("Training drove it there: a tenth of the learning rate.", {"rate": rate}),))


def exploding(e: Evidence) -> Finding | None:
    """The gradient grows on its way back."""
    if e.last is None or e.last.gradient is None or e.lag is None or not e.last.gradient > USABLE:
        return None
    says = f"The gradient grows to {power(e.last.gradient)} of its size on its way {e.lag:,} steps back."
    if e.clip is not None:
        return Finding("exploding", says, (Change("A tenth of the learning rate.", {"rate": e.rate / 10}),))
    return Finding("exploding", says, (Change("Clip it at its usual size.", {"clip": rounded_up(e.first.norm)}),))


def noisy(e: Evidence) -> Finding | None:
    """The mean of the gradient is lost in what batches differ by, in every leaf."""
    known = [] if e.last is None else [value for value in e.last.signal.values() if value is not None]
    if not known or max(known) >= NOISY:
        return None
    best = max(known)
    floor = 1 / math.sqrt(len(e.last.norms)) if e.last is not None else 1.0
    told = f"is {brief(best)} of" if best > 0 else f"cannot be told from a {round(1 / floor)}th of"
    says = f"In every weight the mean gradient {told} what batches of {e.batch:,} differ by."
    batch = e.batch * math.ceil(min(16.0, 1 / max(best, floor) ** 2))
    return Finding("noisy", says, (Change(f"With a batch of {batch:,} it would be as large.", {"batch": batch}),))


def falling(e: Evidence) -> Finding | None:
    """The loss was still falling at the last test."""
    course = e.course
    fall = -course.trend * course.updates / 10
    if not (fall >= FALL and course.trend + 2 * course.error < 0):
        return None
    goal = e.target if e.target is not None and e.target > 0 else course.loss / 2
    more = math.log(course.loss / goal) / -course.trend
    every = e.test_every
    steps = course.updates + every * math.ceil(min(more, course.updates) / every)
    hundred = -math.expm1(100 * course.trend)
    says = f"The loss is still falling, by {hundred:.2%} per 100 updates."
    reach = f"At this pace it is at {brief(goal)} after {course.updates + more:,.0f} updates."
    return Finding("falling", says, (Change(reach, resume=max(steps, e.budget)),))


def overfits(e: Evidence) -> Finding | None:
    """Tests get worse while the training does not."""
    course = e.course
    apart = course.loss > GAP * course.best and course.loss > GAP * course.train_loss
    if e.generated or not apart or course.best_at == course.updates:
        return None
    says = (
        f"The test loss was best at update {course.best_at:,} ({brief(course.best)}) and is {brief(course.loss)} now, while "
        f"the training loss is {brief(course.train_loss)}: what is learned since then holds of the training data alone."
    )
    change = Change(f"End at update {course.best_at:,}.", {"steps": course.best_at})
    return Finding("overfits", says, (change,))


def fell_back(e: Evidence) -> Finding | None:
    """The loss has been much lower, and the training's is high as well."""
    course = e.course
    if not course.loss > BACK * course.best or not course.train_loss > BACK * course.best / GAP:
        return None
    if course.left_at is None:
        return None
    says = f"The test loss was {brief(course.best)} at update {course.best_at:,} and has come back up to {brief(course.loss)}."
    changes = (
        Change("To end at its best:", {"target": rounded_up(course.best, 4)}),
        Change("Or try a quarter of the learning rate.", {"rate": e.rate / 4}),
    )
    return Finding("fell back", says, changes)


def learned(e: Evidence) -> Finding | None:
    """Fine."""
    return Finding("learned", "It has learned; nothing needs to be changed.")


def untested(e: Evidence) -> Finding | None:
    """Too early."""
    says = f"There is no test yet: {e.made:,} updates are made, and a test comes after every {e.test_every:,}."
    return Finding("untested", says)


def unexplained(e: Evidence) -> Finding:
    """Nothing that was measured."""
    parts = []
    if e.last is not None and e.last.gradient is not None and e.lag is not None:
        parts.append(f"gradient arrives from {e.lag:,} steps back ({power(e.last.gradient)})")
    if e.last is not None and e.last.units:
        parts.append(f"{e.last.units} units can be written by what matters")
    parts.append(f"updates can have moved a weight by {brief(e.at_hand)}")
    where = "is on the plateau" if e.course.place == "plateau" else "does not fall any more"
    says = f"Nothing that is measured here explains why the loss {where}: {'; '.join(parts)}."
    steps = max(2 * e.course.updates, e.budget)
    change = Change("Nothing measured speaks against going on: as many updates again.", resume=steps)
    return Finding("unexplained", says, (change,) if e.course.place == "plateau" else ())


Rule = Callable[[Evidence], Finding | None]
RULES: dict[str, tuple[Rule, ...]] = {
    "untested": (untested,),
    "diverged": (diverged,),
    "plateau": (fell_back, slow, clipped, exploding, vanishing, unwritable, saturated, noisy),
    "left": (fell_back, overfits, falling, slow, clipped, saturated),
    "learned": (learned,),
}
"""Which are asked where, in order."""


def headline(e: Evidence) -> str:
    """Where it is, in one sentence."""
    course = e.course
    bar = f"the best answer without memory has {brief(e.without_memory)} on the same tests"
    if course.place == "untested":
        return "Not tested yet."
    if course.place == "diverged":
        return f"Diverged: the last test, at update {course.updates:,}, has a loss that is not finite."
    if course.place == "plateau":
        fell = "Back on the plateau" if course.left_at is not None else "On the plateau"
        return f"{fell}: the test loss is {brief(course.loss)} after {course.updates:,} updates; {bar}."
    word = "Learned" if course.place == "learned" else "Off the plateau"
    left = "" if course.left_at is None else f" since update {course.left_at:,}"
    return f"{word}{left}: the test loss is {brief(course.loss)} after {course.updates:,} updates; {bar}."
