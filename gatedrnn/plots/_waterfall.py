"""The waterfall: gradient norm against lag, one panel per input."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatedrnn._check import check_size
from gatedrnn.flow._groups import Floats
from gatedrnn.plots._curves import Curve, curves, limits
from gatedrnn.plots._records import Looks, Run
from gatedrnn.plots._scales import inches, scales
from gatedrnn.plots._style import DARK, DPI, LIGHT, PITCH, Theme, headline, lay_out, readable, themed
from gatedrnn.plots._words import input_title, listed, ten_to

CHARACTER = 0.085  # inches, a generous mean width in a direct label


def waterfall(runs: Sequence[Run], *, dark: bool = False, columns: int = 2) -> Figure:
    """Draws how much gradient is left against how far back it has travelled.

    One panel per input, all on one y scale; one line per cell and initialisation, the median over the seeds, shaded
    from the smallest seed to the largest; the closed form thin and dashed. A profile that ends in an exact zero is
    marked with a cross and falls to the edge of the panel. Lag 0, which a logarithmic axis cannot show, is left out.

    Args:
        runs: dicts with `cell`, `input`, `init`, `seed`, `horizon`, `hidden_size`, `lags` (N steps), `log10_norm`
            (N values, None for an exact zero) and `closed_form_log10_norm` (the same, or None).
        dark: for a dark page.
        columns: panels beside each other; 1 stacks narrower ones, for a phone.

    Raises:
        ValueError: no runs, or runs of one configuration whose lags or lengths differ.
    """
    columns = check_size("columns", columns)
    panels = curves(runs)
    drawn = [curve for panel in panels.values() for curve in panel]
    looks = Looks.of([(curve.cell, curve.init) for curve in drawn], (DARK if dark else LIGHT).cells)
    size = (4.6 if columns > 1 else 3.0, max(4.3, PITCH * (1 + max(map(len, panels.values())))))
    left = 0.5 + 0.06 * len(ten_to(limits(drawn)[0]))
    gutter = 0.4 + CHARACTER * max(len(curve.label) for curve in drawn)
    with themed(dark) as theme:
        figure, grid = lay_out(len(panels), columns, size, (left, gutter, 0.6, 0.55))
        for index, (ax, (kind, panel)) in enumerate(zip(grid, panels.items(), strict=True)):
            scales(ax, drawn, theme)
            _panel_title(ax, kind, panel)
            for curve in panel:
                line(ax, curve, looks.hues[curve.cell], looks.stroke(curve.cell, curve.init), theme)
            direct_labels(ax, panel, looks.hues, theme)
            ax.set_xlabel("lag (steps back from the loss)")
            if index % columns == 0:
                ax.set_ylabel("log10 ‖dL/d carry‖  (ticks: the norm itself)")
        headline(figure, "Gradient norm against lag", _conditions(runs))
    return figure


def _conditions(runs: Sequence[Run]) -> str:
    """Horizon, size and number of seeds, for the line below the title."""
    horizons, sizes = (listed(sorted({run[key] for run in runs})) for key in ("horizon", "hidden_size"))
    seeds = len({run["seed"] for run in runs})
    spread = f", median of {seeds} seeds (shaded: smallest to largest)" if seeds > 1 else ", one seed"
    return f"horizon {horizons} steps, {sizes} units{spread}"


def _panel_title(ax: Axes, kind: str, panel: Sequence[Curve]) -> None:
    ax.set_title(input_title(kind), loc="left", fontweight="bold", pad=21)
    if kind == "silent":
        closed = any(curve.closed_form is not None for curve in panel)
        note = "zero input" + ("; thin dashed: closed form ‖(Jᵀ)ᵏ v‖" if closed else "")
        ax.text(0, 1.02, note, transform=ax.transAxes, fontsize=10)


def line(ax: Axes, curve: Curve, hue: str, stroke: Any, theme: Theme) -> None:
    """Spread, median, closed form, and the fall to the panel's edge where the gradient is exactly zero."""
    bottom, _ = ax.get_ylim()
    alive = np.isfinite(curve.median)
    lone = alive.sum() == 1
    ax.fill_between(
        curve.lags, np.maximum(curve.low, bottom), np.maximum(curve.high, bottom), color=hue, alpha=0.22, lw=0
    )
    ax.plot(
        curve.lags, np.where(alive, curve.median, np.nan), color=hue, ls=stroke, lw=2.8, clip_on=not lone,
        marker="o" if lone else None, label=f"{curve.cell} {curve.init}",
    )  # fmt: skip
    if curve.closed_form is not None:
        values = np.where(np.isfinite(curve.closed_form), curve.closed_form, np.nan)
        ax.plot(
            curve.lags, values, color=theme.ink, ls=(0, (4, 6)), lw=0.9, label=f"{curve.cell} {curve.init} closed form"
        )
    if curve.zero_from is not None:
        last = max(curve.zero_from - 1, 0)
        top = curve.median[last] if alive[last] else bottom
        lag = curve.lags[last]
        ax.plot(
            [lag, lag, ax.get_xlim()[1]], [top, bottom, bottom], color=hue, ls=":", lw=1.2, clip_on=False, label="_fall"
        )
        ax.plot([lag], [top], color=hue, marker="X", ms=9, mec=theme.background, clip_on=False, label="_zero")


def direct_labels(ax: Axes, panel: Sequence[Curve], hues: Mapping[str, str], theme: Theme) -> None:
    """A label at the end of each line, moved up or down no further than its neighbours make it."""
    bottom, top = ax.get_ylim()
    ends = [curve.median[-1] if curve.zero_from is None else bottom for curve in panel]
    height = inches(ax, top)
    places = _apart([inches(ax, end) for end in ends], PITCH, 0.0, height)
    for curve, end, place in zip(panel, ends, places, strict=True):
        ax.annotate(
            curve.label,
            xy=(curve.lags[-1], end),
            xytext=(1 + 0.3 * DPI / ax.bbox.width, place / height),
            textcoords="axes fraction",
            annotation_clip=False,
            va="center",
            fontsize=10.5,
            color=readable(hues[curve.cell], theme),
            arrowprops={"arrowstyle": "-", "color": hues[curve.cell], "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 2},
        )


def _apart(wanted: Sequence[float], pitch: float, low: float, high: float) -> Floats:
    """Places at least `pitch` apart, nearest to the wanted ones in least squares, inside [low, high].

    With y_i the sorted places, y_i - i pitch must not fall: isotonic regression, solved by pooling adjacent violators.
    Of equal wants, the first stands on top.
    """
    order = sorted(range(len(wanted)), key=lambda index: (wanted[index], -index))
    blocks: list[tuple[float, int]] = []  # mean, length
    for rank, index in enumerate(order):
        mean, length = wanted[index] - rank * pitch, 1
        while blocks and blocks[-1][0] > mean:
            previous, count = blocks.pop()
            mean, length = (previous * count + mean * length) / (count + length), count + length
        blocks.append((mean, length))
    pooled = np.repeat([mean for mean, _ in blocks], [length for _, length in blocks])
    places = np.empty(len(wanted))
    places[order] = np.clip(pooled, low, high - (len(wanted) - 1) * pitch) + pitch * np.arange(len(wanted))
    return places
