"""The reading strip: under each letter, or each value of a series, what it adds to a readout and what units hold."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gatedrnn._check import check_size, fail
from gatedrnn.plots._strip import Strip
from gatedrnn.plots._style import DPI, NO_LETTER, Theme, drawable, headline, readable, themed

BOX, ROW = 0.175, 0.2  # inches across and down
SPACE = 0.4  # of a row above a name
LEFT, RIGHT, HEAD, FOOT, GAP = 1.85, 0.25, 1.0, 0.75, 0.3
PER_LINE = {1: 20, 2: 60}  # steps in a line, by the columns of the page
LEAST = 16  # steps for which there is room
TALL = 0.75  # inches of a curve
FONT = "DejaVu Sans Mono"
UNSEEN = {"\n": "⏎", "\t": "⇥", " ": "␣", "\r": "␍", "\ufffd": NO_LETTER}  # the last: what is no letter


class Key(NamedTuple):
    """What the colours of the rows that diverge mean: places in [-1, 1], a label for each, and a line of words."""

    ticks: Sequence[float]
    labels: Sequence[str]
    words: str


def reading_strip(
    read: Sequence[str] | Any,
    panels: Sequence[tuple[str, Sequence[Strip]]],
    *,
    first: int,
    title: str,
    subtitle: str,
    key: Key | None = None,
    columns: int = 2,
    dark: bool = False,
) -> Figure:
    """Draws what was read step by step, in lines as a page has them, and rows of numbers below it.

    Args:
        read: a letter for each step, [L]; or values [L, C], which are drawn as curves.
        panels: a name and its rows each; colours of rows whose `low` is negative diverge from 0.
        first: the number of the first step.
        title: what is seen.
        subtitle: how to read it.
        key: of the colours that diverge.
        columns: 2 for lines of 60 steps; 1 for 20, on a phone.
        dark: for a dark page.

    Raises:
        ValueError: nothing to draw, or a row that has not one number per step.
    """
    columns = check_size("columns", columns, most=2)
    letters = all(isinstance(each, str) for each in read)
    if not len(read) or not panels:
        raise ValueError("`read` and `panels` must not be empty.")
    curves = np.zeros((len(read), 0)) if letters else np.asarray(read, np.float64).reshape(len(read), -1)  # [L, C]
    for row in (row for _, rows in panels for row in rows):
        if len(row.values) != len(read):
            raise fail("panels", f"rows of {len(read)} numbers, one per step", f"{len(row.values)} of {row.label!r}")
    per_line = min(PER_LINE[columns], len(read))
    starts = range(0, len(read), per_line)
    top = 0.3 if letters else TALL
    body = ROW * sum(len(rows) + (1 + SPACE) * bool(name) for name, rows in panels)
    width = LEFT + BOX * max(per_line, LEAST) + RIGHT
    height = HEAD + len(starts) * (top + body + GAP) + (FOOT if key else 0)
    with themed(dark) as theme:
        figure = Figure(figsize=(width, height), dpi=DPI)
        hues = [readable(hue, theme) for hue in itertools.islice(itertools.cycle(theme.cells), curves.shape[1])]
        for line, start in enumerate(starts):
            part = slice(start, min(start + per_line, len(read)))
            upper = height - HEAD - line * (top + body + GAP) - top
            place = lambda y, tall, n=part.stop - start: (LEFT / width, y / height, BOX * n / width, tall / height)
            above = figure.add_axes(place(upper, top))
            if letters:
                _letters(above, read[part])
            else:
                _curves(above, curves, part, theme)
            _number(above, first + start)
            _rows(figure.add_axes(place(upper - body, body)), panels, part, theme, hues)
        if key is not None:
            _key(figure, key)
        headline(figure, title, subtitle)
    return figure


def letters_of(data: bytes) -> list[str]:
    """One sign for each byte of a text: the letter at its first byte, a point at those after it, signs for blanks."""
    return [_sign(data[i : i + 4]) for i in range(len(data))]


def _sign(ahead: bytes) -> str:
    """Of the first of up to four bytes."""
    if 0x80 <= ahead[0] < 0xC0:  # one that goes on with a letter
        return "·"
    letter = ahead.decode(errors="replace")[0]
    return UNSEEN.get(letter, letter if letter.isprintable() else NO_LETTER)


def _letters(axis: Axes, read: Sequence[str]) -> None:
    axis.set_xlim(0, len(read))
    _bare(axis)
    for t, letter in enumerate(read):
        axis.text(t + 0.5, 0.12, drawable(letter, FONT), ha="center", family=FONT, fontsize=10)


def _bare(axis: Axes) -> None:
    """No frame, and no ticks."""
    axis.axis("off")
    axis.set_xticks([])
    axis.set_yticks([])


def _curves(axis: Axes, values: Any, part: slice, theme: Theme) -> None:
    axis.set_xlim(0, part.stop - part.start)
    low, high = np.nanmin(values), np.nanmax(values)
    axis.set_ylim(low - 0.08 * (high - low or 1), high + 0.08 * (high - low or 1))
    for c, hue in zip(range(values.shape[1]), itertools.cycle(theme.cells), strict=False):
        axis.plot(np.arange(part.stop - part.start) + 0.5, values[part, c], color=hue, lw=1.8)
    axis.set_xticks([])
    axis.yaxis.set_major_locator(MaxNLocator(3))
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.tick_params(labelsize=8)


def _number(axis: Axes, step: int) -> None:
    """That of a line's first step, above it."""
    axis.text(0, 1.0, f"{step:,}", transform=axis.transAxes, fontsize=8, va="bottom", alpha=0.75)


def _rows(
    axis: Axes, panels: Sequence[tuple[str, Sequence[Strip]]], part: slice, theme: Theme, hues: Sequence[Any]
) -> None:
    """A line's rows, each in the colours of its own range; curves lend the first names their hues."""
    count = part.stop - part.start
    axis.set_xlim(0, count)
    _bare(axis)
    y, inks = 0.0, iter(hues)
    for name, rows in panels:
        if name:
            axis.text(-0.6, y + SPACE + 0.55, name, ha="right", va="center", fontsize=9.5, fontweight="bold")
            y += 1 + SPACE
        for row in rows:
            axis.text(-0.6, y + 0.5, row.label, ha="right", va="center", fontsize=9, color=next(inks, theme.ink))
            values = np.asarray(row.values, np.float64)[None, part]
            colours = matplotlib.colormaps["RdBu_r" if row.low < 0 else "Greens"]
            norm = Normalize(row.low, row.high, clip=True)
            axis.pcolormesh(
                np.arange(count + 1), [y, y + 1], values, norm=norm, cmap=colours, edgecolors=theme.background, lw=0.8
            )
            y += 1
    axis.set_ylim(y, 0)


def _key(figure: Figure, key: Key) -> None:
    width, height = figure.get_size_inches()
    across = min(3.2, width - LEFT - RIGHT)
    place = (LEFT / width, 0.42 / height, across / width, 0.13 / height)
    bar = figure.colorbar(
        ScalarMappable(Normalize(-1, 1), matplotlib.colormaps["RdBu_r"]),
        cax=figure.add_axes(place),
        orientation="horizontal",
    )
    bar.set_ticks(list(key.ticks), labels=list(key.labels))
    bar.ax.tick_params(labelsize=8.5)
    figure.text((LEFT - 0.1) / width, 0.485 / height, key.words, ha="right", va="center", fontsize=9)
