"""The sentence strip: under each word what a gate let through, what a unit held, and how much the word counts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gatedrnn.flow._groups import Floats
from gatedrnn.plots._style import headline, lay_out, themed

CELL = 0.62  # inches across and down


class Strip(NamedTuple):
    """One row of a strip: its name, one number per word, and the range of its colours."""

    label: str
    values: Any  # [T]
    low: float
    high: float


def sentence_strip(
    words: Sequence[str],
    panels: Sequence[tuple[str, Sequence[Strip]]],
    *,
    title: str,
    subtitle: str,
    dark: bool = False,
) -> Figure:
    """Draws rows of numbers under the words of a sentence, panel by panel.

    Args:
        words: [T].
        panels: a name and its rows each; rows whose `low` is negative have colours that diverge from 0.
        title: what is seen.
        subtitle: how to read it.
        dark: for a dark page.

    Raises:
        ValueError: no words or panels, or a row that has not one number per word.
    """
    if not words or not panels:
        raise ValueError("`words` and `panels` must not be empty.")
    for _, rows in panels:
        for row in rows:
            if len(row.values) != len(words):
                raise ValueError(f"`{row.label}` must hold {len(words)} numbers, one per word; got {len(row.values)}.")
    most = max(len(rows) for _, rows in panels)  # rows of the tallest panel
    with themed(dark) as theme:
        size = (CELL * len(words) * 1.25, CELL * most)
        figure, grid = lay_out(len(panels), 1, size, (2.1, 0.2, 0.55, 0.15))
        for axis, (name, rows) in zip(grid, panels, strict=True):
            axis.set_xlim(0, len(words))
            axis.set_ylim(most, 0)
            axis.axis("off")
            axis.text(-0.1, -0.25, name, ha="right", fontsize=12, fontweight="bold")
            for t, word in enumerate(words):
                axis.text(t + 0.5, -0.18, word, ha="center", fontsize=11)
            for i, row in enumerate(rows):
                axis.text(-0.1, i + 0.5, row.label, ha="right", va="center", fontsize=10)
                _boxes(axis, i, row, theme.background)
        headline(figure, title, subtitle)
    return figure


def _boxes(axis: Axes, i: int, row: Strip, edge: str) -> None:
    """One coloured box with its number per word; ink that can be read on it."""
    colours = matplotlib.colormaps["RdBu_r" if row.low < 0 else "Greens"]
    norm = Normalize(row.low, row.high, clip=True)
    values: Floats = np.asarray(row.values, np.float64)
    for t, value in enumerate(values):
        colour = colours(norm(value))
        axis.add_patch(Rectangle((t, i), 1, 1, facecolor=colour, edgecolor=edge, linewidth=1.5))
        bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 0.55
        axis.text(
            t + 0.5,
            i + 0.5,
            f"{value:z.2f}".replace("-", "−"),
            ha="center",
            va="center",
            fontsize=9,
            color="black" if bright else "white",
        )
