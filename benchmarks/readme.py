"""Writes the README's tables, and the pictures of speed and learning, from the records: no number is typed by hand.

python benchmarks/readme.py            writes them
python benchmarks/readme.py --check    exits with 1 where the README differs
"""

import json
import math
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


PUBLISHED = {
    "adding-10000": "LEM, 128 units, batch 50: below 0.01 at 1,900 (Rusch 2022)",
    "adding-100000": "none",
    "adding-1000000": "none",
    "copy-1000": "LSTM 0.0204 (Bai 2018)",
    "adding-600": "LSTM 0.164, GRU 5.3e-5, RNN 0.177 (Bai 2018)",
    "adding-750": "LSTM: chrono about 7 times fewer updates than bias 1 (Tallec, Ollivier 2018)",
    "temporal-order": "none at this budget",
}
"""What others report for the records with a target."""


def entries(name: str) -> list[dict[str, Any]]:
    """The entries of a record of training; none where it was not taken."""
    return dict(records()).get(name, {"entries": []})["entries"]


def spread(values: list[float], form: str) -> str:
    """The median, and the least and the largest where there are several."""
    middle = number(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} ({number(min(values), form)} to {number(max(values), form)})"


def learning_table() -> str:
    """Who learned what, of `benchmarks/records.py`: the records that stand beside published ones."""
    header = ("record", "model", "weights", "below target", "after updates", "test loss", "chance", "minutes")
    lines = []
    for name in PUBLISHED:
        for entry in entries(name):
            at = [step for step in entry["reached"].values() if step is not None]
            larger = entry["tests"].get("20 batches")
            minutes = number(entry["seconds"] / 60, ",.0f" if entry["seconds"] >= 600 else ".2g")
            lines.append(
                (
                    name,
                    entry["label"].removeprefix(f"{name} "),
                    f"{entry['weights']:,}",
                    f"{len(at)} of {len(entry['reached'])} below {entry['target']:g}",
                    number(statistics.median(at) if at else None, ",.0f"),
                    spread(larger["loss"] if larger else entry["test_loss"], ".2g"),
                    number(entry["chance"], ".3g"),
                    f"> {minutes}" if entry.get("resumed") else minutes,
                )
            )
    caption = (
        "Medians over seeds, of updates over those that reached the target; the least and the largest in brackets. "
        "Chance: of the best answer without memory. Minutes: of all seeds of a line together, on one core (two where "
        "the record names none; `>`: since it was killed and resumed). Adding over 10,000 and 100,000 steps: the loss "
        "of 320 sequences after the end. Published: "
        + "; ".join(f"{name}: {what}" for name, what in PUBLISHED.items() if entries(name))
        + "."
    )
    return f"{table(header, lines)}\n\n{caption}"


def digits_table() -> str:
    """Accuracy on held-out digits."""
    found: dict[str, dict[str, str]] = {}
    for entry in entries("digits"):
        task = entry["setup"]["task"]
        model = entry["label"].removeprefix(task).strip()
        found.setdefault(model, {})[task] = spread(entry["test_accuracy"], ".1%")
    tasks = list(dict.fromkeys(entry["setup"]["task"] for entry in entries("digits")))
    first = entries("digits")[0]
    caption = (
        f"{first['setup']['hidden_size']} units, {first['updates']:,} updates of {first['setup']['batch']} sequences. "
        "Published for 784 pixels of permuted MNIST, 512 units: 96.3 % (chrono) and 95.4 % (bias 1) (Tallec, Ollivier "
        "2018); these digits are smaller, so the numbers do not compare, only the order of the two."
    )
    lines = [(model, *(row.get(task, "–") for task in tasks)) for model, row in found.items()]
    return f"{table(('right, of held-out digits', *tasks), lines)}\n\n{caption}"


def agreement_table() -> str:
    """Accuracy by the words and the nouns between the subject and its verb, beside rules that need no grammar."""
    from setups import ATTRACTORS, DIFFER, FRONTED

    from gatedrnn.tasks import sentences

    numbers = [str(k) for k in ATTRACTORS]
    lines = []
    for entry in entries("agreement"):
        words, _, model = entry["label"].partition(" ")
        right = [entry["tests"].get(k, {"accuracy": None})["accuracy"] for k in numbers]
        cells = (number(None if found is None else statistics.median(found), ".1%") for found in right)
        lines.append((f"{int(words):,}", model, *cells))
    rules = [sentences.shortcuts(int(k), DIFFER, FRONTED) for k in numbers]
    lines += [("any", f"*{rule}*", *(number(each[rule], ".1%") for each in rules)) for rule in rules[0]]
    return table(("words", "model", *(f"{k} attractors" for k in numbers)), lines)


def distance_table() -> str:
    """Accuracy of models trained on sentences of 30 words, on longer ones."""
    lines, lengths = [], []
    for entry in entries("agreement"):
        longer = {name: found["accuracy"] for name, found in entry["tests"].items() if name.startswith("T = ")}
        if longer:
            lengths = list(longer)
            lines.append((entry["label"], *(spread(found, ".1%") for found in longer.values())))
    return table(("trained on 30 words", *(f"{length.removeprefix('T = ')} words" for length in lengths)), lines)


