"""The plateau clock: test loss against updates, with lines at chance and at the target; who leaves it, and when."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, NullLocator

from gatedrnn._check import check_number
from gatedrnn.flow._groups import Floats
from gatedrnn.plots._records import Looks
from gatedrnn.plots._style import DPI, PITCH, Theme, headline, lay_out, readable, roomy, themed
from gatedrnn.plots._words import cell_title, power, ten_to

_SIZE = (7.2, 3.9)  # inches
_CHARACTER = 0.085  # inches, a generous mean width in a label
_SAMPLE = 0.35  # inches of a line's stroke before its name
_LEAST = 1e-12  # a loss of zero has no logarithm
_PLACES = 9  # along a level, for its words


class _Curve(NamedTuple):
    """One cell and initialisation: [N] each, infinite where the training has diverged."""

    cell: str
    init: str
    label: str
    steps: Floats
    low: Floats
    median: Floats
    high: Floats


def plateau_clock(
    runs: Sequence[Mapping[str, Any]], *, title: str, target: float | None = None, dark: bool = False
) -> Figure:
    """One line per cell (its colour) and initialisation (its stroke): the median over seeds, the band their range.

    A seed whose loss is no number counts as infinitely bad; a line ends where the median does.

    Args:
        runs: as in `race.json`: `cell`, `init`, `chance` and `rows` with `step`, `seed` and `test_loss`.
        title: what was learned.
        target: drawn as a line.
        dark: white on black.

    Raises:
        ValueError: there is no run, or one has no row.
    """
    target = None if target is None else check_number("target", target)
    if not runs or not all(run["rows"] for run in runs):
        raise ValueError("`runs` must hold at least one run, each with rows; got one without.")
    curves = [_curve(run) for run in runs]
    gutter = 0.4 + _SAMPLE + _CHARACTER * max(len(curve.label) for curve in curves)
    with themed(dark) as theme:
        figure, (axis,) = lay_out(1, 1, _SIZE, (1.0, gutter, 0.35, 0.6))
        looks = Looks.of([(curve.cell, curve.init) for curve in curves], theme.cells)
        for curve in curves:
            colour, stroke = looks.hues[curve.cell], looks.stroke(curve.cell, curve.init)
            lone = "o" if len(curve.steps) == 1 else None
            axis.plot(curve.steps, _drawn(curve.median), color=colour, linewidth=2, linestyle=stroke, marker=lone)
            axis.fill_between(curve.steps, _drawn(curve.low), _drawn(curve.high), color=colour, alpha=0.15, linewidth=0)
        axis.set_yscale("log")
        levels = _levels(float(runs[0]["chance"]), target)
        for value in levels.values():
            axis.axhline(max(value, _LEAST), color=theme.ink, linewidth=0.8, linestyle=":")
        axis.set_xlim(left=0)
        _ticks(axis)
        _name_levels(axis, levels, curves, theme)
        _label(axis, curves, looks, theme)
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.set_xlabel("updates")
        axis.set_ylabel("test loss")
        axis.grid(True)
        axis.spines[["top", "right"]].set_visible(False)
        headline(figure, f"Who leaves the plateau: {title}", _terms(runs))
    return figure


def _terms(runs: Sequence[Mapping[str, Any]]) -> str:
    """What a line is, and whether all of them have seen the same data: a seed stands for its data."""
    seeds = [{row["seed"] for row in run["rows"]} for run in runs]
    line = "Median over seeds, whole range shaded" if max(map(len, seeds)) > 1 else "One seed each"
    alike = all(each == seeds[0] for each in seeds)
    return f"{line}; {'the same data for all' if alike else 'other seeds, other data'}."


def _curve(run: Mapping[str, Any]) -> _Curve:
    rows = run["rows"]
    steps = sorted({row["step"] for row in rows})
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    found = {(row["step"], row["seed"]): row["test_loss"] for row in rows}
    losses = np.array([[found[step, seed] for seed in seeds] for step in steps], dtype=np.float64)  # [N, S]
    losses = np.where(np.isfinite(losses), losses, np.inf)
    low, median, high = losses.min(axis=1), np.median(losses, axis=1), losses.max(axis=1)
    end = power(math.log10(median[-1]) if median[-1] > 0 else -math.inf) if np.isfinite(median[-1]) else "diverged"
    label = f"{cell_title(run['cell'])} {run['init']}  {end}"
    return _Curve(run["cell"], run["init"], label, np.array(steps, np.float64), low, median, high)


def _drawn(values: Floats) -> Floats:
    """A gap where a value is infinite."""
    return np.where(np.isfinite(values), np.maximum(values, _LEAST), np.nan)


def _levels(chance: float, target: float | None) -> dict[str, float]:
    """Where the dotted lines lie, by their words."""
    levels = {"chance": chance} if target is None else {"chance": chance, "target": target}
    return {"chance and target": chance} if len(levels) == 2 and chance == target else levels


def _name_levels(axis: Axes, levels: Mapping[str, float], curves: Sequence[_Curve], theme: Theme) -> None:
    """The upper level has its words above it, the other one below; each where the fewest curves pass."""
    for name, value in levels.items():
        words, above = f"{name} {value:.3g}", value == max(levels.values())
        level = _share(axis, max(value, _LEAST))
        heights = (level, level + PITCH / _SIZE[1]) if above else (level - PITCH / _SIZE[1], level)
        across = _CHARACTER * len(words) / _SIZE[0]
        starts = np.linspace(0, 1 - across, _PLACES)
        taken = [_passing(axis, curves, (start, start + across), heights) for start in starts]
        axis.annotate(
            words,
            (starts[np.argmin(taken)], max(value, _LEAST)),
            xycoords=("axes fraction", "data"),
            xytext=(4, 3 if above else -3),
            textcoords="offset points",
            va="bottom" if above else "top",
            fontsize=9,
            path_effects=[withStroke(linewidth=3, foreground=theme.background)],
        )


def _passing(axis: Axes, curves: Sequence[_Curve], across: tuple[float, float], heights: tuple[float, float]) -> int:
    """How much of the curves lies in a box, in shares of the panel."""
    steps = np.linspace(*across, 20) * axis.get_xlim()[1]
    found = [np.interp(steps, curve.steps, _drawn(curve.median), np.nan, np.nan) for curve in curves]
    places = [_share(axis, value) for value in np.concatenate(found) if math.isfinite(value)]
    return sum(heights[0] <= place <= heights[1] for place in places)


def _ticks(axis: Axes) -> None:
    """Powers of ten; where few of them are in sight, their double and fivefold, then any round number."""
    low, high = axis.get_ylim()
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    values = [10.0**e for e in powers[1 :: 1 + len(powers) // 10]]
    if len(powers) < 4:
        values += [factor * 10.0**e for factor in (2, 5) for e in powers]
    if high < 10 * low:
        values += [float(value) for value in MaxNLocator(6).tick_values(low, high)]
    seen = [value for value in values if low <= value <= high]
    chosen = roomy(seen, lambda value: _share(axis, value) * _SIZE[1])
    axis.set_yticks(chosen, [_words(value, low) for value in chosen])
    axis.yaxis.set_minor_locator(NullLocator())


def _words(value: float, low: float) -> str:
    exponent = math.log10(value)
    return ten_to(exponent) if low < 1e-3 and exponent == round(exponent) else f"{value:.6g}"


def _share(axis: Axes, value: float) -> float:
    """Height of a value in the panel: 0 at its bottom, 1 at its top."""
    low, high = axis.get_ylim()
    return math.log10(value / low) / math.log10(high / low)


def _label(axis: Axes, curves: Sequence[_Curve], looks: Looks, theme: Theme) -> None:
    """Strokes and names beside the right edge, moved apart where lines end close to each other."""
    pitch = PITCH / _SIZE[1]
    ends = [float(curve.median[-1]) for curve in curves]
    order = sorted(range(len(ends)), key=lambda i: ends[i])
    places = [_share(axis, max(ends[i], _LEAST)) if math.isfinite(ends[i]) else 1.0 for i in order]
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + pitch)
    over = max(places[-1] - 1.0, 0.0)
    inch = DPI / axis.bbox.width  # in widths of the panel
    for i, place in zip(order, places, strict=True):
        curve, height = curves[i], place - over
        colour, stroke = looks.hues[curve.cell], looks.stroke(curve.cell, curve.init)
        sample = Line2D(
            *([1 + 0.1 * inch, 1 + (0.1 + _SAMPLE) * inch], [height, height]),
            **{"color": colour, "linestyle": stroke, "linewidth": 2, "transform": axis.transAxes},
        )
        axis.figure.add_artist(sample)
        axis.annotate(
            curve.label,
            (1 + (0.2 + _SAMPLE) * inch, height),
            xycoords="axes fraction",
            color=readable(colour, theme),
            fontsize=10,
            va="center",
            annotation_clip=False,
        )
