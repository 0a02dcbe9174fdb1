"""Which steps of a task's sequences matter, from the sequences: what a forecast is given of a task.

adding            the two marked values                temporal order    the symbols X and Y
agreement         the subject; written by nouns        copy              the ten symbols, one for each answer
digits, text, formal languages                         every step: none stands out
"""

from typing import Any, NamedTuple

import jax
import numpy as np

import gatedrnn as gr
from gatedrnn.tasks import sentences

MOST = 500  # rows of inputs that are kept
SYMBOLS = 10  # of copy


class Steps(NamedTuple):
    """Of some sequences of a task.

    Attributes:
        xs: the sequences, [T, B, D].
        lags: steps from each step that matters to the end, one for each of them, [N], in more sequences than `xs`.
        marked: inputs of steps that matter, [N, D].
        unmarked: inputs of the others, [M, D]; of a task in which every step matters, the same.
        answers: how many answers need different ones.
    """

    xs: Any
    lags: np.ndarray
    marked: np.ndarray
    unmarked: np.ndarray
    answers: int


def steps(setup: gr.train.Setup) -> Steps:
    """From held-out data, drawn with a fixed key."""
    task, horizon = setup.task, setup.horizon
    if task.symbols:
        raise ValueError(f"{task.name} has symbols that are embedded")
    sequences, rows = _sizes(horizon)
    drawn = task.held_out.draw(jax.random.key(0), sequences, horizon)
    xs = np.asarray(drawn.xs)
    needed, alike, last = _marks(task.name, xs)
    some = drawn.xs[:, : max(rows, 18) if task.name.startswith("agreement") else rows]  # 18: each kind of sentence
    answers = SYMBOLS if task.name == "copy" else 1
    others = alike if alike.all() else ~alike
    return Steps(some, last - np.nonzero(needed)[0], _some(xs[alike]), _some(xs[others]), answers)


def _sizes(horizon: int) -> tuple[int, int]:
    """How many sequences the lags are counted in, and through how many the adjoint goes: fewer where they are long."""
    for longest, sizes in ((2_000, (256, 8)), (20_000, (64, 2)), (200_000, (16, 1))):
        if horizon <= longest:
            return sizes
    return 1, 1


def _marks(name: str, xs: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Bool [T, B] each: the steps that have to be remembered, and those whose inputs look like it; the last row."""
    rows = len(xs)
    if name.startswith("adding"):
        marks = xs[..., 1] > 0
    elif name.startswith("temporal-order"):
        marks = np.asarray(xs[..., 6:].any(-1))
    elif name == "copy":
        marks = np.asarray(xs[..., :8].any(-1))
    elif name.startswith("agreement"):
        symbols = xs.argmax(-1)
        nouns = (symbols >= sentences.NOUN) & (symbols < sentences.VERB)
        place = np.where((symbols[0] >= sentences.PREPOSITION) & (symbols[0] < sentences.ADVERB), 5, 1)  # behind a PP
        return nouns & (np.arange(rows)[:, None] == place), nouns, rows
    else:
        marks = np.ones(xs.shape[:2], bool)
    return marks, marks, rows


def _some(rows: np.ndarray) -> np.ndarray:
    """At most so many rows, evenly taken."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST)).round().astype(int))]
