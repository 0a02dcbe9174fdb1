"""A forecast before any training: how many sequences until a model leaves the plateau of the answer without memory.

sequences = batch * answers * pace * (s * distance / learning rate  +  n * 10^(k E))

distance    how far weights have to move until a marked step can be told at the end       (`_distance`)
E           decades by which less gradient arrives at the task's lags than is sent        (`adjoint`)
pace        of a GRU, whose one gate both writes and keeps, fitted; 1 of other cells
s, n, k     fitted to trainings by `benchmarks/learning/calibrate.py`, which writes them to a file beside this one

The first term is what Adam cannot do faster: a weight moves by at most its learning rate an update. The second is what
it takes to see in which direction, and is taken to be the same for all learning rates.
"""

import functools
import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_array, check_number, check_size, fail, shown
from gatedrnn.flow._distance import distance
from gatedrnn.flow.adjoint import lagged

LARGEST_LOG10 = 300.0
COUPLED = "update"  # the gate by which a GRU, normed or not, keeps, and so writes


class Signs(NamedTuple):
    """What a forecast goes by.

    Attributes:
        envelope: E, decades by which the norm of the gradient, mean over the lags, is below that of the loss's own;
            negative where gradients grow, inf where none arrives.
        distance: how far every weight of a unit's gates has to move, 0.01 to 25, until what marked steps write stands
            out at the end. Below 0.1: it does at first. The largest, 24.9: never, and `sequences` is a lower bound.
    """

    envelope: float
    distance: float


class Forecast(NamedTuple):
    """What `forecast` gives.

    Attributes:
        sequences: until the test loss is a quarter below that of the best answer without memory; inf where it is more
            than a float holds.
        low: where an interval begins which has four of five runs of a task that calibration left out.
        high: where it ends.
        moving: the share of `sequences` for weights to move their distance. What is left is for finding the direction:
            near 0, a larger learning rate helps nothing, gates that last do.
        signs: what it goes by.
    """

    sequences: float
    low: float
    high: float
    moving: float
    signs: Signs


def forecast(
    cell: Cell,
    params: Any,
    xs: Array,
    lags: Any,
    marked: Array,
    unmarked: Array,
    *,
    batch: int,
    learning_rate: float = 1e-2,
    answers: int = 1,
) -> Forecast:
    """How many sequences until the plateau is left, from weights that are not trained yet.

    An extrapolation from what the project has trained: Adam, one layer of 2 to 262 units, tasks that ask for some steps
    seen long ago, told apart from all others by their input. Cells that keep otherwise than a GRU are taken for LSTMs.
    Not for tasks in which every step matters (parity, digits, text). What it is worth on tasks that it was not fitted
    to, and where it fails, stands in docs/concepts/forecast.md; take the interval, not the middle.

    Args:
        cell: a cell in three-function form, such as `gr.lstm`.
        params: its weights, as they are drawn.
        xs: inputs as the task has them, [T, B, D] or [T, D].
        lags: the steps from the carry before what has to be remembered to the loss, whole numbers from 0 to T, which is
            the first step's, [N]: as often as they come up. A few hundred draws tell more than those in `xs`.
        marked: inputs of steps that have to be remembered, such as draws of them, [N, D], at least two.
        unmarked: inputs of the others, [M, D], at least one.
        batch: sequences per update.
        learning_rate: of Adam or the like, above 0.
        answers: how many answers a sequence is asked for that need different steps: the number of symbols in copying, 1
            where there is one answer.

    Returns:
        A `Forecast`.

    Raises:
        ValueError: an argument is out of range, of the wrong shape or not finite; the cell has `step` alone.

    Example:
        >>> import jax, jax.numpy as jnp, gatedrnn as gr
        >>> values = jnp.linspace(0, 1, 100)  # adding: a value and a mark
        >>> marked, unmarked = (jnp.stack([values, jnp.full(100, mark)], 1) for mark in (1.0, 0.0))
        >>> made = [gr.lstm.init(jax.random.key(0), 2, 32, **options) for options in ({"chrono": 200}, {})]
        >>> lags = jax.random.randint(jax.random.key(1), (500,), 1, 201)
        >>> xs = unmarked[jax.random.randint(jax.random.key(2), (200, 4), 0, 100)]
        >>> soon, late = (gr.flow.forecast(gr.lstm, params, xs, lags, marked, unmarked, batch=16) for params in made)
        >>> soon.sequences < late.sequences
        True

    References:
        Livi, "Learnability window in gated recurrent neural networks", 2025, https://arxiv.org/abs/2512.05790: the
        sequences needed for a lag scale as a negative power of the gradient's envelope there; k is that power.
    """
    batch, answers = check_size("batch", batch), check_size("answers", answers)
    learning_rate = check_number("learning_rate", learning_rate, above=0)
    found = signs(cell, params, xs, lags, marked, unmarked)
    return forecast_from(found, cell.keeps == COUPLED, batch, learning_rate, answers)


