"""Where the results stand, and how numbers and tables are written."""

import statistics
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def number(value: float | None, form: str) -> str:
    """The number in the given format, or a dash for what never happened."""
    return "–" if value is None else format(value, form).replace("-", "−")


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: list[float], form: str) -> str:
    """The median, and the least and the largest where there are several."""
    middle = number(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} ({number(min(values), form)} to {number(max(values), form)})"
