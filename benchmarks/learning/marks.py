"""Which steps of a task's sequences matter, from the sequences: what a forecast is given of a task.

adding            the two marked values                temporal order    the symbols X and Y
agreement         the subject; written by nouns        copy              the ten symbols, one for each answer
digits, text, formal languages                         every step: none stands out
"""

from typing import Any, NamedTuple

import jax
import numpy as np

import gatedrnn as gr
from gatedrnn.tasks._marks import MARKED, answers_of, evenly, flagged

MOST = 500  # rows of inputs that are kept


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
    needed, alike = _flagged(task.name, xs)
    some = drawn.xs[:, : max(rows, 18) if task.name.startswith("agreement") else rows]  # 18: each kind of sentence
    others = alike if alike.all() else ~alike
    lags = len(xs) - np.nonzero(needed)[0]
    return Steps(some, lags, evenly(xs[alike], MOST), evenly(xs[others], MOST), answers_of(task.name))


def _sizes(horizon: int) -> tuple[int, int]:
    """How many sequences the lags are counted in, and through how many the adjoint goes: fewer where they are long."""
    for longest, sizes in ((2_000, (256, 8)), (20_000, (64, 2)), (200_000, (16, 1))):
        if horizon <= longest:
            return sizes
    return 1, 1


def _flagged(name: str, xs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As the task's marks; where none stands out every step is one."""
    if name in MARKED:
        return flagged(name, xs)
    every = np.ones(xs.shape[:2], bool)
    return every, every
