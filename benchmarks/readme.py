"""Writes the README's tables, and the pictures of speed and learning, from the records: no number is typed by hand.

python benchmarks/readme.py            writes them
python benchmarks/readme.py --check    exits with 1 where the README differs
"""

import json
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
OURS = ("gatedrnn", "gatedrnn, 2 devices", "gatedrnn, Checkpointed")
PEERS = ("#000000", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")  # Okabe and Ito's palette


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


def speed_picture(path: Path) -> None:
    """Time and memory against T, and time against B, one line per system."""
    import matplotlib.pyplot as plt

    record = json.loads((RESULTS / "speed.json").read_text())
    first, last = record["growth"][0], record["growth"][-1]
    lengths = [row for row in record["growth"] if row["B"] == first["B"] and row["T"] != last["T"]]
    batches = [row for row in record["growth"] if row["T"] == last["T"]]
    memory = [row for row in record["memory"] if all(row[letter] == first[letter] for letter in "BDH")]
    panels = (
        ("T", f"B = {first['B']}: forward + backward (s)", [(row, row["gradient"]["ms"] / 1e3) for row in lengths]),
        ("T", "peak memory beyond inputs and results (MB)", [(row, row["bytes"] / 1e6) for row in memory]),
        ("B", f"T = {last['T']:,}: forward + backward (s)", [(row, row["gradient"]["ms"] / 1e3) for row in batches]),
    )
    names = list(dict.fromkeys(row["system"] for row in record["growth"]))
    peers = [name for name in names if name not in OURS]
    styles: dict[str, dict[str, Any]] = {name: {"color": PEERS[i]} for i, name in enumerate(peers)}
    styles |= {
        name: {"color": "#0072b2", "linewidth": 2.5, "linestyle": ("-", "--", ":")[i]} for i, name in enumerate(OURS)
    }
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained")
    for axis, (letter, title, points) in zip(axes, panels, strict=True):
        for name in names:
            mine = sorted((row[letter], value) for row, value in points if row["system"] == name)
            if mine:
                axis.loglog(*zip(*mine, strict=True), marker="o", markersize=4, label=name, **styles[name])
        axis.set_xlabel({"T": "T (steps)", "B": "B (sequences)"}[letter])
        axis.set_title(title, loc="left", fontsize=11)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[2].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside right upper")
    figure.suptitle(f"LSTM, D = {first['D']}, H = {first['H']}: growth", x=0.01, ha="left", fontweight="bold")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def records() -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of training that there are, by name."""
    for path in sorted((RESULTS / "records").glob("*.json")):
        yield path.stem, json.loads(path.read_text())


def learning_table() -> str:
    """Who learned what, of `benchmarks/records.py`."""
    header = ("record", "model", "weights", "below target", "after updates", "test loss", "chance", "minutes")
    lines = []
    for name, record in records():
        for entry in record["entries"]:
            at = [step for step in entry["reached"].values() if step is not None]
            seeds = len(entry["reached"])
            target = "–" if entry["target"] is None else f"{len(at)} of {seeds} below {entry['target']:g}"
            losses = entry["test_loss"]
            spread = number(statistics.median(losses), ".2g")
            if seeds > 1:
                spread += f" ({number(min(losses), '.2g')} to {number(max(losses), '.2g')})"
            after = (
                number(statistics.median(at) if at else None, ",.0f") if entry["target"] else f"{entry['updates']:,}"
            )
            chance, minutes = number(entry["chance"], ".3g"), number(entry["seconds"] / 60, ",.1f")
            lines.append((name, entry["label"], f"{entry['weights']:,}", target, after, spread, chance, minutes))
    caption = (
        "Medians over seeds, the least and the largest in brackets; minutes of all seeds of a line together. The whole "
        "configuration and the curves stand in the records."
    )
    return f"{table(header, lines)}\n\n{caption}"


def learning_pictures() -> None:
    """The plateau clock of every record."""
    from gatedrnn import plots

    for name, record in records():
        runs = [
            {
                "cell": entry["setup"]["cell"],
                "init": entry["label"].removeprefix(entry["setup"]["cell"]).strip(" ,") or "default",
                "chance": entry["chance"],
                "rows": entry["rows"],
            }
            for entry in record["entries"]
        ]
        if len({run["chance"] for run in runs}) == 1:
            figure = plots.plateau_clock(runs, title=name, target=record["entries"][0]["target"])
            figure.savefig(RESULTS / "records" / f"{name}.png", dpi=120)


def number(value: float | None, form: str) -> str:
    """The number in the given format, or a dash for what never happened."""
    return "–" if value is None else format(value, form).replace("-", "−")


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES: dict[str, Callable[[], str]] = {
    "compare": compare_table,
    "backward": backward_table,
    "forward": forward_table,
    "memory": memory_table,
    "compile": compile_table,
    "learning": learning_table,
}


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
    speed_picture(RESULTS / "speed.png")
    learning_pictures()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
