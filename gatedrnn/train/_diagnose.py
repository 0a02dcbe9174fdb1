"""The evidence on one seed of a training: its course, its first and last weights, and others to begin with."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gatedrnn import flow
from gatedrnn.flow._scalars import USABLE
from gatedrnn.flow.forecast import Forecast
from gatedrnn.models import ModelParams
from gatedrnn.tasks._marks import answers_of
from gatedrnn.train._course import course
from gatedrnn.train._evidence import Evidence, Tried
from gatedrnn.train._measured import (
    Sequences,
    arriving,
    keeping_bias,
    measured,
    sequences,
    without_memory,
    writable,
)
from gatedrnn.train._metrics import Row
from gatedrnn.train._replay import Stability, rise, stability
from gatedrnn.train._setup import Setup
from gatedrnn.train._state import TrainState, init

PARTS = 3  # of all that is measured


def evidence(
    setup: Setup,
    start: TrainState,
    state: TrainState,
    rows: Sequence[Row],
    seed: int,
    *,
    steps: int,
    target: float | None = None,
    test_every: int = 50,
    test_batches: int = 4,
    others: Iterable[tuple[Mapping[str, Any], Setup]] = (),
    on_measure: Callable[[int, int, str], object] = lambda done, total, label: None,
) -> Evidence:
    """Measures one seed of a training.

    Args:
        setup: what was trained, with an `Optimiser` of a fixed learning rate.
        start: before the first update, [1, ...].
        state: that of the last checkpoint, [1, ...].
        rows: its tests.
        seed: its number, from which the weights of others are drawn.
        steps: updates that were asked for.
        target: as given to `fit`, like the next two.
        test_every: updates between tests.
        test_batches: of a test.
        others: what else could have been begun with, by the options that make it; taken only where it would help.
        on_measure: called with how much is done, of how much, and what comes next.
    """
    bar = without_memory(setup, test_batches)
    way = course(rows, bar, target)
    first, last = (jax.tree.map(lambda a: a[0], each.params) for each in (start, state))
    finite = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(last))
    made = int(state.step[0])
    on = sequences(setup)
    on_measure(0, PARTS, "first weights")
    begun = measured(setup, first, on)
    on_measure(1, PARTS, "last weights")
    now = None if not finite else begun if made == 0 else measured(setup, last, on)
    tried: list[Tried] = []
    bias, found = None, Stability()
    on_measure(2, PARTS, "what would help")
    if way.place == "diverged":
        found = stability(setup, start, state, way.updates, bar)
    if way.place == "above":
        risen = rise(setup, start, way.updates, bar, test_every)
        way, found = (way._replace(place="plateau"), found) if risen is None else (way, risen)
    if way.place in ("plateau", "left") and now is not None:
        lost = now.gradient is not None and now.gradient < -USABLE
        if lost or (now.units == 0 and way.place == "plateau"):
            tried = [_tried(options, other, seed, on) for options, other in others]
        bias = keeping_bias(setup, first, on) if lost else None
    on_measure(PARTS, PARTS, "done")
    return Evidence(
        course=way,
        without_memory=bar,
        lag=on.lag,
        horizon=setup.horizon,
        batch=setup.batch,
        rule=setup.optimiser.rule.__name__,
        rate=setup.optimiser.learning_rate,
        clip=setup.optimiser.clip,
        made=made,
        budget=steps,
        test_every=test_every,
        target=target,
        generated=not jax.tree.leaves(setup.task.data),
        keeps=setup.cell.keeps,
        first=begun,
        last=now,
        forecast=_forecast(setup, first, on),
        tried=tuple(tried),
        bias=bias,
        failed_at=found.failed_at,
        stable=found.rate,
        since=found.since,
        until=found.until,
    )


def _forecast(setup: Setup, params: ModelParams, on: Sequences) -> Forecast | None:
    """Of first weights: for Adam, and for tasks of which some steps matter and others do not."""
    found, cell = on.marks, setup.cell
    if found is None or not cell.factored or setup.optimiser.rule.__name__ != "adam":
        return None
    if len(found.marked) < 2 or not len(found.unmarked):
        return None
    return flow.forecast(
        cell,
        params.cell,
        on.xs[:, : on.rows],
        found.lags + 1,  # to the carry before each
        jnp.asarray(found.marked),
        jnp.asarray(found.unmarked),
        batch=setup.batch,
        learning_rate=setup.optimiser.learning_rate,
        answers=answers_of(setup.task.name),
    )


def _tried(options: Mapping[str, Any], setup: Setup, seed: int, on: Sequences) -> Tried:
    """Its first weights, on sequences of the same task."""
    params = jax.tree.map(lambda a: a[0], init(setup, (seed,)).params)
    return Tried(options, arriving(setup, params, on)[0], writable(setup, params, on)[0])


def median_seed(rows: Sequence[Row]) -> int:
    """The seed whose last test loss is the median, the worse of two in the middle; of rows of several."""
    last = {row.seed: row.test_loss if math.isfinite(row.test_loss) else math.inf for row in rows}
    return sorted(last, key=lambda seed: last[seed])[len(last) // 2]
