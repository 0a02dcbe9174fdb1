"""What the README shows of the records: three numbers, speed in six rows, memory in one."""

import json
import statistics

from benchmarks.shared import RESULTS, number, table
from benchmarks.speed.reading import by_problem, fastest, size_of, speed_record
from benchmarks.speed.systems import FORWARD_ONLY, OURS
from benchmarks.tables.learned import entries, first_below, learned_at
from benchmarks.tables.speed_tables import against_peer

SHOWN = ("16 32 128 10,000", "32 64 256 2,000")  # B D H T


def numbers_table() -> str:
    """Gradient, learning and speed in a line each, with the command that measures it."""
    rows = [
        (gradient(), "`gatedrnn compare`"),
        (learned(), "`python -m benchmarks.learning adding-10000`"),
        (speed(), "`python -m benchmarks.speed`"),
    ]
    return table(("measured", "by"), rows)


def gradient() -> str:
    """What is left of a gradient of norm 1, of the GRU driven by text."""
    record = json.loads((RESULTS / "gradient-flow" / "comparison.json").read_text())
    left = {row["init"]: row["lowest"] for row in record["summary"] if (row["cell"], row["input"]) == ("gru", "text")}
    return (
        f"{record['runs'][0]['horizon']:,} steps back in text, **{10 ** left['chrono']:.2f}** of a GRU's gradient is "
        f"left with its gates set to the horizon, and 10^{number(left['default'], ',.0f')} with its default weights"
    )


def learned() -> str:
    """How many seeds learn to add over 10,000 steps."""
    told = []
    for entry in entries("adding-10000"):
        if entry["label"].startswith("lstm"):
            found = first_below(entry, learned_at("adding-10000", entry))
            told.append(sum(step is not None for step in found.values()))
            seeds = len(found)
    return (
        f"to add two numbers marked among 10,000, **{told[0]} of {seeds}** LSTMs learn with gates set to the horizon, "
        f"and {told[1]} of {seeds} with a forget bias of 1"
    )


def speed() -> str:
    """Ratios of forward + backward to the fastest other system."""
    ratios = []
    for rows in by_problem(speed_record()):
        others = [name for name in rows if name not in (*OURS, *FORWARD_ONLY)]
        ratios.append(fastest(rows, "gradient", OURS)[1] / fastest(rows, "gradient", others)[1])
    return (
        f"forward and backward take **{statistics.median(ratios):.2f}** of the time of the fastest of torch, flax, "
        f"keras, haiku, equinox and `lax.scan` (median of {len(ratios)} sizes, {min(ratios):.2f} to "
        f"{max(ratios):.2f}; two cores)"
    )


def speed_table() -> str:
    """Forward and backward times at two sizes."""
    rows = [
        against_peer(found, "gradient")[1]
        for found in by_problem(speed_record())
        if size_of(next(iter(found.values()))) in SHOWN
    ]
    return table(("", "B D H T", "gatedrnn, ms", "on 2 devices", "fastest peer", "ratio"), rows)


def memory_row_table() -> str:
    """Peak memory of the LSTM at the first size."""
    rows = speed_record()["memory"]
    taken = {row["system"]: row["bytes"] for row in rows if row["cell"] == "lstm" and size_of(row) == size_of(rows[0])}
    peer = min((name for name in taken if name not in OURS), key=lambda name: taken[name])
    shown = (OURS[0], OURS[2], peer)
    header = (f"lstm, B D H T = {size_of(rows[0])}", *shown[:2], f"leanest peer: {peer}")
    return table(
        header, [("MB beyond inputs, outputs and gradients", *(f"{taken[name] / 1e6:,.0f}" for name in shown))]
    )
