"""The paths of a gradient: whole, direct and rest against the lag, of one cell or of several side by side."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gatedrnn._check import check_size, fail, shown
from gatedrnn.flow._groups import spread
from gatedrnn.flow.adjoint import Adjoint
from gatedrnn.flow.paths import Paths
from gatedrnn.plots._curves import Curve, limits
from gatedrnn.plots._records import Looks
from gatedrnn.plots._scales import scales
from gatedrnn.plots._style import DARK, LIGHT, PITCH, headline, lay_out, themed
from gatedrnn.plots._waterfall import CHARACTER, direct_labels, line
from gatedrnn.plots._words import ten_to

_STROKES = {"whole": (), "direct": (4, 1), "rest": (1, 1.6)}  # in line widths
_LAGS = 200  # points of a line


def paths(found: Mapping[str, Paths | Adjoint], *, dark: bool = False, columns: int = 2) -> Figure:
    """Draws how much of a gradient comes along units by themselves, and how much by the recurrent weights.

    One line for the whole, one for the direct path and one for the rest, which the stroke tells; the colour is the
    cell. Each is the median over the batch, shaded from the smallest row to the largest, on the scales of `waterfall`.
    The lag is counted from the last row: turn the rows of a run with `reverse` round.

    Args:
        found: by the cell's name, what `gatedrnn.flow.paths` has found of it; or what `gatedrnn.flow.adjoint` has, of
            which the whole is drawn.
        dark: for a dark page.
        columns: 1 for a narrower figure, for a phone.

    Raises:
        ValueError: there is nothing to draw, or a value is neither, or has no step or no row.
    """
    expected = "a dict of gatedrnn.flow.Paths of at least one step and one row, by the cell's name"
    if not isinstance(found, Mapping) or not found:
        raise fail("found", expected, shown(found))
    rows = {name: _rows(each) for name, each in found.items()}
    for name, kinds in rows.items():
        if not kinds or np.shape(kinds["whole"])[0] < 2 or not np.size(kinds["whole"]):
            raise fail("found", expected, f"{name!r}: {shown(found[name])}")
    drawn = [_curve(name, kind, each) for name, kinds in rows.items() for kind, each in kinds.items()]
    looks = Looks.of([(curve.cell, "default") for curve in drawn], (DARK if dark else LIGHT).cells)
    looks = replace(looks, dashes=_STROKES)
    size = (5.6 if check_size("columns", columns, most=2) > 1 else 3.0, max(4.3, PITCH * (1 + len(drawn))))
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
        split = any(isinstance(each, Paths) for each in found.values())
        strokes = "solid: whole; dashed: along each unit; dotted: the rest" if split else "of the whole carry"
        headline(figure, "Which path a gradient takes" if split else "The gradient that arrives", strokes)
    return figure


def _rows(found: Any) -> dict[str, Any]:
    """By kind, the norms of the whole carry; none of what is no measure of a gradient."""
    if isinstance(found, Adjoint):
        return {"whole": found.log10_norm["state"]}
    return {kind: getattr(found, kind).get("state", ()) for kind in _STROKES} if isinstance(found, Paths) else {}


def _curve(name: str, kind: str, found: Any) -> Curve:
    rows = np.asarray(found, np.float64)[::-1]  # by lag
    rows = rows.reshape(len(rows), -1)
    steps = len(rows) - 1
    lags = np.unique(np.geomspace(1, steps, _LAGS).round()).astype(int)
    return Curve(name, kind, lags.astype(np.float64), *spread(rows[lags].T), None)
