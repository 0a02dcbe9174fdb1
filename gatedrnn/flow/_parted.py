"""How far two runs are apart, in float64 of NumPy, and from where on."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from gatedrnn.flow._groups import finite

Floats = NDArray[np.float64]


def apart(found: Floats, exact: Floats) -> Floats:
    """Relative distance along the last axis: 0 where both are zero, inf where the reference alone is, nan for NaN."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        distance = np.linalg.norm(found - exact, axis=-1)
        return np.where(distance == 0, 0.0, distance / np.linalg.norm(exact, axis=-1))


def scaled_apart(found: Floats, power: Any, exact: Floats, exact_power: Any) -> Floats:
    """The same of numbers times powers of two, [...]."""
    shift = np.clip(np.asarray(power, np.int64) - exact_power, -4000, 4000)
    with np.errstate(over="ignore"):
        return apart(np.ldexp(found, shift[..., None]), exact)


def beyond(distance: Floats, tolerance: float) -> NDArray[np.bool_]:
    """Also where the distance is no number."""
    return ~(distance <= tolerance)


def unheld(dtype: str, log10_norm: Floats) -> NDArray[np.bool_]:
    info = jnp.finfo(dtype)
    low, high = math.log10(float(info.tiny)), math.log10(float(info.max))
    return np.isfinite(log10_norm) & ((log10_norm < low) | (log10_norm > high))


def first(flags: NDArray[np.bool_], none: int) -> NDArray[np.int64]:
    """The first row of each column [T, B] that is True; `none` where no one is."""
    return np.where(flags.any(0), flags.argmax(0), none)


def curve(rows: Floats) -> list[float | None]:
    """The largest of any row of the batch."""
    return [finite(value) for value in rows.reshape(len(rows), -1).max(1)]
