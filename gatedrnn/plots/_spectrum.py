"""The spectrum: exponents with their standard errors, and how they came to be what they are."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gatedrnn._check import check_flag, check_kind, check_size, fail
from gatedrnn.flow.spectrum import Spectrum
from gatedrnn.plots._style import Theme, headline, lay_out, themed

HUE = 2  # blue, of a theme's colours
LINES = 10  # histories that are drawn, evenly through the spectrum


def spectrum(found: Spectrum, *, row: int = 0, dark: bool = False, columns: int = 2) -> Figure:
    """Draws a Lyapunov spectrum: the exponents by their rank, two standard errors to each side, and their histories.

    A history that has not come to rest within its last error says that the sequence was too short, or that `burn_in`
    was. Exponents of -inf are left out, and counted below the title.

    Args:
        found: what `flow.spectrum` returns.
        row: of the batch.
        dark: for a dark page.
        columns: panels beside each other, 1 or 2.

    Raises:
        ValueError: `found` is no `Spectrum`, or has no such row.
    """
    found = check_kind("found", Spectrum, found, "gatedrnn.flow.spectrum(cell, params, xs)")
    columns, row, dark = check_size("columns", columns), check_size("row", row, 0), check_flag("dark", dark)
    exponents, error = (np.atleast_2d(np.asarray(part, np.float64)) for part in (found.exponents, found.error))
    if row >= len(exponents):
        raise fail("row", f"below {len(exponents)}, the number of rows", row)
    history = np.asarray(found.history, np.float64).reshape(len(found.steps), *exponents.shape)[:, row]  # [N, k]
    exponents, error = exponents[row], error[row]
    shown = np.isfinite(exponents)
    with themed(dark) as theme:
        figure, (ranks, histories) = lay_out(2, columns, (4.6, 3.6), (1.1, 0.3, 0.4, 0.6))
        _ranks(ranks, exponents, np.where(np.isfinite(error), error, 0), shown, theme)
        _histories(histories, np.asarray(found.steps), history, np.flatnonzero(shown), theme)
        lost = f", {(~shown).sum()} of -∞ left out" if not shown.all() else ""
        number = int(np.atleast_1d(found.number)[row])
        headline(figure, "Lyapunov spectrum", f"{shown.sum()} exponents over {number:,} steps{lost}")
    return figure


def _ranks(ax: Axes, exponents: np.ndarray, error: np.ndarray, shown: np.ndarray, theme: Theme) -> None:
    """Exponents against their rank, from 1."""
    ranks = np.arange(1, len(exponents) + 1)[shown]
    ax.axhline(0, color=theme.ink, lw=0.8, label="_zero")
    ax.errorbar(ranks, exponents[shown], 2 * error[shown], fmt="o", ms=4, color=theme.cells[HUE], label="exponents")
    ax.set_title("with two standard errors to each side", loc="left")
    ax.set_xlabel("rank")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _dress(ax)


def _histories(ax: Axes, steps: np.ndarray, history: np.ndarray, shown: np.ndarray, theme: Theme) -> None:
    """Running estimates against the steps that were run by then, those of `burn_in` included."""
    chosen = shown[np.unique(np.linspace(0, len(shown) - 1, LINES).round().astype(int))] if len(shown) else shown
    ax.axhline(0, color=theme.ink, lw=0.8, label="_zero")
    for place, index in enumerate(chosen):
        ax.plot(
            steps, history[:, index], color=theme.cells[HUE], lw=2.2 if place == 0 else 1.0, label=f"rank {index + 1}"
        )
    ax.set_title("running estimates", loc="left")
    ax.set_xlabel("steps run")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    _dress(ax)


def _dress(ax: Axes) -> None:
    ax.set_ylabel("nats per step")
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
