"""Numbers as they stand in a diagnosis, and rounded for a command."""

import math


def brief(value: float) -> str:
    """Three digits, or a whole number with commas."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e9 else f"{value:.3g}"


def power(decades: float) -> str:
    """10^-31.2, or a number of two digits where that is short."""
    return "none" if decades == -math.inf else f"{10**decades:.2g}" if -2 < decades < 2 else f"10^{decades:.1f}"


def rounded_up(value: float, digits: int = 1) -> float:
    """To so many digits, upwards."""
    if not 0 < value < math.inf:
        return value
    unit = 10.0 ** (math.floor(math.log10(value)) - digits + 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.{digits + 1}g}")
