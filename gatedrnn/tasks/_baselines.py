"""What a series scores without a model: the last value repeated, and the value one period ago.

persistence    y_t = x_t                      e(p): mean of (x_t - x_{t-p})^2 over the training part
seasonal       y_t = x_{t+1-p}                p: the shortest of the deepest valleys of e

A valley is a lag p of at least 2 with e(p - 1) >= e(p) <= e(p + 1). Deepest are those at most a tenth of the lowest
and a hundredth of the variance above it.
"""

from collections.abc import Sequence

import numpy as np

from gatedrnn._check import check_size
from gatedrnn.tasks._scaling import BLOCK, Scaling
from gatedrnn.tasks._task import Baseline

MOST = 2**18  # values from which a period is found: the last ones of the training part
MARGIN, SLACK = 1.1, 0.01  # of the lowest valley and of the variance: how far above it another may be


def baselines(
    columns: Sequence[np.ndarray], scalings: Sequence[Scaling], cut: int, period: int | None
) -> tuple[Baseline, ...]:
    """Persistence and, where there is a period, the seasonal one.

    Args:
        columns: those that are predicted, [N] each.
        scalings: of each.
        cut: where the test part begins.
        period: steps; None to find it on what comes before `cut`.

    Returns:
        Mean squared errors of the standardised values, over all columns and all values of the test part but its first.

    Raises:
        ValueError: `period` is no whole number, or is longer than the training part.
    """
    if period is not None:
        period = check_size("period", period, most=cut)
    else:
        period = find_period(columns, scalings, cut)
    lags = {"persistence": 1} | ({} if period is None else {"seasonal": period})
    return tuple(Baseline(name, _error(columns, scalings, cut, lag), lag) for name, lag in lags.items())


def find_period(columns: Sequence[np.ndarray], scalings: Sequence[Scaling], cut: int) -> int | None:
    """The shortest of the deepest valleys among lags of up to half the training part; None where there is none."""
    first = max(0, cut - MOST)
    parts = [lag_errors(scaling(values[first:cut])) for values, scaling in zip(columns, scalings, strict=True)]
    errors = np.mean(parts, axis=0)  # of the lags 0, 1, 2, ...
    inner = errors[2:-1]
    valleys = np.flatnonzero((errors[1:-2] >= inner) & (inner <= errors[3:])) + 2
    if not valleys.size:
        return None
    deepest = errors[valleys] <= MARGIN * errors[valleys].min() + SLACK
    return int(valleys[deepest][0])


def lag_errors(values: np.ndarray) -> np.ndarray:
    """e(p) of values [M], for the lags p = 0 to M // 2 + 1, by way of the Fourier transform."""
    count, most = len(values), len(values) // 2 + 1
    values = values - values.mean()
    transform = np.fft.rfft(values, 2 * count)
    products = np.fft.irfft(transform * transform.conj(), 2 * count)[: most + 1]  # sums of x_t x_{t-p}
    squares = np.concatenate([[0.0], np.cumsum(np.square(values))])
    lags = np.arange(most + 1)
    both = squares[-1] - squares[lags] + squares[count - lags]
    return np.maximum(both - 2 * products, 0.0) / (count - lags)


def _error(columns: Sequence[np.ndarray], scalings: Sequence[Scaling], cut: int, lag: int) -> float:
    """Of the values after the test part's first, each answered by the one `lag` steps before it."""
    count, errors = len(columns[0]) - cut - 1, 0.0
    for values, scaling in zip(columns, scalings, strict=True):
        for at in range(cut + 1, len(values), BLOCK):
            end = min(at + BLOCK, len(values))
            errors += float(np.square(scaling(values[at:end]) - scaling(values[at - lag : end - lag])).sum())
    return errors / (count * len(columns))
