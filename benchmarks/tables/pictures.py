"""The pictures of speed and learning, from the records."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.shared import RESULTS, Row
from benchmarks.speed.reading import speed_record
from benchmarks.speed.systems import FORWARD_ONLY, OURS
from benchmarks.tables.learned import BELOW_CHANCE, records

# Okabe and Ito's palette, and brown
PEERS = ("#000000", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#7f3b08")
MARKERS = "osD^v<>Xph*"  # lines lie on each other where XLA makes the same program of them


def speed_picture(path: Path) -> None:
    """Time forward, time forward + backward and memory, against T and against B, one line per system."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullLocator

    record = speed_record()
    growth, first, last = record["growth"], record["growth"][0], record["growth"][-1]
    memory = [row for row in record["memory"] if all(row[key] == first[key] for key in ("cell", "D", "H"))]
    panels = (
        ("forward alone (s)", [(row, row["forward"]["ms"] / 1e3) for row in growth]),
        ("forward + backward (s)", [(row, row["gradient"]["ms"] / 1e3) for row in growth if row["gradient"]]),
        (
            "peak memory of\nforward + backward beyond inputs,\noutputs and gradients (MB)",
            [(row, row["bytes"] / 1e6) for row in memory],
        ),
    )
    styles = line_styles(dict.fromkeys(row["system"] for row in growth))
    figure, axes = plt.subplots(2, 3, figsize=(11, 8.4), layout="constrained")
    handles: dict[str, Any] = {}
    for (title, points), (above, below) in zip(panels, axes.T, strict=True):
        against_t = [(row, y) for row, y in points if row["B"] == first["B"] and row["T"] != last["T"]]
        against_b = [(row, y) for row, y in points if row["T"] == last["T"]]
        for axis, letter, shown in ((above, "T", against_t), (below, "B", against_b)):
            for name, style in styles.items():
                mine = sorted((row[letter], y) for row, y in shown if row["system"] == name)
                if mine:
                    (handles[name],) = axis.loglog(*zip(*mine, strict=True), markersize=5, **style)
            axis.set_xticks(sorted({row[letter] for row, _ in shown}))
            axis.xaxis.set_major_formatter("{x:,.0f}")
            axis.xaxis.set_minor_locator(NullLocator())
            axis.tick_params(axis="x", labelsize=9)
            axis.set_xlabel({"T": "T (steps)", "B": "B (sequences)"}[letter])
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
        above.set_title(f"B = {first['B']}: {title}", loc="left", fontsize=11)
        below.set_title(f"T = {last['T']:,}: {title}", loc="left", fontsize=11)
    names = [name for name in styles if name in handles]
    figure.legend([handles[name] for name in names], names, frameon=False, ncols=4, loc="outside lower center")
    missing = [
        "two devices need two sequences",
        *(f"{name} has no backward pass" for name in FORWARD_ONLY if name in names),
    ]
    title = f"{first['cell'].upper()}, D = {first['D']}, H = {first['H']}: what longer and more sequences take"
    figure.suptitle(f"{title}\n({'; '.join(missing)})", x=0.01, ha="left", fontweight="bold")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def line_styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """How every system's line is drawn: ours first, in one colour."""
    peers = [name for name in names if name not in OURS]
    ours = [{"color": "#0072b2", "linewidth": 2.5, "linestyle": style} for style in ("-", "--", ":")]
    theirs = [{"color": color} for color in PEERS[: len(peers)]]
    drawn = dict(zip(OURS, ours, strict=True)) | dict(zip(peers, theirs, strict=True))
    return {name: drawn[name] | {"marker": marker} for name, marker in zip(drawn, MARKERS, strict=False)}


MOST_CURVES = 7  # in one picture, as many as there are colours


def learning_pictures() -> None:
    """The plateau clock of every record; one per task and horizon where a single one would not tell them apart."""
    from gatedrnn import plots

    for name, record in records():
        pictures: dict[str, list[Row]] = {}
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
            target = None if name in BELOW_CHANCE else shown[0]["target"]
            figure = plots.plateau_clock(runs, title=title(place, shown[0]["setup"]), target=target)
            figure.savefig(RESULTS / "records" / f"{place}.png", dpi=120)


def title(place: str, setup: Row) -> str:
    """What was learned, and the picture's record where that is another one than the task's own."""
    task, horizon = setup["task"], setup["horizon"]
    learned, own = f"{task}, {horizon:,} steps", f"{task}-{horizon}"
    return learned if place == own else f"{learned} ({place.removesuffix(f'-{own}')})"


def words(entry: Row, apart: bool) -> str:
    """What tells an entry from the others in its picture, beside its cell."""
    setup = entry["setup"]
    known = {setup["cell"]}
    if apart:
        known |= {setup["task"], f"{setup['horizon']}", f"{setup['horizon']:,}"}
    return " ".join(word for word in entry["label"].split() if word.rstrip(",") not in known).strip(" ,")
