"""What an adjoint profile says in a few numbers, and in words.

p(k) = log10 of the gradient's norm k steps before the loss,    k = 0..T
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatedrnn._check import fail

FLOAT32_FLOOR = -38  # log10 of the smallest normal float32, rounded as it is usually quoted
FLOAT64_FLOOR = -308
RESOLUTION = 1e-3  # decades over the whole horizon; below it a fall is not told from rounding
USABLE = 3  # decades: a gradient that keeps within 10^-3 and 10^3 of its start counts as kept


@dataclass(frozen=True)
class Decay:
    """How a gradient's norm changes with the lag.

    Attributes:
        rate_log10_per_step: slope of a least-squares line through p(k), decades per step; None below two points.
        half_life: steps in which the fitted line falls by a half; None where the whole fall over T is below a
            thousandth of a decade, which is rounding.
        lag_below_1e3: first lag at which the norm is below 10^-3; None if never.
        lag_below_float32: first lag at which it is below 10^-38, where float32 holds zero.
        lag_below_float64: first lag at which it is below 10^-308, where float64 holds zero.
        lowest: smallest p(k) - p(0); -inf where the gradient is exactly zero.
        highest: largest p(k) - p(0).
        horizon: T.
    """

    rate_log10_per_step: float | None
    half_life: float | None
    lag_below_1e3: int | None
    lag_below_float32: int | None
    lag_below_float64: int | None
    lowest: float
    highest: float
    horizon: int

    @property
    def word(self) -> str:
        """`vanishing`, `exploding` or `isometric`: whether the norm leaves [10^-3, 10^3] of its start, and where to."""
        if self.highest > USABLE and self.highest >= -self.lowest:
            return "exploding"
        return "vanishing" if self.lowest < -USABLE else "isometric"

    def verdict(self, lyapunov_max: float | None = None) -> str:
        """The word with the numbers that justify it; `lyapunov_max` in nats per step."""
        exponent = "" if lyapunov_max is None else f", largest exponent {lyapunov_max:+.2g} nats per step"
        rate = (
            "" if self.rate_log10_per_step is None else f" ({self.rate_log10_per_step:+.2g} decades per step{exponent})"
        )
        if self.word == "exploding":
            return f"exploding: 10^{self.highest:.1f} times its start within {self.horizon:,} steps{rate}"
        if self.word == "isometric":
            span = f"10^{self.lowest:.2f} and 10^{self.highest:.2f}"
            return f"isometric: between {span} of its start over {self.horizon:,} steps{rate}"
        floors = ((self.lag_below_float32, "float32"), (self.lag_below_float64, "float64"))
        reached = "".join(f", {lag:,} to zero in {name}" for lag, name in floors if lag is not None)
        return f"vanishing: {self._usable_lag:,} steps to a thousandth{reached}{rate}"

    @property
    def _usable_lag(self) -> int:
        return self.horizon if self.lag_below_1e3 is None else self.lag_below_1e3


def decay(log10_norm: Any) -> Decay:
    """Summarises an adjoint profile.

    Args:
        log10_norm: rows of `adjoint(...).log10_norm`, in the order of time: [T + 1], or [T + 1, B], whose mean over B
            (the geometric mean of the norms) is taken. Lag k is row T - k.

    Returns:
        A `Decay`.

    Raises:
        ValueError: the profile is empty, has another rank, or holds NaN.

    Example:
        >>> import numpy as np, gatedrnn as gr
        >>> halving = gr.flow.decay(np.log10(0.5) * np.arange(100)[::-1])
        >>> round(halving.half_life, 6), halving.lag_below_1e3, halving.word
        (1.0, 10, 'vanishing')
    """
    profile = np.asarray(log10_norm, np.float64)
    if profile.ndim not in (1, 2) or profile.size == 0 or np.isnan(profile).any():
        raise fail("log10_norm", "[T + 1] or [T + 1, B] without NaN", profile.shape)
    if profile.ndim == 2:
        profile = profile.mean(1)
    profile = profile[::-1]  # [T + 1] by lag
    change = profile - profile[0] if np.isfinite(profile[0]) else profile
    slope = _slope(profile)
    return Decay(
        rate_log10_per_step=slope,
        half_life=_half_life(slope, profile.size - 1),
        lag_below_1e3=_first(profile < -3),
        lag_below_float32=_first(profile < FLOAT32_FLOOR),
        lag_below_float64=_first(profile < FLOAT64_FLOOR),
        lowest=float(change.min()),
        highest=float(change.max()),
        horizon=profile.size - 1,
    )


def _slope(profile: np.ndarray) -> float | None:
    lags = np.flatnonzero(np.isfinite(profile))
    if lags.size < 2:
        return None
    centred = lags - lags.mean()
    return float(np.sum(centred * profile[lags]) / np.sum(centred * centred))


def _first(condition: np.ndarray) -> int | None:
    return int(condition.argmax()) if condition.any() else None


def _half_life(slope: float | None, horizon: int) -> float | None:
    return None if slope is None or slope * horizon > -RESOLUTION else math.log10(0.5) / slope
