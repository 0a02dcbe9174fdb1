"""The gate maps: how much of itself each unit keeps, units sorted by time scale against time.

Dimension letters: N bins of a map, H units.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import FuncNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gatedrnn._check import check_size
from gatedrnn.flow._groups import Floats
from gatedrnn.plots._records import Run, in_order
from gatedrnn.plots._style import headline, lay_out, roomy, themed
from gatedrnn.plots._words import cell_title, gate_title, input_title, listed, steps


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
    columns = check_size("columns", columns)
    if not gate_maps:
        raise ValueError("`gate_maps` must hold at least one map to draw; got none.")
    ordered = in_order(gate_maps, "cell", "gate", "input", "init")
    norm = _logit_norm([gate_map["values"] for gate_map in ordered])
    with themed(dark):
        figure, grid = lay_out(len(ordered), columns, (3.6, 2.0), (0.88, 0.15, 0.4, 0.5), tail=1.35)
        columns = min(columns, len(ordered))
        for index, (ax, gate_map) in enumerate(zip(grid, ordered, strict=True)):
            mesh = _heat(ax, gate_map, norm)
            ax.set_xlabel("time (steps)" if index + columns >= len(ordered) else "")
            ax.set_ylabel("time scale (steps)" if index % columns == 0 else "")
        _colour_bar(figure, grid, mesh)
        units = sorted({len(gate_map["timescales"]) for gate_map in ordered})
        headline(figure, "Gate activations over time", f"{listed(units)} units, sorted by time scale: longest on top")
    return figure


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
    name = f"{cell_title(gate_map['cell'])} {gate_title(gate_map['gate'])}, {gate_map['init']}"
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
    ticks = roomy(seen, lambda activation: float(np.asarray(mesh.norm(np.asarray(activation)))) * tall * height)
    bar.set_ticks(ticks, labels=[np.format_float_positional(round(activation, 6)) for activation in ticks])
    bar.minorticks_off()
    bar.set_label("gate activation (logit scale)")
