"""Tables of training: who learned what."""

import math
import statistics
from collections.abc import Callable

from benchmarks.learning.setups import ATTRACTORS, DIFFER, FRONTED
from benchmarks.shared import Row, number, table
from benchmarks.tables.learned import BELOW_CHANCE, MARGIN, MARK, PUBLISHED, entries, first_below, learned_at, spread
from gatedrnn.tasks import sentences


def learning_table() -> str:
    """Who learned what, of `benchmarks.learning`: the records that stand beside published ones."""
    header = ("record", "model", "weights", "seeds", "after updates", "test loss", "chance", "minutes")
    lines = []
    for name in PUBLISHED:
        for entry in entries(name):
            close = name in BELOW_CHANCE
            mark = learned_at(name, entry)
            found = first_below(entry, mark)
            at = [step for step in found.values() if step is not None]
            final = entry["tests"].get("20 batches", {"loss": entry["test_loss"]})["loss"]
            minutes = number(entry["seconds"] / 60, ",.0f" if entry["seconds"] >= 600 else ".2g")
            lines.append(
                (
                    name,
                    entry["label"].removeprefix(f"{name} "),
                    f"{entry['weights']:,}",
                    f"{len(at)} of {len(found)} below {f'chance by {MARGIN:.0%}' if close else f'{mark:g}'}",
                    spread(at, ",.0f") if at else f"not in {entry['updates']:,}",
                    spread(final, ".3g" if close else ".2g"),
                    number(entry["chance"], ".3g"),
                    f"{'> ' if entry.get('resumed') else ''}{minutes}{'' if entry.get('cores') else ' on 2 cores'}",
                )
            )
    caption = (
        "Medians over seeds, of updates over those that got there; the least and the largest in brackets. Chance: of "
        "the best answer without memory. Minutes: of all seeds of a line together, on one core unless said, often "
        "beside other work; `>`: since it was killed and resumed. Losses of adding, copy and temporal-order-1997: of "
        "20 batches after the end (of lstm chrono over 1,000,000 steps: of the last test). Published: "
        + "; ".join(f"{name}: {what}" for name, what in PUBLISHED.items() if entries(name))
        + f".{against_1997()}{million()}"
    )
    return f"{table(header, lines)}\n\n{caption}"


def against_1997() -> str:
    """How many sequences temporal order took beside those of 1997, and how many of as many fresh ones were wrong."""
    told = []
    for entry in entries("temporal-order-1997"):
        steps = [step for step in entry["reached"].values() if step is not None]
        if len(steps) == len(entry["reached"]):
            batch, test = entry["setup"]["batch"], entry["tests"]["20 batches"]
            fresh = test["B"] * test["batches"]
            wrong = [round((1 - right) * fresh) for right in test["accuracy"]]
            sequences = spread([step * batch for step in steps], ",.0f")
            told.append(f"{entry['label']}: {sequences} sequences, {spread(wrong, ',.0f')} of {fresh:,} wrong")
    return f" In the same terms temporal-order-1997, where every seed learned it: {'; '.join(told)}." if told else ""


def million() -> str:
    """What a million steps would take from the narrow input layer, from its pace and what ten times fewer took."""
    narrow = [entry for entry in entries("adding-100000") if "wide" not in entry["label"]]
    needed = [step for entry in narrow for step in first_below(entry, MARK).values() if step is not None]
    entry = next(iter(entries("adding-1000000")), None)
    if entry is None or not needed:
        return ""
    pace, memory = entry["seconds"] / entry["updates"], entry["peak_bytes"] / 1e9
    least, most = (updates * pace / 3600 for updates in (min(needed), max(needed)))
    return (
        f" Over 1,000,000 steps, {entry['label']} takes {pace:.0f} s an update of {entry['setup']['batch']} sequences "
        f"on one core with {memory:.2f} GB; the {min(needed)} to {max(needed)} updates that adding-100000 took to "
        f"{MARK:g} would take {least:.1f} to {most:.1f} hours; it was given {entry['seconds'] / 3600:.1f}, and is at "
        "chance."
    )


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
    numbers = [str(k) for k in ATTRACTORS]
    lines = []
    for entry in entries("agreement"):
        words, _, model = entry["label"].partition(" ")
        right = [entry["tests"].get(k, {"accuracy": None})["accuracy"] for k in numbers]
        cells = ("–" if found is None else spread(found, ".0%") for found in right)
        lines.append((f"{int(words):,}", model, *cells))
    rules = [sentences.shortcuts(int(k), DIFFER, FRONTED) for k in numbers]
    lines += [("any", f"*{rule}*", *(number(each[rule], ".0%") for each in rules)) for rule in rules[0]]
    header = ("words", "model", f"nouns between: {numbers[0]}", *numbers[1:])
    return f"{table(header, lines)}\n\n{agreement_terms()} A dash: as many nouns do not fit."


def agreement_terms() -> str:
    """What every entry of the agreement record has in common."""
    first = entries("agreement")[0]
    setup = first["setup"]
    return (
        f"{setup['hidden_size']} units, at most {first['budget']:,} updates of {setup['batch']} sentences; medians "
        f"over {len(first['reached'])} seeds, the least and the largest in brackets, {20 * setup['batch']} sentences "
        "each."
    )


def distance_table() -> str:
    """Accuracy of models trained on sentences of 30 words, on longer ones."""
    lines, lengths = [], []
    for entry in entries("agreement"):
        longer = {name: found["accuracy"] for name, found in entry["tests"].items() if name.startswith("T = ")}
        if longer:
            lengths = list(longer)
            lines.append((entry["label"].partition(" ")[2], *(spread(found, ".1%") for found in longer.values())))
    header = ("trained on 30 words", *(f"{length.removeprefix('T = ')} words" for length in lengths))
    return f"{table(header, lines)}\n\n{agreement_terms()}"


def choice_table() -> str:
    """RNN, GRU and LSTM of equal units and of equal weights."""
    groups: dict[tuple[str, str], dict[str, Row]] = {}
    for entry in entries("gru-or-lstm"):
        task, size, cell = entry["label"].split(", ")
        groups.setdefault((size, cell), {})[task] = entry
    columns: dict[str, Callable[[dict[str, Row]], str]] = {
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
