"""The pictures: arrays in, figures out.

    waterfall     log10 norm of dL/dcarry against the lag, one panel per input, one line per cell and initialisation
    gate_heatmap  gate activations, units sorted by time scale against time

The waterfall's y axis is asinh(log10 norm / 0.3): linear near norm 1 and logarithmic in the exponent far from it, with
no kink between, so that 0.7 and 10^-3000 are both readable. A norm that shrinks by a constant factor per step ends in a
straight line.
Colours: M. Okabe and K. Ito, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/.

Dimension letters: N points of a line or bins of a map, H units, S seeds.
"""

import io
import itertools
import math
import os
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import FuncNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Run = Mapping[str, Any]

KEYS = ("input", "cell", "init")
"""What tells one configuration from another; the seeds of a configuration are drawn as one line."""

FLOORS = {"float32": 38, "float64": 308}
"""Decades below 1 at which a norm turns to zero in a format, and above 1 at which it turns to infinity."""

_CELLS = ("rnn", "gru", "lstm")
_INITS = ("default", "chrono")
_DASHES = ((), (1, 1.6), (7, 1.5, 1.2, 1.5), (4, 1), (3, 1, 1, 1, 1, 1))  # of each initialisation, in line widths
_DPI = 100
_LINEAR = 0.3  # decades about norm 1 on which the y axis is about linear
_PITCH = 0.215  # inches from one direct label to the next
_CHARACTER = 0.085  # inches, a generous mean width in a direct label


class Theme(NamedTuple):
    """The colours of a figure; `bands` for float32 and float64, `cells` in order of appearance."""

    background: str
    ink: str
    faint: str
    bands: tuple[str, str]
    cells: tuple[str, ...]


