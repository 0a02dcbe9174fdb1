"""Why a training is where it is, and what to change: rules from measured numbers to a finding with its remedy.

rule(evidence) -> Finding | None        pure; a threshold stands once, and every number of a remedy is computed
"""

import math
from collections.abc import Callable

import numpy as np

from gatedrnn._words import counted
from gatedrnn.flow._scalars import USABLE
from gatedrnn.train._course_rules import falling, fell_back, overfits
from gatedrnn.train._evidence import ADAPTIVE, Change, Evidence, Finding, Tried
from gatedrnn.train._lost_rules import above, diverged
from gatedrnn.train._numbers import brief, power, rounded_up

MOSTLY = 0.9  # share of the gradients beyond the clip at which it decides how far updates go
USUAL = {"adam": 0.01, "rmsprop": 0.01, "sgd": 1.0}  # learning rates up to which one is raised
FROZEN = 0.5  # share of units whose gate never moves
NOISY = 0.5  # of |mean| / sd, in every leaf
HELPS = 1.0  # decades of gradient by which other first weights are better, at least
WIDEST = 16  # times the batch that is asked for


def findings(evidence: Evidence) -> list[Finding]:
    """What explains it, the most telling first; one that says so where nothing does."""
    found = [each for rule in RULES[evidence.course.place] if (each := rule(evidence)) is not None]
    return found or [unexplained(evidence)]


def untested(e: Evidence) -> Finding | None:
    """Too early to say."""
    says = f"{counted(e.made, 'update')} made at the last checkpoint, and a test comes after every {e.test_every:,}."
    return Finding("untested", says)


def learned(e: Evidence) -> Finding | None:
    """Fine."""
    return Finding("learned", "It has learned: nothing needs to be changed.")


def slow(e: Evidence) -> Finding | None:
    """The updates made cannot have moved a weight by the size that weights have."""
    if not e.at_hand < e.first.weight or _by_its_clip(e):
        return None
    rule = {"adam": "Adam", "rmsprop": "RMSprop"}.get(e.rule, "Gradient descent")
    says = (
        f"{rule} can have moved a weight by {brief(e.at_hand)} in {counted(e.made, 'update')} at a learning rate of "
        f"{e.rate:g}: less than the {brief(e.first.weight)} that weights have at first."
    )
    if not e.at_hand > 0:
        return Finding("slow", says)
    usual = USUAL.get(e.rule, e.rate)
    rate = max(e.rate, min(usual, rounded_up(e.rate * e.aim / e.at_hand)))
    steps = e.test_every * math.ceil(e.made * e.aim / (e.at_hand * rate / e.rate) / e.test_every - 1e-6)
    change = f"It can be moved by {brief(e.aim)} in {max(steps, e.budget):,} updates at a learning rate of {rate:g}."
    if rate == e.rate:
        return Finding("slow", says, (Change(change, resume=max(steps, e.budget)),))
    return Finding("slow", says, (Change(change, {"rate": rate} | ({"steps": steps} if steps > e.budget else {})),))


def clipped(e: Evidence) -> Finding | None:
    """The same of plain gradient descent where it is the clip that keeps updates short."""
    if not e.at_hand < e.first.weight or not _by_its_clip(e):
        return None
    norms = [*e.first.norms, *(() if e.last is None else e.last.norms)]
    says = (
        f"{e.clipped:.0%} of the gradients are clipped to {e.clip:g}, of a median norm of "
        f"{brief(float(np.median(norms)))}: {counted(e.made, 'update')} can have moved a weight by "
        f"{brief(e.at_hand)}, less than the {brief(e.first.weight)} that weights have at first."
    )
    clip = rounded_up(float(np.quantile(norms, 0.9)))
    return Finding("clipped", says, (Change(f"A clip of {clip:g} lets nine in ten pass as they are.", {"clip": clip}),))


def _by_its_clip(e: Evidence) -> bool:
    return e.clip is not None and e.rule not in ADAPTIVE and e.clipped >= MOSTLY


def exploding(e: Evidence) -> Finding | None:
    """The gradient grows a thousandfold on its way to the lag."""
    if e.last is None or e.last.gradient is None or e.lag is None or not e.last.gradient > USABLE:
        return None
    says = f"On its way {counted(e.lag, 'step')} back the gradient grows to {power(e.last.gradient)} of its size."
    if e.clip is None:
        clip = rounded_up(e.first.norm)
        return Finding("exploding", says, (Change("Clip it at the size that it has at first.", {"clip": clip}),))
    return Finding(
        "exploding", says, (Change("Clipped it is already: a tenth of the learning rate.", {"rate": e.rate / 10}),)
    )


