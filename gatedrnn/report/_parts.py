"""What every page is made of: pictures for any screen, tables that scroll, lists, sections, and where it came from."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from matplotlib.figure import Figure

from gatedrnn import plots
from gatedrnn.report._findings import Finding
from gatedrnn.report._style import CSS, PAGE, colours
from gatedrnn.report._words import joined


def whole(title: str, sections: Iterable[str]) -> str:
    """The page, which loads nothing."""
    return PAGE.format(title=escape(title), style=colours() + CSS, body="\n".join(sections))


def picture(draw: Callable[[bool, int], Figure], alt: str, caption: str) -> str:
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
    return f"<figure><picture>{''.join(tags)}{fallback}</picture><figcaption>{escape(caption)}</figcaption></figure>"


def gates(gate_maps: Sequence[Mapping[str, Any]]) -> list[str]:
    """The gate maps under a heading; nothing where there are none."""
    if not gate_maps:
        return []
    shown = dict.fromkeys(f"{plots.cell_title(one['cell'])} {plots.gate_title(one['gate'])}" for one in gate_maps)
    alt = f"Heat maps of what units keep of themselves, units sorted by time scale against time: {joined(shown)}."
    caption = "Each row of a map is one unit; bright is a gate near 1, dark a gate near 0."

    def draw(dark: bool, columns: int) -> Figure:
        return plots.gate_heatmap(gate_maps, dark=dark, columns=columns)

    return ["<h2>The gates over time</h2>", picture(draw, alt, caption)]


def provenance(record: Mapping[str, Any]) -> list[str]:
    """Versions, device and command of a record, where it has them."""
    parts = []
    for key, title in (("versions", "Versions"), ("device", "Device")):
        entries = (record.get(key) or {}).items()
        items = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in entries)
        parts += [f"<h2>{title}</h2>", f"<dl>{items}</dl>"] if items else []
    if record.get("command"):
        parts += ["<h2>Command</h2>", f"<pre><code>{escape(record['command'])}</code></pre>"]
    return parts


def section(finding: Finding) -> str:
    """A heading, a paragraph and its points."""
    points = bullets(finding.points) if finding.points else ""
    return f"<h3>{escape(finding.title)}</h3>\n<p>{escape(finding.text)}</p>{points}"


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]], style: str = "numbers") -> str:
    """A table that scrolls inside its own box, so that the page never does sideways."""
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    inside = f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    label = f'role="region" tabindex="0" aria-label="{escape(caption)}"'
    return f'<div class="scroll" {label}><table class="{style}">{inside}</table></div>'


def row_header(text: str) -> str:
    """The first cell of a table's row."""
    return f'<th scope="row">{escape(text)}</th>'


def entry(text: str, small: str = "") -> str:
    """Any other cell, with a line in small letters."""
    return f"<td>{escape(text)}" + (f"<small>{escape(small)}</small>" if small else "") + "</td>"
