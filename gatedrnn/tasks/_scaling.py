"""Standardisation: mean 0 and deviation 1 over what a series is trained on, in float64, a block at a time.

scaled = (2^e x - mean) / deviation        2^e brings the largest value near 1: the square of 1e200 is no float
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from gatedrnn._check import fail

BLOCK = 2**14  # values that are widened at once
ALIGNED = 64  # bytes, so that XLA takes memory as it is


class Scaling(NamedTuple):
    """What scales and shifts one column.

    Attributes:
        exponent: of the power of two by which values are multiplied first.
        mean: of the training part, after that.
        deviation: of the training part, after that.
    """

    exponent: int
    mean: float
    deviation: float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Standardised values, float64 of the same shape."""
        return (self.moved(values) - self.mean) / self.deviation

    def moved(self, values: np.ndarray) -> np.ndarray:
        """Multiplied by the power of two alone."""
        return np.ldexp(values.astype(np.float64), self.exponent)

    @property
    def own(self) -> tuple[float, float]:
        """Mean and deviation in the column's own units."""
        return math.ldexp(self.mean, -self.exponent), math.ldexp(self.deviation, -self.exponent)


def scaling_of(by: np.ndarray) -> Scaling:
    """What gives `by [M]` mean 0 and deviation 1.

    Raises:
        ValueError: it is constant.
    """
    exponent = -int(np.frexp(max(np.abs(block).max() for _, block in blocks(by)))[1])
    plain = Scaling(exponent, 0.0, 1.0)
    mean = total(by, plain.moved) / len(by)
    deviation = math.sqrt(total(by, lambda values: np.square(plain.moved(values) - mean)) / len(by))
    if not deviation > 1e-12:
        raise fail("series", "a series that varies", f"the constant {by[0]:g}")
    return Scaling(exponent, mean, deviation)


def total(values: np.ndarray, of: Callable[[np.ndarray], np.ndarray]) -> float:
    """The sum of `of(values)`, in the order in which NumPy adds up an array, of which only a block is ever made."""
    if len(values) <= BLOCK:
        return float(of(values).sum())
    half = len(values) // 2 // 8 * 8
    return total(values[:half], of) + total(values[half:], of)


def blocks(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Stretches of the values as float64, with the places where they begin."""
    return ((start, values[start : start + BLOCK].astype(np.float64)) for start in range(0, len(values), BLOCK))


def on_device(columns: list[np.ndarray], scalings: list[Scaling], several: bool) -> Array:
    """Columns [N] as float32 [N], or [N, C] where they are `several`; on the CPU this memory is the array's own."""
    count, width = len(columns[0]), len(columns)
    bytes_of = np.empty(4 * count * width + ALIGNED, np.uint8)
    start = -bytes_of.ctypes.data % ALIGNED
    found = bytes_of[start : start + 4 * count * width].view(np.float32).reshape(count, width)
    with np.errstate(over="ignore"):
        for c, (values, scaling) in enumerate(zip(columns, scalings, strict=True)):
            for at in range(0, count, BLOCK):
                found[at : at + BLOCK, c] = scaling(values[at : at + BLOCK])
    if not np.isfinite(found).all():
        largest = max(np.abs(block).max() for values in columns for _, block in blocks(values))
        raise fail("series", "a series whose last fifth is of the size of the rest", f"{largest:g} there")
    return jax.device_put(found if several else found[:, 0])
