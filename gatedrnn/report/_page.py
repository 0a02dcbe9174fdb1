"""The page: text, pictures and tables as HTML."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from matplotlib.figure import Figure

from gatedrnn import plots
from gatedrnn.flow._scalars import SCALARS
from gatedrnn.report._configurations import Configuration, grouped, runs_of
from gatedrnn.report._findings import Finding, findings
from gatedrnn.report._prose import introduction, method, portrait
from gatedrnn.report._style import CSS, PAGE, colours
from gatedrnn.report._verdicts import verdict
from gatedrnn.report._words import counted, in_parts, joined, scalar_in_words


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
        *map(_section, findings(runs)),
        "<h2>The numbers</h2>",
        _summary(configurations),
        *_gates(comparison.get("gate_maps") or ()),
        "<h2>Each configuration</h2>",
        *(_section(portrait(one)) for one in configurations),
        "<h2>The verdict on every run</h2>",
        _verdicts(configurations),
        "<h2>How it was measured</h2>",
        _list([*method(runs), *(comparison.get("notes") or ())]),
        *_provenance(comparison),
    ]
    return PAGE.format(title=title, style=colours() + CSS, body="\n".join(sections))


def _waterfall(configurations: Sequence[Configuration]) -> str:
    runs = runs_of(configurations)
    ends = "; ".join(f"{one.title} {one.left}" for one in configurations)
    alt = f"Gradient norm against lag, both axes logarithmic. At the largest lag: {ends}."
    caption = (
        "At the left edge is the loss; the further right, the further back in time. In a grey band the number format "
        "named there holds nothing but zero (or infinity), so that plain backpropagation would return that."
    )
    return _picture(lambda dark, columns: plots.waterfall(runs, dark=dark, columns=columns), alt, caption)


def _gates(gate_maps: Sequence[Mapping[str, Any]]) -> list[str]:
    if not gate_maps:
        return []
    shown = dict.fromkeys(f"{plots.cell_title(one['cell'])} {plots.gate_title(one['gate'])}" for one in gate_maps)
    alt = f"Heat maps of what units keep of themselves, units sorted by time scale against time: {joined(shown)}."
    caption = "Each row of a map is one unit; bright is a gate near 1, dark a gate near 0."

    def draw(dark: bool, columns: int) -> Figure:
        return plots.gate_heatmap(gate_maps, dark=dark, columns=columns)

    return ["<h2>The gates over time</h2>", _picture(draw, alt, caption)]


def _picture(draw: Callable[[bool, int], Figure], alt: str, caption: str) -> str:
    """`draw(dark, columns)` in four versions, of which the browser shows the one that fits screen and taste."""

    def image(dark: bool, across: int) -> str:
        figure = draw(dark, across)
        width, height = (round(96 * inches) for inches in figure.get_size_inches())
        data = base64.b64encode(plots.svg(figure, dpi=90).encode()).decode()
        return f'="data:image/svg+xml;base64,{data}" width="{width}" height="{height}"'

    phone, night = "(max-width: 700px)", "(prefers-color-scheme: dark)"
    sources = [(f"{phone} and {night}", True, 1), (phone, False, 1), (night, True, 2)]
    tags = [f'<source media="{media}" srcset{image(dark, across)}>' for media, dark, across in sources]
    fallback = f'<img src{image(False, 2)} alt="{escape(alt)}">'
    picture = f"<picture>{''.join(tags)}{fallback}</picture>"
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def _summary(configurations: Sequence[Configuration]) -> str:
    rows = []
    for one in configurations:
        measured = [_cell(*in_parts(one.scalar(name), scalar_in_words(name))) for name in SCALARS]
        names = [_row_header(one.name), _cell(plots.input_title(one.input)), _cell(one.verdicts())]
        rows.append([*names, _cell(*in_parts(one.end, plots.power)), *measured])
    first = ("configuration", "input", "verdict", "gradient norm at the horizon")
    headers = [*first, *(scalar.heading for scalar in SCALARS.values())]
    return _table("Medians over the seeds; smallest and largest below, where they differ", headers, rows)


def _verdicts(configurations: Sequence[Configuration]) -> str:
    rows = [
        [_row_header(one.name), _cell(plots.input_title(one.input)), _cell(str(run["seed"])), _cell(verdict(run))]
        for one in configurations
        for run in one.runs
    ]
    return _table("One row per run", ["configuration", "input", "seed", "verdict"], rows, style="prose")


def _provenance(comparison: Mapping[str, Any]) -> list[str]:
    parts = []
    for key, title in (("versions", "Versions"), ("device", "Device")):
        entries = (comparison.get(key) or {}).items()
        items = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in entries)
        parts += [f"<h2>{title}</h2>", f"<dl>{items}</dl>"] if items else []
    if comparison.get("command"):
        parts += ["<h2>Command</h2>", f"<pre><code>{escape(comparison['command'])}</code></pre>"]
    return parts


def _section(finding: Finding) -> str:
    points = _list(finding.points) if finding.points else ""
    return f"<h3>{escape(finding.title)}</h3>\n<p>{escape(finding.text)}</p>{points}"


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]], style: str = "numbers") -> str:
    """A table that scrolls inside its own box, so that the page never does sideways."""
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    table = f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    label = f'role="region" tabindex="0" aria-label="{escape(caption)}"'
    return f'<div class="scroll" {label}><table class="{style}">{table}</table></div>'


def _row_header(text: str) -> str:
    return f'<th scope="row">{escape(text)}</th>'


def _cell(text: str, small: str = "") -> str:
    return f"<td>{escape(text)}" + (f"<small>{escape(small)}</small>" if small else "") + "</td>"
