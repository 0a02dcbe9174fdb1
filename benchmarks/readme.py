"""Writes the README's tables from the records, so that no number in it is typed by hand.

python benchmarks/readme.py            writes them
python benchmarks/readme.py --check    exits with 1 where the README differs
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def compare_table() -> str:
    """Medians over seeds of `gatedrnn compare`."""
    record = json.loads((RESULTS / "gradient-flow" / "comparison.json").read_text())
    header = ("cell", "init", "input", "decades per step", "to 10⁻³", "to zero in float32", "exponent", "verdict")
    rows = [
        (
            row["cell"],
            row["init"],
            row["input"],
            number(row["rate_log10_per_step"], "+.1e"),
            number(row["lag_below_1e3"], ",.0f"),
            number(row["lag_below_float32"], ",.0f"),
            number(row["lyapunov_max"], "+.1e"),
            row["verdict"],
        )
        for row in record["summary"]
    ]
    first = record["runs"][0]
    caption = (
        f"`{record['command']}`: {first['horizon']:,} steps, {first['hidden_size']} units, medians over "
        f"{record['summary'][0]['seeds']} seeds; lags in steps, exponents in nats per step; jax "
        f"{record['versions']['jax']} on {record['device']['platform']}."
    )
    return f"{table(header, rows)}\n\n{caption}"


def unroll_table() -> str:
    """Times of `benchmarks/unroll.py`."""
    record = json.loads((RESULTS / "unroll.json").read_text())
    header = ("forward + backward", "B", "D", "H", "T", "`Segmented`, ms", "`lax.scan` + `jax.grad`, ms", "ratio")
    rows = [
        (
            row["cell"],
            *(f"{row[name]:,}" for name in ("batch", "input_size", "hidden_size", "steps")),
            number(row["segmented"]["ms"], ",.0f"),
            number(row["autodiff"]["ms"], ",.0f"),
            number(row["segmented"]["ms"] / row["autodiff"]["ms"], ".2f"),
        )
        for row in record["rows"]
    ]
    return table(header, rows)


def number(value: float | None, form: str) -> str:
    """The number in the given format, or a dash for what never happened."""
    return "–" if value is None else format(value, form).replace("-", "−")


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES: dict[str, Callable[[], str]] = {"compare": compare_table, "unroll": unroll_table}


def filled(text: str) -> str:
    """`text` with every `<!-- table: NAME -->` block filled."""

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}\n{TABLES[match[2]]()}\n{match[3]}"

    return re.sub(r"(<!-- table: (\w+) -->)\n.*?(<!-- end -->)", fill, text, flags=re.DOTALL)


def main(arguments: list[str]) -> int:
    readme = ROOT / "README.md"
    before = readme.read_text(encoding="utf-8")
    after = filled(before)
    if "--check" in arguments:
        return int(before != after)
    readme.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
