"""The pictures of speed and learning, from the records."""

import json
from pathlib import Path
from typing import Any

from formats import RESULTS
from learning_tables import records
from systems import OURS

PEERS = ("#000000", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")  # Okabe and Ito's palette


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
