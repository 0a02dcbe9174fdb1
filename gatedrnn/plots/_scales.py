"""The scales of the waterfall.

The y axis is asinh(log10 norm / 0.3): linear near norm 1 and logarithmic in the exponent far from it, with no kink
between, so that 0.7 and 10^-3000 are both readable. A norm that shrinks by a constant factor per step ends in a
straight line.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

from gatedrnn.flow._scalars import FLOORS
from gatedrnn.plots._curves import Curve, limits
from gatedrnn.plots._style import DPI, Theme, roomy
from gatedrnn.plots._words import ten_to

_LINEAR = 0.3  # decades about norm 1 on which the y axis is about linear


def scales(ax: Axes, drawn: Sequence[Curve], theme: Theme) -> None:
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
    bottom, top = limits(drawn)
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
    chosen = roomy(exponents, lambda exponent: inches(ax, exponent))
    ax.set_yticks(chosen, [ten_to(exponent) for exponent in chosen])
    ax.yaxis.set_minor_locator(NullLocator())


def inches(ax: Axes, value: float) -> float:
    """Height of a value above the bottom of the panel."""
    return float(ax.transData.transform((1, value))[1] - ax.bbox.y0) / DPI
