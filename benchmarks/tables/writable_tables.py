"""Tables of what units made writable learn: adding at three horizons, copying, and that at several learning rates."""

from benchmarks.shared import Row, table
from benchmarks.tables.learned import MARK, PUBLISHED, entries, first_below, spread
from gatedrnn.tasks import _copying as copying


def writable_table() -> str:
    """Adding by writable units, all seeds of a cell and a horizon in one line."""
    found: dict[str, list[Row]] = {}
    for entry in entries("adding-writable"):
        found.setdefault(entry["label"].partition(", seed")[0], []).append(entry)
    lines = []
    for label, parts in found.items():
        at = [step for part in parts for step in first_below(part, MARK).values()]
        there = [step for step in at if step is not None]
        final = [loss for part in parts for loss in part["tests"]["20 batches"]["loss"]]
        each = [part["seconds"] / 60 / len(part["reached"]) for part in parts]
        seeds = f"{len(there)} of {len(at)}"
        lines.append((label, seeds, spread(there, ",.0f"), spread(final, ".2g"), spread(each, ".2g")))
    first = entries("adding-writable")[0]
    setup, updates = first["setup"], first["updates"]
    caption = (
        f"{setup['hidden_size']} units, {setup['batch']} sequences an update, Adam at a rate that falls along a "
        "cosine; medians, the least and the largest in brackets. Minutes on one core; where seeds were trained "
        "together, their share."
    )
    header = (
        "cell, T",
        f"seeds below {MARK:g}",
        "after updates",
        f"loss of 20 batches after {updates}",
        "minutes a seed",
    )
    return f"{table(header, lines)}\n\n{caption}"


def copying_table() -> str:
    """Copying: the loss over all steps, and how many of the symbols are right."""
    lines = []
    for entry in entries("copy-1000"):
        test = entry["tests"]["20 batches"]
        steps = test["T"] + 2 * copying.LENGTH
        right = [max(0.0, 1 - (1 - accuracy) * steps / copying.LENGTH) for accuracy in test["accuracy"]]
        name, weights = entry["label"], f"{entry['weights']:,}"
        lines.append((name, weights, f"{entry['updates']:,}", spread(test["loss"], ".3g"), spread(right, ".1%")))
    first = entries("copy-1000")[0]
    caption = (
        f"{first['setup']['batch']} sequences an update; medians over {len(first['reached'])} seeds, the least and the "
        f"largest in brackets. Without memory the loss is {first['chance']:.3g}. A blank said wrong counts as a wrong "
        f"symbol. Published: {PUBLISHED['copy-1000']}."
    )
    header = ("model", "weights", "updates", "loss of 20 batches", "symbols right")
    return f"{table(header, lines)}\n\n{caption}"


def rates_table() -> str:
    """Copying over fewer steps: the loss to chance by learning rates."""
    lines = []
    for entry in entries("copy-rates"):
        cell, _, rates = entry["label"].partition(" ")
        readout, recurrence = rates.split(", recurrence ")
        shares = [loss / entry["chance"] for loss in entry["tests"]["20 batches"]["loss"]]
        lines.append((cell, readout, recurrence, spread(shares, ".2g")))
    first = entries("copy-rates")[0]
    caption = (
        f"T = {first['setup']['horizon']}, {first['updates']} updates of {first['setup']['batch']} sequences; medians "
        f"over {len(first['reached'])} seeds, the least and the largest in brackets."
    )
    header = ("cell", "learning rate: readout", "recurrence", "loss / loss without memory")
    return f"{table(header, lines)}\n\n{caption}"
