"""Numbers and names as they are printed."""

import math
from collections.abc import Iterable

from gatedrnn._registry import CELLS


def power(log10_value: float) -> str:
    """The number with this log10 at two or three digits: "0.131", "1.2×10⁻⁴", "10⁻¹²⁴⁹"; "0" for -inf."""
    if math.isinf(log10_value):
        return "0" if log10_value < 0 else "∞"
    if abs(log10_value) < 2.999:
        return f"{10**log10_value:.3g}"
    if abs(log10_value) >= 9.5:
        return ten_to(log10_value)
    mantissa, exponent = f"{10**log10_value:.1e}".split("e")
    return f"{mantissa}×{ten_to(int(exponent))}"


def ten_to(exponent: float) -> str:
    """A power of ten: "10⁻³⁸" for -38, "1" for 0."""
    digits = f"{exponent:.0f}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return "1" if digits in ("⁰", "⁻⁰") else f"10{digits}"


def steps(count: float | None) -> str:
    """A number of steps at three digits: "3.19", "1,360"; "∞" for None and infinity."""
    if count is None or math.isinf(count):
        return "∞"
    return f"{count:.3g}" if abs(count) < 99.95 else f"{float(f'{count:.3g}'):,.0f}"


def cell_title(name: str) -> str:
    """The package's cells as they are written; any other name as it is, on one line, cut to 24 characters."""
    line = " ".join(name.split())
    return CELLS.get(name, line if len(line) <= 24 else line[:23] + "…")


def gate_title(gate: str) -> str:
    """What a map of values is called: "forget gate"; where the cell names no gate, what the values are."""
    return f"{gate} gate" if gate else "d after / d before"


def input_title(name: str) -> str:
    """What a panel or a sentence calls an input."""
    return name if name in ("silent", "driven") else f"driven by {cell_title(name)}"


def listed(values: Iterable[int]) -> str:
    return ", ".join(f"{value:,}" for value in values)
