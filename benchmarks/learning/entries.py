"""What a line of a record trains, and the parts that its setups are made of."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import optax

import gatedrnn as gr
from benchmarks.shared import Row
from gatedrnn._writable import LATCHES
from gatedrnn.cells import CLASSICS
from gatedrnn.tasks import _copying as copying, sentences

Units = Callable[[gr.Cell, gr.tasks.Task], int]
"""H of a cell for a task."""
Tests = tuple[tuple[str, gr.tasks.Task, int], ...]
"""After training: name, task, T."""
WRITABLE_UPDATES = 100
"""Of adding by units made writable."""


@dataclass(frozen=True)
class Entry:
    """One line of a record: a setup, its budget and its seeds."""

    label: str
    setup: gr.train.Setup
    steps: int
    seeds: tuple[int, ...]
    target: float | None = None
    test_every: int = 50
    test_batches: int = 4
    tests: Tests = ()
    test_batch: int | None = None  # B of those, where it is not the training's
    analysis: Callable[[gr.train.Setup, gr.models.ModelParams], Row] | None = None  # of the trained weights [S, ...]
    seconds: float | None = None  # a limit on training


def for_horizon(cell: gr.Cell, horizon: int) -> dict[str, Any]:
    """The option of the cell's `init` that sets its gates for a horizon; none where it has no such gates."""
    return {cell.horizon_option: horizon} if cell.horizon_option else {}


def adding(horizon: int, cell: gr.Cell, options: dict[str, Any], **sizes: Any) -> gr.train.Setup:
    """Adam 1e-2, clipping 1, 32 units, 16 sequences."""
    return gr.train.Setup(gr.tasks.adding, cell, horizon, cell_options=options, **sizes)


def wide_adding(horizon: int) -> gr.train.Setup:
    """chrono closes the input gates to 1 / T. Drawn eight times as wide, some are opened by the marks at once."""
    options = {**for_horizon(gr.lstm, horizon), "input_init": gr.initializers.gaussian(8.0)}
    setup = adding(horizon, gr.lstm, options, method=gr.Checkpointed(), batch=4)
    return replace(setup, optimiser=gr.train.Optimiser(optax.adam, 2e-2, 1.0))


def writable_adding(horizon: int, cell: gr.Cell) -> gr.train.Setup:
    """Eight units for each of the two features, whose gates only it opens: nothing says which of the two marks.

    The rate falls along a cosine to nothing: at all of it, four sequences an update leave the loss to chance's swings.
    """
    setup = adding(horizon, cell, {"writable": gr.initializers.writable(8, horizon)}, batch=4)
    falling = gr.train.Optimiser(optax.adam, optax.cosine_decay_schedule(3e-2, WRITABLE_UPDATES), 1.0)
    return replace(setup, method=gr.Checkpointed(), optimiser=falling)


def writable_agreement(setup: gr.train.Setup) -> gr.train.Setup:
    """Half of the units hear every word that is no adverb, and nothing else: not which noun is the subject."""
    words = range(len(sentences.VOCABULARY))
    adverbs = range(sentences.ADVERB, sentences.ADVERB + len(sentences.ADVERBS))
    heard = [[float(word not in adverbs) for word in words]]
    made = gr.initializers.writable(setup.hidden_size // 2, setup.horizon, directions=heard)
    return replace(setup, cell_options={"writable": made})


def in_recurrence(weights: Any) -> Any:
    """Which leaves of a model's weights are the recurrence's, as a tree of bools."""
    in_readout = jax.tree.map(lambda _: False, weights)
    return in_readout._replace(cell=jax.tree.map(lambda _: True, weights.cell))


def writable_copy(setup: gr.train.Setup) -> gr.train.Setup:
    """Units that hear the symbols, stand still at blanks and move on from the delimiter: not which symbol, or when.

    The recurrence begins at a thirtieth of the readout's rate: until the readout knows how often a blank is the answer,
    all gradient is of that, and would undo what was made.
    """
    symbols = [1.0] * copying.ALPHABET + [0.0, 0.0]
    delimiter = [0.0] * copying.ALPHABET + [0.0, 1.0]
    units = setup.hidden_size - LATCHES
    made = gr.initializers.writable(units, setup.horizon, directions=[symbols], replaces=True, release=delimiter)
    drawn = {"recurrent_init": gr.initializers.orthogonal(1.2), "input_init": gr.initializers.gaussian(0.5)}
    rule = apart(3e-2, optax.linear_schedule(1 / 30, 4 / 30, 600))
    return replace(setup, cell_options={"writable": made, **drawn}, optimiser=rule)


def apart(rate: float, share: float | optax.Schedule) -> optax.GradientTransformation:
    """Adam at a rate for the readout, and at a share of it for the recurrence."""
    scaled = optax.scale_by_schedule(share) if callable(share) else optax.scale(share)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate), optax.masked(scaled, in_recurrence))


def final_test(setup: gr.train.Setup) -> Tests:
    """20 batches of held-out data at the end, for what the tests on the way, on fewer, leave open."""
    return (("20 batches", setup.task, setup.horizon),)


def units_for(weights: int) -> Units:
    """H that comes nearest to a number of weights, none more."""
    return lambda cell, task: gr.models.hidden_size_for(cell, task.input_size, task.output_size, weights)


def each(
    task: gr.tasks.Task,
    horizon: int,
    units: Units | int,
    batch: int,
    rule: gr.train.Optimiser = gr.train.Optimiser(),
    cells: Iterable[gr.Cell] = CLASSICS.values(),
    memory: int | None = None,
) -> Iterator[tuple[str, gr.train.Setup]]:
    """Label and setup of every cell from every initialisation; chrono is for `memory` steps, by default T."""
    for cell in cells:
        hidden = units if isinstance(units, int) else units(cell, task)
        chosen = for_horizon(cell, memory or horizon)
        inits: dict[str, dict[str, Any]] = {"default": {}} | dict.fromkeys(chosen, chosen)
        for init, options in inits.items():
            setup = gr.train.Setup(task, cell, horizon, hidden, batch, rule, cell_options=options)
            yield f"{cell.name} {init}", setup
