"""What an adjoint profile says in a few numbers and one word.

p(k) = log10 of the gradient's norm k steps before it starts,    k = 0, 1, ...

Every number compares p(k) with p(0). A loss times a constant shifts all of p alike, so it changes none of them.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._check import check_flag, fail
from gatedrnn._jax import concrete
from gatedrnn.flow._order import flipped
from gatedrnn.flow._scalars import LEVELS, USABLE

RESOLUTION = 1e-3  # decades over the whole horizon; below it a fall is not told from rounding


class Decay(NamedTuple):
    """How a gradient's norm changes with the lag: arrays [], or [N] under a `vmap` over N profiles.

    Attributes:
        rate_log10_per_step: slope of a least-squares line through p(k), decades per step; nan below two finite points.
        half_life: steps in which the fitted line falls by a half; inf where the whole fall over the horizon is below a
            thousandth of a decade, which is rounding, or where there is no line.
        lag_below_1e3: first lag at which a gradient that starts at norm 1 is below 10^-3; inf if never.
        lag_below_float32: first lag at which it is below 10^-38, where float32 holds zero.
        lag_below_float64: first lag at which it is below 10^-308, where float64 holds zero.
        lowest: smallest p(k) - p(0); -inf where the gradient is exactly zero.
        highest: largest p(k) - p(0).
        horizon: the largest lag.
    """

    rate_log10_per_step: Any
    half_life: Any
    lag_below_1e3: Any
    lag_below_float32: Any
    lag_below_float64: Any
    lowest: Any
    highest: Any
    horizon: Any

    @property
    def word(self) -> Any:
        """`vanishing`, `exploding` or `isometric`: whether the norm leaves [10^-3, 10^3] of its start, and where to.

        A list of words for [N]. Known outside of `jit` only.
        """
        return word_of(self.lowest, self.highest)


def word_of(lowest: Any, highest: Any) -> Any:
    """The word of `Decay` for numbers, or a list of words for arrays [N] of them."""
    exploding = np.greater(highest, USABLE) & np.greater_equal(highest, np.negative(lowest))
    return np.where(exploding, "exploding", np.where(np.less(lowest, -USABLE), "vanishing", "isometric")).tolist()


def decay(log10_norm: Any, *, mask: Any = None, reset: Any = None, reverse: bool = False) -> Decay:
    """Summarises an adjoint profile.

    It starts at the first row from the loss whose norm is finite, which is lag 0, and ends at the last reset: that
    nothing crosses one is no vanishing. A masked step is no lag. Outside of transformations it is computed in float64.

    Args:
        log10_norm: rows of `adjoint(...).log10_norm`, in the order of time: [T + 1], or [T + 1, B], whose mean over B
            (the geometric mean of the norms) is taken at each lag, over those rows that reach it.
        mask: bool [T] or [T, B], as given to `adjoint`.
        reset: bool [T] or [T, B], as given to `adjoint`.
        reverse: as given to `adjoint`.

    Returns:
        A `Decay`; of NumPy's arrays where nothing is traced.

    Raises:
        ValueError: the profile is empty, has another rank, or holds NaN (which goes unseen while it is traced), or a
            flag does not match it.

    Example:
        >>> import numpy as np, gatedrnn as gr
        >>> halving = gr.flow.decay(np.log10(0.5) * np.arange(100)[::-1])
        >>> round(float(halving.half_life), 6), int(halving.lag_below_1e3), halving.word
        (1.0, 10, 'vanishing')
    """
    given = [value for value in (log10_norm, mask, reset) if not isinstance(value, Iterator)]
    xp: Any = np if concrete(*given) else jnp
    profile = _check_profile(xp, log10_norm)
    flags = [_check_flag(name, flag, xp, profile.shape) for name, flag in (("mask", mask), ("reset", reset))]
    profile, mask, reset = flipped(
        not check_flag("reverse", reverse), _columns(profile), *flags
    )  # [T + 1, B], [T, B] by lag
    profile, alive = by_own_lag(xp, profile, mask, reset)
    if xp is np and np.isnan(profile[alive]).any():
        raise fail("log10_norm", "[T + 1] or [T + 1, B] without NaN", profile.shape)
    reached = alive.sum(1)  # [T + 1]
    mean = xp.where(alive, profile, 0).sum(1) / xp.maximum(reached, 1).astype(profile.dtype)
    return _summarised(xp, mean, reached > 0)


def by_own_lag(xp: Any, profile: Any, mask: Any, reset: Any) -> tuple[Array, Array]:
    """Rows [T + 1, B] and flags [T, B] by lag -> by each column's own lag, and whether it reaches it: [T + 1, B] each.

    A masked step is no lag, and none is reached beyond a reset.
    """
    return _compressed(xp, profile, _lags(xp, profile.shape, mask, reset))


def _summarised(xp: Any, mean: Array, live: Array) -> Decay:
    """Numbers of one profile [K] by lag, of which the leading rows that are `live` count."""
    start = xp.argmax(live & xp.isfinite(mean))
    lag = xp.arange(mean.size, dtype=mean.dtype) - start.astype(mean.dtype)
    live = live & (lag >= 0)
    change = xp.where(live, mean - xp.where(xp.isfinite(mean[start]), mean[start], 0), 0)
    horizon = live.sum() - 1
    slope = _slope(xp, lag, change, live & xp.isfinite(change))
    falls = slope * horizon.astype(mean.dtype) <= -RESOLUTION
    below = {name: xp.where(live & (change < -level), lag, math.inf).min() for name, level in LEVELS.items()}
    half_life = xp.where(falls, math.log10(0.5) / xp.where(falls, slope, 1), math.inf)
    lowest, highest = xp.where(live, change, math.inf).min(), xp.where(live, change, -math.inf).max()
    return Decay(slope, half_life, **below, lowest=lowest, highest=highest, horizon=horizon)


def _slope(xp: Any, lag: Array, change: Array, known: Array) -> Array:
    """Slope of the least-squares line through the known points, [K] each; nan below two of them."""
    centre = xp.where(known, lag, 0).sum() / xp.maximum(known.sum(), 1).astype(lag.dtype)
    centred = xp.where(known, lag - centre, 0)
    spread = xp.square(centred).sum()
    product = (centred * xp.where(known, change, 0)).sum()
    return xp.where(spread > 0, product / xp.where(spread > 0, spread, 1), math.nan)


def _lags(xp: Any, shape: tuple[int, int], mask: Any, reset: Any) -> Array:
    """Which rows [T + 1, B] by lag count: those before which a step is run, and the first; none before a reset."""
    last = xp.ones((1, shape[1]), bool)
    alive = xp.ones(shape, bool) if mask is None else xp.concatenate([mask, last])
    if reset is None:
        return alive
    restarts = reset if mask is None else reset & mask
    return alive & (xp.concatenate([~last, restarts]).cumsum(0) == 0)


def _compressed(xp: Any, profile: Array, alive: Array) -> tuple[Array, Array]:
    """The rows that count, moved to the front of each column, and which they are then; [K, B] each."""
    place = xp.arange(len(profile))[:, None]
    order = xp.argsort(place + xp.where(alive, 0, len(profile)), axis=0)
    return xp.take_along_axis(profile, order, 0), place < alive.sum(0)[None]


def _check_profile(xp: Any, log10_norm: Any) -> Array:
    wanted = "[T + 1] or [T + 1, B] without NaN, as adjoint(...).log10_norm['state'] is"
    try:
        profile = _array(xp, log10_norm)
        if not (jnp.issubdtype(profile.dtype, jnp.floating) or jnp.issubdtype(profile.dtype, jnp.integer)):
            raise TypeError(profile.dtype)
        profile = profile if xp is jnp else profile.astype(np.float64)
    except (TypeError, ValueError):
        raise fail("log10_norm", wanted, f"a {type(log10_norm).__name__} that is no such array") from None
    if profile.ndim not in (1, 2) or profile.size == 0:
        raise fail("log10_norm", wanted, profile.shape)
    return profile if jnp.issubdtype(profile.dtype, jnp.floating) else profile.astype(float)


def _array(xp: Any, value: Any) -> Any:
    if isinstance(value, Iterator):
        raise TypeError("what is gone through once")
    return xp.asarray(value)


def _check_flag(name: str, flag: Any, xp: Any, shape: tuple[int, ...]) -> Any:
    """The flag as [T, B]."""
    if flag is None:
        return None
    wanted = (shape[0] - 1, *shape[1:])
    try:
        flag = _array(xp, flag)
    except (TypeError, ValueError):
        raise fail(name, f"a bool array {wanted} to match `log10_norm`", f"a {type(flag).__name__}") from None
    if flag.shape != wanted or flag.dtype != bool:
        raise fail(name, f"a bool array {wanted} to match `log10_norm`", f"{flag.dtype} {flag.shape}")
    return _columns(flag)


def _columns(a: Array) -> Array:
    """[..., B], with B = 1 where there is none."""
    return a if a.ndim == 2 else a[:, None]
