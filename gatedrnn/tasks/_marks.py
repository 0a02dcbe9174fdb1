"""Which steps of a task's sequences matter, told from the sequences themselves.

adding            the two marked values            temporal order    the symbols X and Y
copy              the ten symbols                  delayed recall    the step with the cue
noisy latch       the first three                  agreement         the subject; alike: every noun

In digits, text, series and the formal languages every step matters: none stands out.
"""

from typing import NamedTuple

import numpy as np

from gatedrnn.tasks import sentences
from gatedrnn.tasks._copying import ALPHABET, LENGTH
from gatedrnn.tasks._order import X
from gatedrnn.tasks._recall import LATCH
from gatedrnn.tasks._task import Task

MARKED = {
    *("adding", "adding-1997", "agreement", "copy", "delayed-recall", "noisy-latch"),
    *("temporal-order", "temporal-order-3", "variable-copy"),
}
"""Tasks with steps that stand out."""
MOST = 2_000  # rows of inputs that are kept


class Marks(NamedTuple):
    """Of some sequences of a task.

    Attributes:
        lags: steps from the end of each step that matters to the last, [N].
        marked: inputs of steps that matter, or look as they do, [M, D].
        unmarked: inputs of the others, [K, D].
    """

    lags: np.ndarray
    marked: np.ndarray
    unmarked: np.ndarray


def marks(task: Task, xs: np.ndarray) -> Marks | None:
    """Those of sequences `xs` [T, B, D] that the task has drawn; None where no step stands out."""
    if task.name not in MARKED:
        return None
    needed, alike = flagged(task.name, xs)
    return Marks(len(xs) - 1 - np.nonzero(needed)[0], evenly(xs[alike], MOST), evenly(xs[~alike], MOST))


def flagged(name: str, xs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bool [T, B] each: the steps that have to be remembered, and those whose inputs look like them.

    Args:
        name: of a task in `MARKED`.
        xs: its sequences, [T, B, D].
    """
    time = np.arange(len(xs))[:, None]
    if name in ("adding", "adding-1997", "delayed-recall"):
        found = xs[..., 1] > 0
    elif name in ("temporal-order", "temporal-order-3"):
        found = np.asarray(xs[..., X:].any(-1))
    elif name in ("copy", "variable-copy"):
        found = np.asarray(xs[..., :ALPHABET].any(-1))
    elif name == "noisy-latch":
        found = np.broadcast_to(time < LATCH, xs.shape[:2])
    else:
        return _subjects(xs.argmax(-1), time)
    return found, found


def _subjects(symbols: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The subject is the second word, or the second one behind `PP ,`; all nouns look like it."""
    nouns = (symbols >= sentences.NOUN) & (symbols < sentences.VERB)
    fronted = (symbols[0] >= sentences.PREPOSITION) & (symbols[0] < sentences.ADVERB)
    return nouns & (time == np.where(fronted, sentences.SUBJECT + sentences.LONGEST, sentences.SUBJECT)), nouns


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of [N, D], evenly taken."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(int))]


def answers_of(name: str) -> int:
    """How many answers a task of that name asks for that need different steps."""
    return LENGTH if name in ("copy", "variable-copy") else 1
