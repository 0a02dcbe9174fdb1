"""A root between two numbers, of a function that costs much: few evaluations, at most two more than bisection.

The ITP method: the false position, pulled towards the middle, projected into where bisection would have come by then.

Oliveira, Takahashi, "An enhancement of the bisection method average performance preserving minmax optimality", ACM
Transactions on Mathematical Software 47, 2021, https://doi.org/10.1145/3423597
"""

import math
from collections.abc import Callable

Function = Callable[[float], float]
SLACK = 1  # evaluations beyond those of bisection; rounding can take another


def bracketed(function: Function, low: float, high: float, tolerance: float) -> tuple[float, int] | tuple[None, int]:
    """A number within `tolerance` of one at which the function changes sign, and how often it was evaluated.

    Args:
        function: of one number; its values may be infinite.
        low: one end.
        high: the other, above it.
        tolerance: the largest distance from the change of sign.

    Returns:
        The number, or None where both ends have one sign; and the evaluations.
    """
    at_low, at_high = function(low), function(high)
    for end, value in ((low, at_low), (high, at_high)):
        if value == 0:
            return end, 2
    if math.isnan(at_low) or math.isnan(at_high) or (at_low > 0) == (at_high > 0):
        return None, 2
    rising, width = at_high > 0, high - low
    most = max(0, math.ceil(math.log2(width / (2 * tolerance)))) + SLACK
    count = 0
    while high - low > 2 * tolerance:
        middle = (low + high) / 2
        radius = max(tolerance * 2 ** (most - count) - (high - low) / 2, 0)
        point = _pulled(low, high, at_low, at_high, width)
        point = min(max(point, middle - radius), middle + radius)
        if not low < point < high:  # floats have come to their end
            point = middle
            if not low < point < high:
                break
        value, count = function(point), count + 1
        if value == 0:
            return point, count + 2
        if (value > 0) == rising:
            high, at_high = point, value
        else:
            low, at_low = point, value
    return (low + high) / 2, count + 2


def _pulled(low: float, high: float, at_low: float, at_high: float, width: float) -> float:
    """The false position, moved to the middle by 0.2 / width of the interval's square; the middle at infinities."""
    middle = (low + high) / 2
    if not (math.isfinite(at_low) and math.isfinite(at_high)):
        return middle
    false = (at_high * low - at_low * high) / (at_high - at_low)
    pull = 0.2 / width * (high - low) ** 2
    return middle if abs(middle - false) <= pull else false + math.copysign(pull, middle - false)
