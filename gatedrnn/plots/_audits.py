"""The audits of an inspection: what counts by lag, what windows keep, where formats part, which states are met.

One panel each; what was not measured has none.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter

from gatedrnn._check import check_size
from gatedrnn.flow._groups import log10_norms
from gatedrnn.plots._style import Theme, headline, lay_out, themed
from gatedrnn.plots._words import steps, ten_to

WHOLE = "all"


def audits(record: Mapping[str, Any], *, dark: bool = False, columns: int = 2) -> Figure:
    """Draws what an inspection says of lags, windows, formats and states.

    Args:
        record: `gatedrnn.flow.Inspection.record()`.
        dark: for a dark page.
        columns: panels beside each other, 1 or 2.

    Raises:
        ValueError: `columns` is another number.
    """
    columns = check_size("columns", columns, most=2)
    panels: list[Callable[[Axes, Mapping[str, Any], Theme], None]] = [_reads, _windows, _formats]
    panels += [_states] if record["coverage"] is not None else []
    with themed(dark) as theme:
        figure, grid = lay_out(len(panels), columns, (4.4 if columns > 1 else 3.6, 2.6), (0.95, 0.35, 0.45, 0.6))
        for draw, axis in zip(panels, grid, strict=True):
            draw(axis, record, theme)
            axis.grid(axis="y")
            axis.set_axisbelow(True)
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(labelsize=9.5)
        headline(figure, "Lags, windows, formats, states", "grey: where a finding is read off")
    return figure


def _lags(axis: Axes, most: int) -> None:
    """A logarithmic axis of steps, from 1."""
    axis.set_xscale("log")
    axis.set_xlim(1, max(most, 2))
    ticks = [10**e for e in range(7) if 10**e <= most] if most >= 20 else [n for n in (1, 2, 5, 10) if n <= most]
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.xaxis.set_minor_formatter(NullFormatter())


def _mark(axis: Axes, place: float, words: str, theme: Theme) -> None:
    """A line where a finding is read off, its words on the side where there is room."""
    axis.axvline(place, color=theme.ink, alpha=0.35, lw=5, label="_mark")
    low, high = axis.get_xlim()
    left = place * place > low * high
    axis.annotate(
        words, (place, 0.06), xycoords=axis.get_xaxis_transform(), xytext=(-7 if left else 7, 0),
        textcoords="offset points", ha="right" if left else "left", fontsize=9.5,
    )  # fmt: skip


def _reads(axis: Axes, record: Mapping[str, Any], theme: Theme) -> None:
    lags = np.asarray(record["lags"]) + 1
    logs = log10_norms(record["sensitivity"])
    seen = logs[np.isfinite(logs)]
    _lags(axis, record["horizon"])
    if seen.size:
        axis.plot(lags, np.where(np.isfinite(logs), logs - seen.max(), np.nan), color=theme.cells[2], lw=2.4)
        axis.set_ylim(min(-1.0, 1.05 * float((seen - seen.max()).min())), 0.05 * max(1.0, float(np.ptp(seen))))
    back = float(np.median(record["looks_back"]))
    _mark(axis, max(back, 1), f"99 % within {back:,.0f}", theme)
    axis.set_title("How much of each step counts", loc="left")
    axis.set_xlabel("steps before the answer")
    axis.set_ylabel("decades below the most")


def _windows(axis: Axes, record: Mapping[str, Any], theme: Theme) -> None:
    found = record["windows"]["weights"][WHOLE]
    windows = record["windows"]["windows"]
    _lags(axis, max(windows))
    for name, label, hue, dash in (("cosine", "cosine", 2, "-"), ("norm_ratio", "ratio of norms", 0, (0, (4, 1.5)))):
        values = np.array([np.nan if value is None else value for value in found[name]], np.float64)
        axis.plot(windows, values, color=theme.cells[hue], ls=dash, lw=2.2, marker="o", ms=3.5, label=label)
    axis.set_ylim(min(0.0, axis.get_ylim()[0]), min(max(1.05, axis.get_ylim()[1]), 3.0))
    if found["smallest_window"] is not None:
        _mark(axis, found["smallest_window"], f"99 % from {found['smallest_window']:,} on", theme)
    axis.legend(loc="center right", fontsize=9, frameon=False)
    axis.set_title("What a window keeps of the gradient", loc="left")
    axis.set_xlabel("window (steps)")


def _formats(axis: Axes, record: Mapping[str, Any], theme: Theme) -> None:
    found = record["precision"]
    low = high = found["tolerance"]
    _lags(axis, found["horizon"])
    for (name, each), hue in zip(found["formats"].items(), (0, 2), strict=False):
        values = np.array([np.nan if value is None else value for value in each["gradient"]], np.float64)
        values = np.where(values > 0, values, np.nan)
        axis.plot(found["marks"], values, color=theme.cells[hue], lw=2.2, label=name)
        if np.isfinite(values).any():  # else there is nothing to scale the axis by
            low, high = min(low, float(np.nanmin(values))), max(high, float(np.nanmax(values)))
    axis.set_yscale("log")
    axis.set_ylim(min(0.7 * low, found["tolerance"] / 10), max(1.4 * high, 2 * found["tolerance"]))
    axis.axhline(found["tolerance"], color=theme.ink, alpha=0.35, lw=5)
    axis.yaxis.set_major_formatter(lambda value, _: ten_to(round(np.log10(value))) if value > 0 else "0")
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.legend(loc="best", fontsize=9, frameon=False)
    axis.set_title("How far a format is from float64", loc="left")
    axis.set_xlabel("lag (steps)")
    axis.set_ylabel("part of the gradient")


def _states(axis: Axes, record: Mapping[str, Any], theme: Theme) -> None:
    found = record["coverage"]
    axis.plot(found["marks"], found["outside"], color=theme.cells[2], lw=1.8)
    axis.set_xlim(0, found["steps"])
    axis.axvline(found["trained"], color=theme.ink, alpha=0.35, lw=5)
    axis.annotate(
        f"trained on {steps(found['trained'])}", (found["trained"], 0.9), xycoords=axis.get_xaxis_transform(),
        xytext=(7, 0), textcoords="offset points", fontsize=9.5,
    )  # fmt: skip
    axis.set_ylim(0, max(0.05, 1.15 * max((value for value in found["outside"] if value is not None), default=0)))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
    axis.set_title("States outside their trained range", loc="left")
    axis.set_xlabel("steps from the start")
