"""When runs of a record left their plateau, to within a twelfth: trained once more, and tested as closely as that.

A record tests every 10 to 200 updates, and many a run leaves its plateau before the first test. Here it begins anew
from the same seed. From the last test of the record before any left, the loss on 192 held-out sequences (64, where they
are long) is taken after every update, then every 8 % of those made, until it has left; or until the record says that it
had, if it now does not, since sums may be rounded in another order.
"""

import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp

import gatedrnn as gr
from gatedrnn.train._state import advance

LEFT = 0.75  # of the loss of the best answer without memory
CLOSE = 0.08  # of the updates made lie between two tests
SEQUENCES, LONG = 192, 20_000  # of a test, at least, a third from so many steps on
LONGEST = 200_000  # steps of a sequence, beyond which an update takes too long to be made twice

Tests = Mapping[int, list[tuple[int, float]]]
"""By seed: the updates made, and the test loss as a share of that of the best answer without memory."""


def between(tests: list[tuple[int, float]]) -> tuple[int, int | None]:
    """The last test before the first at which the plateau is left, and that one; None where it never is."""
    before = 0
    for step, share in tests:
        if share <= LEFT:
            return before, step
        before = step
    return before, None


def far_apart(tests: list[tuple[int, float]]) -> bool:
    """Whether the run left between two tests that leave open when, by more than a seventh."""
    before, until = between(tests)
    return until is not None and until > max(before + 1, 1.15 * before)


def closer(setup: gr.train.Setup, tests: Tests, chance: float) -> Tests:
    """The tests with closer ones in the place of those of every run that left between two that are far apart."""
    far = {seed: between(found) for seed, found in tests.items() if far_apart(found)}
    if not far or setup.horizon > LONGEST:
        return tests
    step, last = min(before for before, _ in far.values()), max(until or 0 for _, until in far.values())
    ahead = jax.jit(functools.partial(advance, setup))
    state = ahead(gr.train.init(setup, far), jnp.array(step))
    made = tested(setup, state, chance, {seed: [] for seed in far}, step)
    while step < last and any(between(found)[1] is None for found in made.values()):
        count = max(1, round(CLOSE * step))
        state, step = ahead(state, jnp.array(count)), step + count
        made = tested(setup, state, chance, made, step)
    return {**tests, **{seed: found for seed, found in made.items() if between(found)[1] is not None}}


def tested(setup: gr.train.Setup, state: gr.train.TrainState, chance: float, made: Tests, step: int) -> Tests:
    """With one more test of every seed."""
    sequences = SEQUENCES if setup.horizon <= LONG else SEQUENCES // 3
    losses = gr.train.measure(setup, state.params, math.ceil(sequences / setup.batch)).loss.tolist()
    return {seed: [*found, (step, loss / chance)] for (seed, found), loss in zip(made.items(), losses, strict=True)}