def choice_table() -> str:
    """RNN, GRU and LSTM of equal units and of equal weights."""
    groups: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for entry in entries("gru-or-lstm"):
        task, size, cell = entry["label"].split(", ")
        groups.setdefault((size, cell), {})[task] = entry
    columns: dict[str, Callable[[dict[str, dict[str, Any]]], str]] = {
        "lines of equations": lambda row: f"{row['adding']['analysis']['equations']}",
        "units (adding)": lambda row: f"{row['adding']['setup']['hidden_size']}",
        "weights (adding)": lambda row: f"{row['adding']['weights']:,}",
        "multiplications per step": lambda row: f"{row['adding']['analysis']['multiplications_per_step']:,}",
        "µs per step": lambda row: number(row["adding"]["analysis"]["microseconds_per_step"], ".0f"),
        "MB": lambda row: number(row["adding"]["analysis"]["bytes"] / 1e6, ".1f"),
        "adding, T = 200: loss": lambda row: spread(row["adding"]["test_loss"], ".2g"),
        "copy, T = 100: loss": lambda row: spread(row["copy"]["test_loss"], ".2g"),
        "agreement, 30 words: right": lambda row: spread(row["agreement"]["tests"]["T = 30"]["accuracy"], ".1%"),
        "1,000 words": lambda row: spread(row["agreement"]["tests"]["T = 1,000"]["accuracy"], ".1%"),
        "aⁿbⁿ, n ≤ 100: right": lambda row: spread(row["anbn"]["tests"]["n <= 100"]["accuracy"], ".1%"),
        "n ≤ 1,000": lambda row: spread(row["anbn"]["tests"]["n <= 1,000"]["accuracy"], ".1%"),
        "parity, 32 bits: right": lambda row: spread(row["parity"]["tests"]["T = 32"]["accuracy"], ".1%"),
        "256 bits": lambda row: spread(row["parity"]["tests"]["T = 256"]["accuracy"], ".1%"),
    }
    complete = {key: row for key, row in groups.items() if len(row) == 5}
    header = ("", *(f"{cell}, {size}" for size, cell in complete))
    lines = [(name, *(show(row) for row in complete.values())) for name, show in columns.items()]
    first = entries("gru-or-lstm")[0]
    sizes = first["analysis"]["sizes"]
    caption = (
        f"{first['updates']:,} updates of {first['setup']['batch']} sequences, Adam 3e-3, clipping 1, chrono "
        f"initialisation where there are gates; medians over {len(first['reached'])} seeds, the least and the largest "
        f"in brackets. Multiplications: forward, of one sequence; µs: forward and backward of {sizes['B']} sequences "
        f"of {sizes['T']:,} steps, on one core; MB: what that takes beyond inputs and gradients. Chance: 0.167, "
        + number(next(entry["chance"] for entry in entries("gru-or-lstm") if entry["label"].startswith("copy")), ".3g")
        + " and 50 %."
    )
    return f"{table(header, lines)}\n\n{caption}"


def text_table() -> str:
    """Bits per byte by window, and how far back the gradient reaches."""
    lines = []
    for entry in entries("text"):
        window, cell = entry["label"].split(" ")
        there = entry["tests"]["10,000 bytes"]["loss"]
        reach = [found["lag_below_1e3"] for found in entry["analysis"]["reach"]]
        lines.append(
            (
                window,
                cell,
                spread([loss / math.log(2) for loss in entry["test_loss"]], ".3f"),
                spread([loss / math.log(2) for loss in there], ".3f"),
                number(None if None in reach else statistics.median(reach), ",.0f"),
                number(entry["seconds"] / 60, ",.1f"),
            )
        )
    header = ("window", "model", "bits per byte, own window", "10,000 bytes", "gradient below 10⁻³ at lag", "minutes")
    first = entries("text")[0]
    caption = (
        f"{first['setup']['hidden_size']} units, {first['updates']:,} updates of 10,000 bytes each, whatever the "
        "window; held-out end of the help text that ships with Python. The lag is of the trained models, in held-out "
        "text."
    )
    return f"{table(header, lines)}\n\n{caption}"


MOST_CURVES = 7  # in one picture, as many as there are colours


def learning_pictures() -> None:
    """The plateau clock of every record; one per task and horizon where a single one would not tell them apart."""
    from gatedrnn import plots

    for name, record in records():
        pictures: dict[str, list[dict[str, Any]]] = {}
        apart = len({entry["chance"] for entry in record["entries"]}) > 1 or len(record["entries"]) > MOST_CURVES
        for entry in record["entries"]:
            setup = entry["setup"]
            place = f"{setup['task']}-{setup['horizon']}" if apart else name
            place = place if place.startswith(name) else f"{name}-{place}"
            pictures.setdefault(place, []).append(entry)
        for place, shown in pictures.items():
            runs = [
                {
                    "cell": entry["setup"]["cell"],
                    "init": words(entry, apart) or "default",
                    "chance": entry["chance"],
                    "rows": entry["rows"],
                }
                for entry in shown
            ]
            figure = plots.plateau_clock(runs, title=place, target=shown[0]["target"])
            figure.savefig(RESULTS / "records" / f"{place}.png", dpi=120)


def words(entry: dict[str, Any], apart: bool) -> str:
    """What tells an entry from the others in its picture, beside its cell."""
    setup = entry["setup"]
    known = {setup["cell"]}
    if apart:
        known |= {setup["task"], f"{setup['horizon']}", f"{setup['horizon']:,}"}
    return " ".join(word for word in entry["label"].split() if word.rstrip(",") not in known).strip(" ,")


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
    "digits": digits_table,
    "agreement": agreement_table,
    "distance": distance_table,
    "choice": choice_table,
    "text": text_table,
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
