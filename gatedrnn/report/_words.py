"""Numbers and lists as they stand in a sentence."""

import math
from collections.abc import Callable, Iterable

from gatedrnn import plots
from gatedrnn.flow._groups import Spread
from gatedrnn.flow._scalars import SCALARS


def in_parts(spread: Spread, words: Callable[[float], str]) -> tuple[str, str]:
    """The median, and the smallest and largest where they read differently."""
    median, low, high = map(words, spread)
    return median, "" if low == high else f"{low} to {high}"


def span(spread: Spread, words: Callable[[float], str]) -> str:
    median, rest = in_parts(spread, words)
    return f"{median} ({rest})" if rest else median


def number(value: float, digits: int = 3) -> str:
    """Thousands apart, small ones as a power of ten, and a true minus sign: "−0.0191", "1,249", "−2.0×10⁻⁶"."""
    if math.isnan(value):
        return "undefined"
    size = abs(value)
    large = f"{size:,.0f}" if size >= 100 else f"{size:.{digits}g}"
    words = plots.power(math.log10(size)) if 0 < size < 1e-3 else large
    return "−" + words if value < 0 else words


def scalar_in_words(name: str) -> Callable[[float], str]:
    """How a scalar of the table is said: whole steps in full, other steps at three digits, anything else a number."""
    scalar = SCALARS[name]
    whole: Callable[[float], str] = "{:,.0f}".format
    words = whole if scalar.form == ",.0f" else plots.steps if scalar.unit == "steps" else number
    return lambda value: scalar.absent if value == scalar.missing else words(value)


def joined(words: Iterable[str], last: str = "and") -> str:
    *rest, end = words
    return f"{', '.join(rest)} {last} {end}" if rest else end
