"""The page: text, pictures and tables as HTML."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from gatedrnn import plots
from gatedrnn._words import counted
from gatedrnn.flow._scalars import SCALARS
from gatedrnn.report._configurations import Configuration, grouped, runs_of
from gatedrnn.report._findings import findings
from gatedrnn.report._parts import bullets, entry, gates, picture, provenance, row_header, section, table, whole
from gatedrnn.report._prose import introduction, method, portrait
from gatedrnn.report._verdicts import verdict
from gatedrnn.report._words import in_parts, scalar_in_words


def html(comparison: Mapping[str, Any]) -> str:
    """Writes a comparison as one HTML page that loads nothing, for a wide or narrow, light or dark screen.

    Args:
        comparison: `runs` (one dict per cell, input, init and seed) and, where there are any, `gate_maps`, `versions`,
            `device`, `command` and `notes`.

    Raises:
        ValueError: no runs.
    """
    runs = comparison["runs"]
    configurations = grouped(runs)
    title = f"Gradient flow over {counted(max(one.horizon for one in configurations), 'step')}"
    sections = [
        f"<h1>{title}</h1>",
        *(f"<p>{escape(line)}</p>" for line in introduction(configurations)),
        _waterfall(configurations),
        "<h2>What the measurement says</h2>",
        *map(section, findings(runs)),
        "<h2>The numbers</h2>",
        _summary(configurations),
        *gates(comparison.get("gate_maps") or ()),
        "<h2>Each configuration</h2>",
        *(section(portrait(one)) for one in configurations),
        "<h2>The verdict on every run</h2>",
        _verdicts(configurations),
        "<h2>How it was measured</h2>",
        bullets([*method(runs), *(comparison.get("notes") or ())]),
        *provenance(comparison),
    ]
    return whole(title, sections)


def _waterfall(configurations: Sequence[Configuration]) -> str:
    runs = runs_of(configurations)
    ends = "; ".join(f"{one.title} {one.left}" for one in configurations)
    alt = f"Gradient norm against lag, both axes logarithmic. At the largest lag: {ends}."
    caption = (
        "At the left edge is the loss; the further right, the further back in time. In a grey band the number format "
        "named there holds nothing but zero (or infinity), so that plain backpropagation would return that."
    )
    return picture(lambda dark, columns: plots.waterfall(runs, dark=dark, columns=columns), alt, caption)


def _summary(configurations: Sequence[Configuration]) -> str:
    rows = []
    for one in configurations:
        measured = [entry(*in_parts(one.scalar(name), scalar_in_words(name))) for name in SCALARS]
        names = [row_header(one.name), entry(plots.input_title(one.input)), entry(one.verdicts())]
        rows.append([*names, entry(*in_parts(one.end, plots.power)), *measured])
    first = ("configuration", "input", "verdict", "gradient norm at the horizon")
    headers = [*first, *(scalar.heading for scalar in SCALARS.values())]
    return table("Medians over the seeds; smallest and largest below, where they differ", headers, rows)


def _verdicts(configurations: Sequence[Configuration]) -> str:
    rows = [
        [row_header(one.name), entry(plots.input_title(one.input)), entry(str(run["seed"])), entry(verdict(run))]
        for one in configurations
        for run in one.runs
    ]
    return table("One row per run", ["configuration", "input", "seed", "verdict"], rows, style="prose")
