"""The paths of a gradient: whole, direct and rest against the lag, of one cell or of several side by side."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from gatedrnn._check import fail, shown
from gatedrnn.flow._groups import spread
from gatedrnn.flow.paths import Paths
from gatedrnn.plots._curves import Curve, limits
from gatedrnn.plots._records import Looks
from gatedrnn.plots._scales import scales
from gatedrnn.plots._style import DARK, LIGHT, PITCH, headline, lay_out, themed
from gatedrnn.plots._waterfall import CHARACTER, direct_labels, line
from gatedrnn.plots._words import ten_to

_STROKES = {"whole": (), "direct": (4, 1), "rest": (1, 1.6)}  # in line widths
_LAGS = 200  # points of a line


def paths(found: Mapping[str, Paths], *, dark: bool = False) -> Figure:
    """Draws how much of a gradient comes along units by themselves, and how much by the recurrent weights.

    One line for the whole, one for the direct path and one for the rest, which the stroke tells; the colour is the
    cell. Each is the median over the batch, shaded from the smallest row to the largest, on the scales of `waterfall`.
    The lag is counted from the last row: turn the rows of a run with `reverse` round.

    Args:
        found: by the cell's name, what `gatedrnn.flow.paths` has found of it.
        dark: for a dark page.

    Raises:
        ValueError: there is nothing to draw, or a value is no `Paths` of at least one step and one row.
    """
    expected = "a dict of gatedrnn.flow.Paths of at least one step and one row, by the cell's name"
    if not isinstance(found, Mapping) or not found:
        raise fail("found", expected, shown(found))
    for name, each in found.items():
        if not isinstance(each, Paths) or np.shape(each.whole["state"])[0] < 2 or not np.size(each.whole["state"]):
            raise fail("found", expected, f"{name!r}: {shown(each)}")
    drawn = [_curve(name, kind, each) for name, each in found.items() for kind in _STROKES]
    looks = Looks.of([(curve.cell, "default") for curve in drawn], (DARK if dark else LIGHT).cells)
    looks = replace(looks, dashes=_STROKES)
    size = (5.6, max(4.3, PITCH * (1 + len(drawn))))
    left = 0.5 + 0.06 * len(ten_to(limits(drawn)[0]))
    gutter = 0.4 + CHARACTER * max(len(curve.label) for curve in drawn)
    with themed(dark) as theme:
        figure, (axis,) = lay_out(1, 1, size, (left, gutter, 0.35, 0.55))
        scales(axis, drawn, theme)
        for curve in drawn:
            line(axis, curve, looks.hues[curve.cell], looks.stroke(curve.cell, curve.init), theme)
        direct_labels(axis, drawn, looks.hues, theme)
        axis.set_xlabel("lag (steps back from the loss)")
        axis.set_ylabel("log10 ‖dL/d carry‖  (ticks: the norm itself)")
        headline(figure, "Which path a gradient takes", "solid: whole; dashed: along each unit; dotted: the rest")
    return figure


def _curve(name: str, kind: str, found: Paths) -> Curve:
    rows = np.asarray(getattr(found, kind)["state"], np.float64)[::-1]  # by lag
    rows = rows.reshape(len(rows), -1)
    steps = len(rows) - 1
    lags = np.unique(np.geomspace(1, steps, _LAGS).round()).astype(int)
    return Curve(name, kind, lags.astype(np.float64), *spread(rows[lags].T), None)