def signs(cell: Cell, params: Any, xs: Any, lags: Any, marked: Any, unmarked: Any) -> Signs:
    """What a forecast goes by; arguments as in `forecast`."""
    if not isinstance(cell, Cell) or not cell.factored:
        raise fail("cell", "a Cell in three-function form, such as `gr.lstm`", repr(cell))
    xs = check_array("xs", "inputs [T, B, D] or [T, D]", xs)
    if xs.ndim not in (2, 3):
        raise fail("xs", "inputs [T, B, D] or [T, D]", shown(xs))
    xs = xs[:, None] if xs.ndim == 2 else xs
    lags = _lags(lags, len(xs))
    norms = np.asarray(lagged(cell, params, xs), np.float64).mean(1)  # [T + 1]
    if np.isnan(norms).any():
        raise fail("xs", "such that the recurrence and its gradient are finite", "NaN at some lag")
    written, others = _rows("marked", marked, 2, xs.shape[-1]), _rows("unmarked", unmarked, 1, xs.shape[-1])
    return Signs(envelope(norms[lags]), distance(cell, params, written, others, lags, norms))


def envelope(norms: np.ndarray) -> float:
    """E of log10 norms at the lags, [N]."""
    top = norms.max()
    return float(
        -top if not math.isfinite(top) else -(top + math.log10(np.mean(10.0 ** np.maximum(norms - top, -300))))
    )


def updates_of(
    constants: Mapping[str, float], gru: Any, envelope: Any, distance: Any, learning_rate: Any
) -> tuple[Any, Any]:
    """Updates for one answer: those in which weights move their distance, and log10 of those that show where to.

    Of numbers, or of arrays [N] for as many runs; `gru` says of each whether it has the GRU's pace.
    """
    pace = gru * math.log10(constants["gru"])
    moving = 10**pace * constants["slowness"] * distance / learning_rate
    return moving, pace + math.log10(constants["updates"]) + constants["power"] * envelope


def forecast_from(found: Signs, gru: bool, batch: int, learning_rate: float, answers: int) -> Forecast:
    """The forecast of what was measured; `gru` as in `updates_of`."""
    constants = calibration()
    moving, log10 = updates_of(constants, gru, found.envelope, found.distance, learning_rate)
    seeing = 10**log10 if log10 < LARGEST_LOG10 else math.inf
    middle, factor = batch * answers * (moving + seeing), 10 ** constants["spread"]
    return Forecast(middle, middle / factor, middle * factor, moving / (moving + seeing), found)


@functools.cache
def calibration() -> dict[str, float]:
    """The constants, as `benchmarks/learning/calibrate.py` wrote them."""
    text = resources.files("gatedrnn.flow").joinpath("_forecast.json").read_text(encoding="utf-8")
    constants: dict[str, float] = json.loads(text)["constants"]
    return constants


def _rows(name: str, value: Any, least: int, width: int) -> np.ndarray:
    expected = f"inputs [N, D] of N >= {least} steps, D = {width} as in `xs`"
    rows = np.asarray(check_array(name, expected, value))
    if rows.ndim != 2 or len(rows) < least or rows.shape[1] != width:
        raise fail(name, expected, shown(value))
    if not np.isfinite(rows.astype(np.float64)).all():
        raise fail(name, "of finite numbers", f"NaN or infinity in {shown(value)}")
    return rows


def _lags(lags: Any, steps: int) -> np.ndarray:
    expected = f"whole numbers from 0 to T = {steps}, [N]"
    found = np.asarray(check_array("lags", expected, lags))
    if found.ndim != 1 or not found.size or found.dtype.kind not in "iu" or found.min() < 0 or found.max() > steps:
        raise fail("lags", expected, shown(lags))
    return found