LIGHT = Theme(
    background="#ffffff",
    ink="#1f2328",
    faint="#d5dae0",
    bands=("#eef0f3", "#dbdfe4"),
    cells=("#D55E00", "#009E73", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
)
DARK = Theme(
    background="#0f1318",
    ink="#e6e9ee",
    faint="#39414b",
    bands=("#1b2128", "#29313a"),
    cells=("#D55E00", "#009E73", "#56B4E9", "#CC79A7", "#E69F00", "#0072B2", "#F0E442"),
)


class Curve(NamedTuple):
    """One cell and initialisation under one input, over its seeds: log10 norms `[N]`, -inf for a gradient of zero."""

    cell: str
    init: str
    lags: Floats  # [N], at least 1
    median: Floats
    low: Floats
    high: Floats
    closed_form: Floats | None

    @property
    def zero_from(self) -> int | None:
        """The index from which on every norm is exactly zero, if the profile ends so."""
        alive = np.flatnonzero(~np.isneginf(self.median))
        start = int(alive[-1]) + 1 if alive.size else 0
        return start if start < len(self.median) else None

    @property
    def label(self) -> str:
        """What stands at the end of the line: its name and where it ends."""
        end = power(self.median[-1]) if self.zero_from is None else f"0 by lag {self.lags[self.zero_from]:,.0f}"
        return f"{cell_title(self.cell)} {cell_title(self.init)}  {end}"


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
    panels = _curves(runs)
    drawn = [curve for panel in panels.values() for curve in panel]
    hues = _assign(_CELLS, (curve.cell for curve in drawn), (DARK if dark else LIGHT).cells)
    dashes = _assign(_INITS, (curve.init for curve in drawn), _DASHES)
    size = (4.6 if columns > 1 else 3.0, max(4.3, _PITCH * (1 + max(map(len, panels.values())))))
    left = 0.5 + 0.06 * len(ten_to(_limits(drawn)[0]))
    gutter = 0.4 + _CHARACTER * max(len(curve.label) for curve in drawn)
    with _style(dark) as theme:
        figure, grid = _grid(len(panels), columns, size, (left, gutter, 0.6, 0.55))
        for index, (ax, (kind, panel)) in enumerate(zip(grid, panels.items(), strict=True)):
            _scales(ax, drawn, theme)
            _panel_title(ax, kind, panel)
            for curve in panel:
                # Every other cell starts half a period later, so that equal dashed lines do not hide each other.
                shift = list(hues).index(curve.cell) % 2
                _line(ax, curve, hues[curve.cell], _stroke(dashes[curve.init], shift), theme)
            _direct_labels(ax, panel, hues, theme)
            ax.set_xlabel("lag (steps back from the loss)")
            if index % columns == 0:
                ax.set_ylabel("log10 ‖dL/d carry‖  (ticks: the norm itself)")
        _headline(figure, "Gradient norm against lag", _conditions(runs))
    return figure


def gate_heatmap(gate_maps: Sequence[Run], *, dark: bool = False, columns: int = 2) -> Figure:
    """Draws gate activations: one small map per gate, units sorted by time scale (longest on top) against time.

    Colours run on the logit of the activation, on one scale for all maps: 0.99 and 0.9999 hold a state for 100 and for
    10,000 steps, and would be one colour on a linear scale.

    Args:
        gate_maps: dicts with `cell`, `input`, `init`, `gate`, `steps` (bin centres `[N]`), `values` (`[H, N]` in
            [0, 1]) and `timescales` (`[H]` steps, longest first).
        dark: for a dark page.
        columns: maps beside each other.

    Raises:
        ValueError: no maps, or `values` that are not [H, N].
    """
    if not gate_maps:
        raise ValueError("`gate_maps` must hold at least one map to draw; got none.")
    ordered = in_order(gate_maps, "cell", "gate", "input", "init")
    norm = _logit_norm([gate_map["values"] for gate_map in ordered])
    with _style(dark):
        figure, grid = _grid(len(ordered), columns, (3.6, 2.0), (0.88, 0.15, 0.4, 0.5), tail=1.35)
        columns = min(columns, len(ordered))
        for index, (ax, gate_map) in enumerate(zip(grid, ordered, strict=True)):
            mesh = _heat(ax, gate_map, norm)
            ax.set_xlabel("time (steps)" if index + columns >= len(ordered) else "")
            ax.set_ylabel("time scale (steps)" if index % columns == 0 else "")
        _colour_bar(figure, grid, mesh)
        units = sorted({len(gate_map["timescales"]) for gate_map in ordered})
        _headline(figure, "Gate activations over time", f"{_listed(units)} units, sorted by time scale: longest on top")
    return figure


def save(figure: Figure, stem: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Writes `stem.png` (160 dots per inch) and `stem.svg`, each whole or not at all; equal figures, equal bytes."""
    paths = Path(f"{os.fspath(stem)}.png"), Path(f"{os.fspath(stem)}.svg")
    for path in paths:
        partial = path.with_name(f".{path.name}.partial")
        try:
            _write(figure, partial, path.suffix[1:])
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return paths


def svg(figure: Figure, *, dpi: int = 160) -> str:
    """The figure as the text of an SVG file, its gate maps at `dpi` dots per inch; equal figures give equal text."""
    buffer = io.BytesIO()
    _write(figure, buffer, "svg", dpi)
    return buffer.getvalue().decode()


def power(log10_value: float) -> str:
    """The number with this log10 at two or three digits: "0.131", "1.2×10⁻⁴", "10⁻¹²⁴⁹"; "0" for -inf."""
    if math.isinf(log10_value):
        return "0" if log10_value < 0 else "∞"
    if abs(log10_value) < 2.999:
        return f"{10**log10_value:.3g}"
    if abs(log10_value) >= 9.5:
        return ten_to(log10_value)
    mantissa, exponent = f"{10**log10_value:.1e}".split("e")
    return f"{mantissa}×{ten_to(int(exponent))}"


def ten_to(exponent: float) -> str:
    """A power of ten: "10⁻³⁸" for -38, "1" for 0."""
    digits = f"{exponent:.0f}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return "1" if digits in ("⁰", "⁻⁰") else f"10{digits}"


def steps(count: float | None) -> str:
    """A number of steps at three digits: "3.19", "1,360"; "∞" for None and infinity."""
    if count is None or math.isinf(count):
        return "∞"
    return f"{count:.3g}" if abs(count) < 99.95 else f"{float(f'{count:.3g}'):,.0f}"


def cell_title(name: str) -> str:
    """RNN, GRU and LSTM in capitals; any other name as it is, cut to 24 characters."""
    return name.upper() if name in _CELLS else name if len(name) <= 24 else name[:23] + "…"


def input_title(name: str) -> str:
    """What a panel or a sentence calls an input."""
    return name if name in ("silent", "driven") else f"driven by {cell_title(name)}"


def log10_norms(values: Sequence[float | None]) -> Floats:
    """A profile `[N]` with None, an exactly zero gradient, as -inf."""
    return np.array([-np.inf if value is None else value for value in values], dtype=np.float64)


def in_order(records: Sequence[Run], *keys: str) -> list[Run]:
    """Sorted by `keys`, the values of each in order of first appearance, with the usual ones first."""
    usual = ("silent", *_CELLS, *_INITS)
    ranks = [_assign(usual, (record[key] for record in records), itertools.count()) for key in keys]
    return sorted(records, key=lambda record: [rank[record[key]] for rank, key in zip(ranks, keys, strict=True)])


def _write(figure: Figure, target: Any, kind: str, dpi: int = 160) -> None:
    """Text becomes paths, so that an SVG looks alike where the font is missing; no date, and ids from a fixed salt."""
    with _defaults({"svg.hashsalt": "gatedrnn", "svg.fonttype": "path"}):
        figure.savefig(target, format=kind, dpi=dpi, metadata={"Date": None} if kind == "svg" else None)


@contextmanager
def _defaults(settings: Mapping[Any, Any]) -> Iterator[None]:
    """Matplotlib as shipped plus `settings`, whatever style the user has set; theirs is back afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield


@contextmanager
def _style(dark: bool) -> Iterator[Theme]:
    theme = DARK if dark else LIGHT
    names = ("text.color", "axes.labelcolor", "axes.titlecolor", "axes.edgecolor", "xtick.color", "ytick.color")
    colours: dict[str, Any] = dict.fromkeys(names, theme.ink)
    colours |= {"figure.facecolor": theme.background, "axes.facecolor": theme.background, "grid.color": theme.faint}
    sizes = {"font.size": 11, "axes.titlesize": 12, "axes.linewidth": 0.8, "grid.linewidth": 0.6}
    with _defaults({**colours, **sizes, "text.parse_math": False}):
        yield theme


def _grid(
    count: int, columns: int, panel: tuple[float, float], margins: tuple[float, float, float, float], tail: float = 0
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` axes of `panel` inches, row by row below a head for the title.

    The margins left, right, above and below each, and the tail right of all, are in inches.
    """
    left, right, above, below = margins
    columns = min(columns, count)
    across, down, head = left + panel[0] + right, above + panel[1] + below, 0.75
    width, height = columns * across + tail, math.ceil(count / columns) * down + head
    figure = Figure(figsize=(width, height), dpi=_DPI)
    axes = []
    for index in range(count):
        row, column = divmod(index, columns)
        x, y = column * across + left, height - head - row * down - above - panel[1]
        axes.append(figure.add_axes((x / width, y / height, panel[0] / width, panel[1] / height)))
    return figure, axes


def _headline(figure: Figure, title: str, subtitle: str) -> None:
    width, height = figure.get_size_inches()
    figure.text(0.2 / width, 1 - 0.13 / height, title, va="top", fontsize=15, fontweight="bold")
    wrapped = textwrap.fill(subtitle, int(width / 0.08))
    figure.text(0.2 / width, 1 - 0.45 / height, wrapped, va="top", fontsize=10.5)


def _curves(runs: Sequence[Run]) -> dict[str, list[Curve]]:
    """The curves of each input, silent first; cells and initialisations in one order everywhere."""
    if not runs:
        raise ValueError("`runs` must hold at least one run to draw; got none.")
    panels: dict[str, list[Curve]] = {}
    for (kind, cell, init), seeds in itertools.groupby(in_order(runs, *KEYS), itemgetter(*KEYS)):
        panels.setdefault(kind, []).append(_curve(cell, init, list(seeds)))
    return panels


def _curve(cell: str, init: str, runs: list[Run]) -> Curve:
    lags = np.asarray(runs[0]["lags"], dtype=np.float64)
    for run in runs:
        if list(run["lags"]) != list(runs[0]["lags"]) or len(run["log10_norm"]) != len(lags):
            raise ValueError(
                f"seeds of {cell}, {init}, {run['input']} must share their `lags`, with a norm at each; they do not."
            )
    kept = lags >= 1
    norms = np.stack([log10_norms(run["log10_norm"]) for run in runs])[:, kept]  # [S, N]
    closed = [
        log10_norms(run["closed_form_log10_norm"]) for run in runs if run.get("closed_form_log10_norm") is not None
    ]
    median = np.median(np.stack(closed)[:, kept], axis=0) if closed else None
    return Curve(cell, init, lags[kept], np.median(norms, axis=0), norms.min(axis=0), norms.max(axis=0), median)


def _assign(first: Sequence[str], names: Iterable[str], values: Iterable[Any]) -> dict[str, Any]:
    """Gives `first`, then each new one of `names`, the next of `values`, which start again when they run out."""
    return dict(zip(dict.fromkeys((*first, *names)), itertools.cycle(values), strict=False))


def _listed(values: Iterable[int]) -> str:
    return ", ".join(f"{value:,}" for value in values)


def _conditions(runs: Sequence[Run]) -> str:
    """Horizon, size and number of seeds, for the line below the title."""
    horizons, sizes = (_listed(sorted({run[key] for run in runs})) for key in ("horizon", "hidden_size"))
    seeds = len({run["seed"] for run in runs})
    spread = f", median of {seeds} seeds (shaded: smallest to largest)" if seeds > 1 else ", one seed"
    return f"horizon {horizons} steps, {sizes} units{spread}"


def _limits(drawn: Sequence[Curve]) -> tuple[float, float]:
    """From below both floors to a little above norm 1, or as far as the profiles go."""
    parts = [part for curve in drawn for part in (curve.low, curve.high, curve.closed_form) if part is not None]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    lowest, highest = (values.min(), values.max()) if values.size else (0.0, 0.0)
    return min(-1000.0, 1.6 * lowest), max(0.5, 1.6 * highest)


def _scales(ax: Axes, drawn: Sequence[Curve], theme: Theme) -> None:
    """Both scales with their ticks, and the bands where a floating-point format holds only zero or infinity."""
    horizon = max(curve.lags[-1] for curve in drawn)
    ax.set_xscale("log")
    ax.set_xlim((0.5, 2) if horizon == 1 else (1, horizon))
    factors = (1, 2, 5) if horizon < 50 else (1,)
    ax.set_xticks([f * 10**e for e in range(7) for f in factors if f * 10**e <= horizon])
    ax.xaxis.set_major_formatter(
        lambda lag, _: f"{lag:,.0f}" if lag < 1e5 else f"{lag / 1e3:.0f}k" if lag < 1e6 else "1M"
    )
    ax.xaxis.set_minor_formatter(NullFormatter())
    bottom, top = _limits(drawn)
    ax.set_yscale("function", functions=(lambda y: np.arcsinh(y / _LINEAR), lambda z: _LINEAR * np.sinh(z)))
    ax.set_ylim(bottom, top)
    _ticks(ax)
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    for (name, floor), outer, colour in zip(FLOORS.items(), (FLOORS["float64"], math.inf), theme.bands, strict=True):
        ax.axhspan(max(-outer, bottom), -floor, color=colour, lw=0, zorder=0)
        ax.text(0.02, -floor * 1.15, f"{name} gives 0", va="top", fontsize=9, transform=ax.get_yaxis_transform())
        if top > floor:
            ax.axhspan(floor, min(outer, top), color=colour, lw=0, zorder=0)
            ax.text(0.02, floor * 1.15, f"{name} gives ∞", va="bottom", fontsize=9, transform=ax.get_yaxis_transform())


def _ticks(ax: Axes) -> None:
    """Powers of ten: 1, the floors, then round exponents, where there is room."""
    bottom, top = ax.get_ylim()
    sizes = (0, *FLOORS.values(), *(factor * 10**e for factor in (1, 3) for e in range(8)))
    exponents = [exponent for size in sizes for exponent in (-size, size) if bottom <= exponent <= top]
    chosen = _roomy(exponents, lambda exponent: _inches(ax, exponent))
    ax.set_yticks(chosen, [ten_to(exponent) for exponent in chosen])
    ax.yaxis.set_minor_locator(NullLocator())


def _roomy(values: Iterable[float], place: Callable[[float], float]) -> list[float]:
    """Those values, the first before the later ones, whose places in inches leave room for a label at each; sorted."""
    chosen: list[float] = []
    for value in values:
        if all(abs(place(value) - place(other)) >= _PITCH for other in chosen):
            chosen.append(value)
    return sorted(chosen)


def _inches(ax: Axes, value: float) -> float:
    """Height of a value above the bottom of the panel."""
    return float(ax.transData.transform((1, value))[1] - ax.bbox.y0) / _DPI


def _panel_title(ax: Axes, kind: str, panel: Sequence[Curve]) -> None:
    ax.set_title(input_title(kind), loc="left", fontweight="bold", pad=21)
    if kind == "silent":
        closed = any(curve.closed_form is not None for curve in panel)
        note = "zero input" + ("; thin dashed: closed form ‖(Jᵀ)ᵏ v‖" if closed else "")
        ax.text(0, 1.02, note, transform=ax.transAxes, fontsize=10)


def _stroke(dashes: tuple[float, ...], shift: int) -> Any:
    return (shift * sum(dashes) / 2, dashes) if dashes else "-"


def _line(ax: Axes, curve: Curve, hue: str, stroke: Any, theme: Theme) -> None:
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


def _direct_labels(ax: Axes, panel: Sequence[Curve], hues: Mapping[str, str], theme: Theme) -> None:
    """A label at the end of each line, moved up or down no further than its neighbours make it."""
    bottom, top = ax.get_ylim()
    ends = [curve.median[-1] if curve.zero_from is None else bottom for curve in panel]
    height = _inches(ax, top)
    places = _apart([_inches(ax, end) for end in ends], _PITCH, 0.0, height)
    for curve, end, place in zip(panel, ends, places, strict=True):
        ax.annotate(
            curve.label,
            xy=(curve.lags[-1], end),
            xytext=(1 + 0.3 * _DPI / ax.bbox.width, place / height),
            textcoords="axes fraction",
            annotation_clip=False,
            va="center",
            fontsize=10.5,
            color=_readable(hues[curve.cell], theme),
            arrowprops={"arrowstyle": "-", "color": hues[curve.cell], "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 2},
        )


def _readable(hue: str, theme: Theme) -> tuple[float, ...]:
    """The hue of a line mixed with ink, since thin letters need more contrast than a thick line."""
    return tuple(0.6 * a + 0.4 * b for a, b in zip(to_rgb(hue), to_rgb(theme.ink), strict=True))


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


def _logit_norm(values: Sequence[Any]) -> FuncNorm:
    """Colours on the logit of the activation, over [0.1, 0.9] or as far as the data go; 10^-6 from 0 and 1 at most."""
    edge = 1e-6

    def logit(activation: Floats) -> Floats:
        inside = np.clip(activation, edge, 1 - edge)
        return np.log(inside / (1 - inside))

    low, high = (float(pick([pick(np.asarray(v)) for v in values])) for pick in (np.min, np.max))
    limits = {"vmin": np.clip(low, edge, 0.1), "vmax": np.clip(high, 0.9, 1 - edge)}
    return FuncNorm((logit, lambda z: 1 / (1 + np.exp(-z))), **limits)


def _heat(ax: Axes, gate_map: Run, norm: FuncNorm) -> QuadMesh:
    values, scales = np.asarray(gate_map["values"]), np.asarray(gate_map["timescales"])
    centres = np.asarray(gate_map["steps"], dtype=np.float64)
    if values.shape != (len(scales), len(centres)):
        shapes = f"{values.shape}, {scales.shape} and {centres.shape}"
        raise ValueError(f"`values`, `timescales` and `steps` must be [H, N], [H] and [N]; got {shapes}.")
    mesh = ax.pcolormesh(
        _edges(centres), np.arange(len(scales) + 1), values, norm=norm, cmap="viridis", rasterized=True
    )
    ax.invert_yaxis()
    rows = np.unique(np.linspace(0, len(scales) - 1, 5).round().astype(int))
    if len({steps(scales[row]) for row in rows}) == 1:
        rows = rows[[len(rows) // 2]]
    ax.set_yticks(rows + 0.5, [steps(scales[row]) for row in rows])
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    ax.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
    ax.yaxis.set_label_coords(-0.185, 0.5)
    ax.tick_params(labelsize=9.5)
    name = f"{cell_title(gate_map['cell'])} {gate_map['gate']} gate, {gate_map['init']}"
    ax.set_title(f"{name}\n{input_title(gate_map['input'])}", loc="left", fontsize=10.5)
    return mesh


def _edges(centres: Floats) -> Floats:
    """Edges `[N + 1]` of bins around their centres `[N]`."""
    middles = (centres[1:] + centres[:-1]) / 2
    half = (centres[1] - centres[0]) / 2 if len(centres) > 1 else 0.5
    return np.concatenate([[centres[0] - half], middles, [centres[-1] + half]])


def _colour_bar(figure: Figure, grid: Sequence[Axes], mesh: QuadMesh) -> None:
    """One bar for all maps, in the tail of the figure."""
    first, last = grid[0].get_position(), grid[-1].get_position()
    width, height = figure.get_size_inches()
    tall = first.y1 - last.y0
    bar = figure.colorbar(mesh, cax=figure.add_axes((1 - 1.25 / width, last.y0, 0.14 / width, tall)))
    low, high = mesh.get_clim()
    pairs = [activation for e in range(1, 7) for activation in (1 - 10.0**-e, 10.0**-e)]
    seen = [activation for activation in (0.5, *pairs) if (low or 0) <= activation <= (high or 1)]
    ticks = _roomy(seen, lambda activation: float(np.asarray(mesh.norm(np.asarray(activation)))) * tall * height)
    bar.set_ticks(ticks, labels=[np.format_float_positional(round(activation, 6)) for activation in ticks])
    bar.minorticks_off()
    bar.set_label("gate activation (logit scale)")
