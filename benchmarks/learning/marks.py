"""Which steps of a task's sequences matter, from the sequences: what a forecast is given of a task.

adding            the two marked values                temporal order    the symbols X and Y
agreement         the subject; written by nouns        copy              the ten symbols
digits, text, formal languages                         every step: none stands out
"""

from typing import Any, NamedTuple

import jax
import numpy as np

import gatedrnn as gr
from gatedrnn.tasks import sentences

MOST = 2_000  # rows of inputs that are kept


class Steps(NamedTuple):
    """Of some sequences of a task.

    Attributes:
        xs: the sequences, [T, B, D].
        lags: steps from each step that matters to the end, one for each of them, [N].
        marked: inputs of steps that matter, [N, D].
        unmarked: inputs of the others, [M, D]; of a task in which every step matters, the same.
    """

    xs: Any
    lags: np.ndarray
    marked: np.ndarray
    unmarked: np.ndarray


def steps(setup: gr.train.Setup, batch: int) -> Steps:
    """From held-out data, drawn with a fixed key."""
    drawn = setup.task.held_out.draw(jax.random.key(0), batch, setup.horizon)
    xs = np.asarray(drawn.xs)
    if setup.task.symbols:
        raise ValueError(f"{setup.task.name} has symbols that are embedded")
    needed, alike, last = _marks(setup.task.name, xs)
    other = ~alike if (~alike).any() and alike.any() else np.ones_like(alike)
    return Steps(drawn.xs, last - np.nonzero(needed)[0], _some(xs[alike]), _some(xs[other]))


def _marks(name: str, xs: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Bool [T, B] each: the steps that have to be remembered, and those whose inputs look like it; the last row."""
    rows = len(xs)
    if name.startswith("adding"):
        marks = xs[..., 1] > 0
    elif name.startswith("temporal-order"):
        marks = np.asarray(xs[..., 6:].any(-1))
    elif name == "copy":
        marks = np.asarray(xs[..., :8].any(-1))
    elif name == "agreement":
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
