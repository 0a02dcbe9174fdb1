"""The README's tables of gradient flow, time, memory and compilation."""

import json
import statistics
from collections.abc import Iterable, Iterator
from typing import Any

from formats import RESULTS, number, table
from systems import OURS


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


def by_problem(record: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, dict[str, Any]]]]:
    """For each cell and size of the record: its description, and the rows by system."""
    groups: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    for row in record["rows"]:
        groups.setdefault((row["cell"], *(row[letter] for letter in "BDHT")), {})[row["system"]] = row
    for (cell, *size), rows in groups.items():
        yield {"cell": cell} | dict(zip("BDHT", size, strict=True)), rows


def fastest(rows: dict[str, dict[str, Any]], kind: str, names: Iterable[str]) -> tuple[str, float]:
    """The name and the milliseconds of the fastest of some systems."""
    times = {name: rows[name][kind]["ms"] for name in names if name in rows and rows[name][kind] is not None}
    name = min(times, key=lambda name: times[name])
    return name, times[name]


def backward_table() -> str:
    """Forward and backward times of `benchmarks/speed.py`."""
    record = json.loads((RESULTS / "speed.json").read_text())
    header = ("", "B D H T", "gatedrnn, ms", "on 2 devices", "fastest peer", "ratio", "share of the limit")
    lines = []
    for what, rows in by_problem(record):
        name, peer = fastest(rows, "gradient", [name for name in rows if name not in OURS])
        best = fastest(rows, "gradient", OURS)[1]
        two = rows.get(OURS[1])
        share = rows[OURS[0]]["necessary_gflop"] / best * 1e3 / record["limit_gflops"]
        lines.append(
            (
                what["cell"],
                " ".join(f"{what[letter]:,}" for letter in "BDHT"),
                number(rows[OURS[0]]["gradient"]["ms"], ",.0f"),
                number(two and two["gradient"]["ms"], ",.0f"),
                f"{name} {number(peer, ',.0f')}",
                number(best / peer, ".2f"),
                number(share, ".0%"),
            )
        )
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    caption = (
        f"Medians; {record['device']['cores']} cores, limit {record['limit_gflops']:.0f} GFLOP/s (a large float32 "
        f"matrix product in the same run). {versions}."
    )
    return f"{table(header, lines)}\n\n{caption}"


def forward_table() -> str:
    """Forward times of `benchmarks/speed.py`."""
    record = json.loads((RESULTS / "speed.json").read_text())
    header = (
        "",
        "B D H T",
        "gatedrnn, ms",
        "on 2 devices",
        "fastest training framework",
        "ratio",
        "onnxruntime",
        "ratio",
    )
    lines = []
    for what, rows in by_problem(record):
        name, peer = fastest(rows, "forward", [name for name in rows if name not in (*OURS, "onnxruntime")])
        best, onnx = fastest(rows, "forward", OURS)[1], rows["onnxruntime"]["forward"]["ms"]
        two = rows.get(OURS[1])
        lines.append(
            (
                what["cell"],
                " ".join(f"{what[letter]:,}" for letter in "BDHT"),
                number(rows[OURS[0]]["forward"]["ms"], ",.0f"),
                number(two and two["forward"]["ms"], ",.0f"),
                f"{name} {number(peer, ',.0f')}",
                number(best / peer, ".2f"),
                number(onnx, ",.0f"),
                number(best / onnx, ".2f"),
            )
        )
    return table(header, lines)


def memory_table() -> str:
    """Peak memory of `benchmarks/speed.py`."""
    record = json.loads((RESULTS / "speed.json").read_text())
    first = record["memory"][0]
    rows = [row for row in record["memory"] if all(row[letter] == first[letter] for letter in "BDHT")]
    names = list(dict.fromkeys(row["system"] for row in rows))
    taken = {(row["system"], row["cell"]): row["bytes"] for row in rows}
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    lines = []
    for name in names:
        found = [taken.get((name, cell)) for cell in cells]
        lines.append((name, *(number(None if value is None else value / 1e6, ",.0f") for value in found)))
    size = " ".join(f"{first[letter]:,}" for letter in "BDHT")
    return table((f"B D H T = {size}; MB beyond inputs and results", *cells), lines)


def compile_table() -> str:
    """Seconds to trace and compile forward + backward, and whether they depend on T."""
    record = json.loads((RESULTS / "speed.json").read_text())
    names = [name for name in dict.fromkeys(row["system"] for row in record["rows"]) if "devices" not in name]
    names = [name for name in names if any(row["compile_s"] for row in record["rows"] if row["system"] == name)]
    lines = []
    for cell in dict.fromkeys(row["cell"] for row in record["rows"]):
        found = []
        for name in names:
            taken = [row["compile_s"] for row in record["rows"] if (row["system"], row["cell"]) == (name, cell)]
            found.append(number(statistics.median(taken) if taken else None, ".2f"))
        lines.append((cell, *found))
    growth = [row for row in record["growth"] if row["system"] == "gatedrnn" and row["B"] == record["growth"][0]["B"]]
    lengths = ", ".join(f"{row['T']:,}: {row['compile_s']:.2f}" for row in sorted(growth, key=lambda row: row["T"]))
    return f"{table(('seconds, medians over sizes', *names), lines)}\n\ngatedrnn, lstm, by T: {lengths}."
