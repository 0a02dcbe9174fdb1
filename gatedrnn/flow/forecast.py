"""A forecast before any training: how many sequences until a model leaves the plateau of the answer without memory.

E = -log10 mean over the task's lags of || dL/dcarry_{T - lag} ||          how little of the gradient arrives there
W = -log10 max over units of signal * kept over the median lag             how little of a step that matters is written
log10 updates = a + e E + w W + r log10(0.01 / learning rate)              sequences = batch * updates

E and W count up to a limit: where nothing arrives, it hardly matters how little that is.

The constants are fitted to records of trainings by `benchmarks/learning/calibrate.py`, which writes them to a file
beside this one; what they are worth on runs that they have not seen stands in docs/concepts/forecast.md.
"""

import functools
import json
import math
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_array, check_number, check_size, fail, shown
from gatedrnn.flow.adjoint import lagged
from gatedrnn.flow.writable import writable

RATE = 1e-2
"""The learning rate of Adam to which others are compared."""
LEAST = 1e-30
"""What is written, below which it is nothing."""


class Signs(NamedTuple):
    """What a forecast goes by.

    Attributes:
        envelope: E, decades by which the gradient is below one of norm 1, mean over the lags of its norm; may be
            negative where gradients grow.
        unwritten: W, decades by which what a marked step leaves in the best unit, after the median lag, is below 1; 0
            where the cell has no gate that keeps, or every step has to be remembered.
    """

    envelope: float
    unwritten: float


class Forecast(NamedTuple):
    """What `forecast` gives.

    Attributes:
        sequences: until the test loss is a quarter below that of the best answer without memory; inf where it is more
            than a float holds.
        low: sequences / the factor within which two of three such runs are, by what the calibration has left over.
        high: sequences times that factor.
        signs: what it goes by.
    """

    sequences: float
    low: float
    high: float
    signs: Signs


def forecast(
    cell: Cell,
    params: Any,
    xs: Array,
    lags: Any,
    marked: Array | None = None,
    unmarked: Array | None = None,
    *,
    batch: int,
    learning_rate: float = RATE,
) -> Forecast:
    """How many sequences until the plateau is left, from weights that are not trained yet.

    It is an extrapolation from what the project has trained: Adam, one layer of up to 262 units, tasks that ask for
    something seen long ago. It knows nothing of what the task asks: counting and parity are not harder by their lags
    alone. Held-out runs at other learning rates than 0.01 were forecast badly: take it as an order among models
    trained alike, if at all, and see docs/concepts/forecast.md.

    Args:
        cell: any cell.
        params: its weights, as they are drawn.
        xs: inputs as the task has them, [T, B, D] or [T, D].
        lags: the steps between what has to be remembered and the loss, whole numbers from 0 to T, [N]: as often as they
            come up.
        marked: inputs of steps that have to be remembered, [M, D]; None where every step has to be.
        unmarked: inputs of the others, [M, D].
        batch: sequences per update.
        learning_rate: of Adam or the like.

    Returns:
        A `Forecast`.

    Raises:
        ValueError: an argument is out of range or of the wrong shape; one of `marked` and `unmarked` is missing.

    Example:
        >>> import jax, gatedrnn as gr
        >>> made = [gr.gru.init(jax.random.key(0), 1, 16, update_bias=bias) for bias in (0.0, 7.0)]
        >>> xs = jax.random.normal(jax.random.key(1), (200, 4, 1))
        >>> soon, late = (gr.flow.forecast(gr.gru, params, xs, [100, 200], batch=16) for params in reversed(made))
        >>> soon.sequences < late.sequences
        True

    References:
        Livi, "Learnability window in gated recurrent neural networks", 2025, https://arxiv.org/abs/2512.05790: the
        sequences needed for a lag scale as a negative power of the gradient's envelope there, which is e here.
    """
    batch = check_size("batch", batch)
    learning_rate = check_number("learning_rate", learning_rate, above=0)
    return forecast_from(signs(cell, params, xs, lags, marked, unmarked), batch, learning_rate)


def signs(cell: Cell, params: Any, xs: Any, lags: Any, marked: Any = None, unmarked: Any = None) -> Signs:
    """What a forecast goes by; arguments as in `forecast`."""
    xs = check_array("xs", "inputs [T, B, D] or [T, D]", xs)
    if xs.ndim not in (2, 3):
        raise fail("xs", "inputs [T, B, D] or [T, D]", shown(xs))
    xs = xs[:, None] if xs.ndim == 2 else xs
    lags = _lags(lags, len(xs))
    if (marked is None) != (unmarked is None):
        raise fail("marked", "given with `unmarked`", "one of them")
    norms = np.asarray(lagged(cell, params, xs), np.float64)[lags].mean(1)  # [N]
    top = norms.max()
    envelope = -top if not math.isfinite(top) else -(top + math.log10(np.mean(10.0 ** np.maximum(norms - top, -300))))
    unwritten = 0.0
    if marked is not None and unmarked is not None and isinstance(cell, Cell) and cell.factored and cell.keeps:
        lag = float(np.median(lags))
        written = writable(cell, params, marked, unmarked, horizon=max(1, len(xs)), lag=lag)
        unwritten = -math.log10(max(float((written.signal * written.kept).max()), LEAST))
    return Signs(float(envelope), unwritten)


def forecast_from(found: Signs, batch: int, learning_rate: float) -> Forecast:
    """The forecast of what was measured."""
    constants = calibration()
    envelope, unwritten = (min(value, constants[f"widest_{name}"]) for name, value in found._asdict().items())
    log10 = (
        constants["intercept"]
        + constants["envelope"] * envelope
        + constants["unwritten"] * unwritten
        + constants["rate"] * math.log10(RATE / learning_rate)
        + math.log10(batch)
    )
    spread = constants["spread"]
    low, middle, high = (10**each if each < 308 else math.inf for each in (log10 - spread, log10, log10 + spread))
    return Forecast(middle, low, high, found)


@functools.cache
def calibration() -> dict[str, float]:
    """The constants, as `benchmarks/learning/calibrate.py` wrote them."""
    text = resources.files("gatedrnn.flow").joinpath("_forecast.json").read_text(encoding="utf-8")
    constants: dict[str, float] = json.loads(text)["constants"]
    return constants


def _lags(lags: Any, steps: int) -> np.ndarray:
    expected = f"whole numbers from 0 to T = {steps}, [N]"
    found = np.asarray(check_array("lags", expected, lags))
    if found.ndim != 1 or not found.size or found.dtype.kind not in "iu" or found.min() < 0 or found.max() > steps:
        raise fail("lags", expected, shown(lags))
    return found