def vanishing(e: Evidence) -> Finding | None:
    """Less than a thousandth of the gradient arrives at the lag, and off the plateau the loss is not falling anyway."""
    if e.last is None or e.last.gradient is None or e.lag is None or not e.last.gradient < -USABLE:
        return None
    if e.course.place == "left" and falling(e):
        return None
    says = f"{counted(e.lag, 'step')} back {power(e.last.gradient)} of the gradient arrives: "
    says += "nothing is learned from there."
    if e.last.scales is not None:
        says += (
            f" Units keep their state for {brief(e.last.scales[0])} steps, the longest for {brief(e.last.scales[1])}."
        )
    if e.rule in ADAPTIVE and e.at_hand < e.to_last:
        says += f" The bias of the longest has to move by {brief(e.to_last)}, and can have moved by {brief(e.at_hand)}."
    best = _best(e.tried)
    helps = best is not None and best.gradient is not None and best.gradient > e.last.gradient + HELPS
    changes = [_begun_otherwise(best)] if best is not None and helps else []
    if e.bias is not None:
        gate = e.keeps.removeprefix("1 - ")
        bias = e.bias if gate == e.keeps else -e.bias
        changes.append(Change(f"Solved on this task: with a bias of {bias:.1f} in all {gate} gates a tenth arrives."))
    return Finding("vanishing", says, tuple(changes))


def unwritable(e: Evidence) -> Finding | None:
    """No unit can be written by the steps that matter."""
    if e.last is None or e.lag is None or e.last.units != 0 or e.last.ratio is None:
        return None
    says = "No unit can be written by the steps that matter and by nothing else, and keep it: "
    if e.last.ratio > 0:
        says += f"of those that keep, the best takes in {brief(e.last.ratio)} of what {e.horizon:,} other steps add."
    else:
        says += f"none keeps a tenth for {counted(e.lag, 'step')}."
    best = _best(e.tried)
    return Finding("unwritable", says, (_begun_otherwise(best),) if best is not None and best.units else ())


def _best(tried: tuple[Tried, ...]) -> Tried | None:
    """Of what was tried: gradient that arrives first, then units, then how much arrives."""

    def worth(one: Tried) -> tuple[bool, int, float]:
        decades = -math.inf if one.gradient is None else one.gradient
        return decades >= -USABLE, one.units or 0, decades

    return max(tried, key=worth, default=None)


def _begun_otherwise(best: Tried) -> Change:
    """To begin with other weights."""
    parts = [] if best.gradient is None else [f"{power(best.gradient)} of the gradient arrives"]
    parts += [] if best.units is None else [f"{counted(best.units, 'unit')} can be written"]
    words = " ".join(f"--{name} {value}" for name, value in best.options.items())
    return Change(f"Measured of first weights with {words}: {' and '.join(parts)}.", best.options)


def saturated(e: Evidence) -> Finding | None:
    """A gate that training has driven to where it never moves."""
    if e.last is None:
        return None
    before = e.first.frozen
    worst = {name: share for name, share in e.last.frozen.items() if share > FROZEN >= before.get(name, 0.0)}
    if not worst:
        return None
    name = max(worst, key=lambda name: worst[name])
    says = (
        f"The {name} gate of {worst[name]:.0%} of the units, {before.get(name, 0.0):.0%} at first, is within 0.01 of 0 "
        f"or 1 at every step: hardly any gradient passes there."
    )
    change = Change("Training has driven it there: a tenth of the learning rate.", {"rate": e.rate / 10})
    return Finding("saturated", says, (change,))


def noisy(e: Evidence) -> Finding | None:
    """The mean of the gradient is lost in what batches differ by, in every leaf, though it could be used."""
    if vanishing(e) or unwritable(e):
        return None
    known = [] if e.last is None else [value for value in e.last.signal.values() if value is not None]
    if e.last is None or not known or max(known) >= NOISY:
        return None
    best, least = max(known), len(e.last.norms) ** -0.5
    told = f"is {brief(best)} of" if best > least else f"is not told, by {len(e.last.norms)} batches, from none beside"
    says = f"In every weight the gradient's mean {told} what batches of {e.batch:,} differ by."
    batch = e.batch * math.ceil(min(WIDEST, max(best, least) ** -2))
    return Finding(
        "noisy", says, (Change(f"With batches of {batch:,} they differ by as much less.", {"batch": batch}),)
    )


def unexplained(e: Evidence) -> Finding:
    """Nothing that was measured."""
    parts = []
    if e.last is not None and e.last.gradient is not None and e.lag is not None:
        parts.append(f"{power(e.last.gradient)} of the gradient arrives {counted(e.lag, 'step')} back")
    if e.last is not None and e.last.units:
        parts.append(f"{counted(e.last.units, 'unit')} can be written by what matters")
    parts.append(f"updates can have moved a weight by {brief(e.at_hand)}")
    plateau = e.course.place == "plateau"
    where = "has stopped falling" if e.course.place == "left" else "is where it is"
    says = f"Nothing that is measured here explains why the loss {where}: {'; '.join(parts)}."
    steps = max(2 * e.course.updates, e.budget)
    change = Change("Nothing speaks against going on: as many updates again.", resume=steps)
    return Finding("unexplained", says, (change,) if plateau else ())


Rule = Callable[[Evidence], Finding | None]
RULES: dict[str, tuple[Rule, ...]] = {
    "untested": (untested,),
    "diverged": (diverged,),
    "above": (above,),
    "plateau": (fell_back, slow, clipped, exploding, vanishing, unwritable, saturated, noisy),
    "left": (fell_back, overfits, falling, slow, clipped, vanishing, saturated),
    "learned": (learned,),
}
"""Which are asked where, in order."""
