"""The page of an inspection: what a model looks back at in a file, its pictures, tables and words."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gatedrnn import plots
from gatedrnn.flow import Inspection
from gatedrnn.report._inspected import Line, lines, place_name, unit_name
from gatedrnn.report._parts import bullets, entry, gates, picture, provenance, row_header, table, whole
from gatedrnn.report._words import number

Record = Mapping[str, Any]

DECADES = 4  # of the colours of signed numbers
ROWS = 6  # of signed numbers: the columns of a series that count most


def inspection_html(found: Inspection, record: Record) -> str:
    """Writes an inspection as one HTML page that loads nothing, for a wide or narrow, light or dark screen.

    Args:
        found: what `gatedrnn.flow.inspect` returns.
        record: its `record()`, with `reading` beside it: `kind` (text or series), `cell`, `source`, `model`, `answer`,
            `read` (letters, or values [L, C], of the steps shown), `first` (the number of the first of them), `rows`
            (names of the signed numbers of a step), `rows_mean` (what they are), `loss`, `loss_unit`; and, where there
            are any, `notes`, `versions`, `device` and `command`.
    """
    reading = record["reading"]
    title = f"What {plots.cell_title(reading['cell'])} looks back at in {reading['source']}"
    sections = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(_introduction(record))}</p>",
        "<h2>What the measurement says</h2>",
        _findings(lines(record)),
        "<h2>What counted, step by step</h2>",
        picture(
            lambda dark, columns: strip(record, dark=dark, columns=columns), _strip_alt(record), _strip_words(record)
        ),
        "<h2>The gradient on its way back</h2>",
        _gradient(found, record),
        "<h2>Audits</h2>",
        picture(
            lambda dark, columns: plots.audits(record, dark=dark, columns=columns),
            "Curves: how much each step counts, what windows keep, where formats part, and states beyond training.",
            "A window keeps the gradient where its cosine and the ratio of norms are within 1 % of one.",
        ),
        _windows(record),
        *gates(named_maps(found, record)),
        "<h2>How disturbances grow</h2>",
        picture(
            lambda dark, columns: plots.spectrum(found.spectrum, dark=dark, columns=columns),
            "The leading Lyapunov exponents with their errors, and how they converged.",
            "Below zero a disturbance of the state dies out, forward in time; gradients shrink as fast going back.",
        ),
        "<h2>How it was measured</h2>",
        bullets([*_method(record), *record.get("notes", ())]),
        *_left_out(record["left_out"]),
        *provenance(record),
    ]
    return whole(title, sections)


def strip(record: Record, *, dark: bool = False, columns: int = 2) -> Figure:
    """The sentence strip: signed sensitivities of the steps shown, then gates and memory of the units that matter."""
    reading, shown = record["reading"], record["strip"]
    top = _top(record)
    logs = np.array([[-math.inf if log is None else log for log in step] for step in shown["log10"]])  # [L, R]
    values = np.array(shown["sign"]) * np.clip(1 + (logs - top) / DECADES, 0, 1)
    chosen = sorted(np.argsort(-logs.max(0), kind="stable")[:ROWS].tolist())
    panels = [("", [plots.Strip(plots.cell_title(reading["rows"][r]), values[:, r], -1.0, 1.0) for r in chosen])]
    for unit in shown["units"]:
        name = f"{unit_name(unit['place'], unit['unit'])}, {_share(unit['share'])}"
        panels.append((name, _unit_rows(unit)))
    return plots.reading_strip(
        reading["read"] if reading["kind"] == "text" else np.array(reading["read"])[:, chosen],
        panels,
        first=reading["first"],
        title=reading["source"],
        subtitle=f"towards {reading['answer']}",
        key=_key(top),
        columns=columns,
        dark=dark,
    )


def short(name: str) -> str:
    """What a curve is called: a cell by its name, which has its colour, a network by what it is."""
    return "network" if "(" in name else name


def named_maps(found: Inspection, record: Record) -> list[dict[str, Any]]:
    """The gate maps, each named by its layer, driven by what was read."""
    places = list(found.timescales)
    named = []
    for place, one in zip(places, found.gate_maps, strict=True):
        cell = plots.cell_title(one.cell) + (f", {place_name(place)}" if place else "")
        named.append({**vars(one), "cell": cell, "input": record["reading"]["kind"]})
    return named


def _introduction(record: Record) -> str:
    reading = record["reading"]
    return (
        f"The model {reading['model']} has read {reading['source']}. The answer that is looked at is "
        f"{reading['answer']}; what is measured is how it would change with what was read before, with the states, and "
        "with the weights."
    )


def _findings(found: Sequence[Line]) -> str:
    words = lambda text: escape(text).replace(" %", "&nbsp;%")  # no line begins with a sign
    items = "".join(f"<dt>{escape(line.name)}</dt><dd>{words(line.text)}</dd>" for line in found)
    return f"<dl>{items}</dl>"


def _unit_rows(unit: Record) -> list[plots.Strip]:
    held = _numbers(unit["memory"])
    most = float(np.nanmax(np.abs(held))) or 1.0
    rows = [
        plots.Strip(plots.gate_title(name), _numbers(values), 0.0, 1.0)
        for name, values in unit["gates"].items()
        if name != "candidate" and not (_numbers(values) < 0).any()  # of what is written the memory tells
    ]
    return [*rows, plots.Strip(f"memory, ±{number(most, 2)}", held, -most, most)]


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _top(record: Record) -> float:
    """The largest power of ten among the signed numbers shown, rounded up; 0 where all are zero."""
    logs = [log for step in record["strip"]["log10"] for log in step if log is not None]
    return float(math.ceil(max(logs))) if logs else 0.0


def _key(top: float) -> plots.Key:
    size = plots.ten_to
    labels = ["−" + size(top), "−" + size(top - DECADES / 2), "0", size(top - DECADES / 2), size(top)]
    return plots.Key((-1.0, -0.5, 0.0, 0.5, 1.0), labels, "lowers, raises")


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"


def _strip_alt(record: Record) -> str:
    units = ", ".join(unit_name(each["place"], each["unit"]) for each in record["strip"]["units"])
    return f"Under each step that was read, what it adds to the answer, and gates and memory of {units}."


def _strip_words(record: Record) -> str:
    count = len(record["reading"]["rows"])
    some = f" Of the {count} columns these {ROWS} count most." if count > ROWS else ""
    return (
        f"{record['reading']['rows_mean']}{some} Below it the units through which most of the answer comes, to first "
        "order, with their share of all; a gate is dark green at 1. Colours of the memory diverge from 0."
    )


def _gradient(found: Inspection, record: Record) -> str:
    name = record["reading"]["cell"]
    caption = (
        "Whole is the gradient of the answer in the states. Along units: by the gates' products alone, of the LSTM the "
        "product of forget gates (the cell path), of the GRU of update gates (the leak path); the rest has crossed the "
        "recurrent weights at least once, such as by the candidate. Shaded from the least stretch to the most."
    )
    if found.paths is None:
        caption = "The norm of the gradient of the answer in the states, shaded from the least stretch to the most."
    alt = f"Norm of the gradient of the answer against the lag, both logarithmic, of {name}."
    draw = lambda dark, columns: plots.paths({short(name): found.gradient}, dark=dark, columns=columns)
    return picture(draw, alt, caption)


def _windows(record: Record) -> str:
    found = record["windows"]
    rows = [
        [
            row_header(name),
            entry("none" if each["smallest_window"] is None else f"{each['smallest_window']:,}"),
            entry("0" if each["full_log10_norm"] is None else plots.power(each["full_log10_norm"])),
            entry(number(math.nan if each["cosine"][-1] is None else each["cosine"][-1], 4)),
        ]
        for name, each in found["weights"].items()
    ]
    headers = [
        "weights",
        "smallest window (steps)",
        "norm of the gradient",
        f"cosine at {found['windows'][-1]:,} steps",
    ]
    return table("What truncation keeps of the gradient of the loss, by weight", headers, rows)


def _method(record: Record) -> list[str]:
    return [
        f"Read were {record['batch']:,} stretches of {record['horizon']:,} steps, each from a fresh state. Curves are "
        "medians over them; what is shown step by step, and the exponents, are of the first.",
        "Looks back: the number of last steps that hold 99 % of the sum of the norms of d answer / d input.",
        "Gradient: the norm of d answer / d state, with its exponent kept apart, so that it is a number at any lag.",
        "Formats: the same run with weights rounded to each; where states have parted, gradients differ from lag 1 on.",
        "States: one number of the state counts as outside where it leaves the central 99 % of its values within the "
        "length of a training sequence.",
    ]


def _left_out(left_out: Mapping[str, str]) -> list[str]:
    if not left_out:
        return []
    return ["<h2>What was left out</h2>", bullets(f"{name}: {reason}." for name, reason in left_out.items())]
