"""The plateau clock: test loss against updates, with lines at chance and at the target; who leaves it, and when."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ._style import headline, lay_out, themed
from ._words import cell_title


def plateau_clock(
    runs: Sequence[Mapping[str, Any]], *, title: str, target: float | None = None, dark: bool = False
) -> Figure:
    """One line per cell and initialisation: the median over seeds, the band their whole range.

    Args:
        runs: as in `race.json`: `cell`, `init`, `chance` and `rows` with `step`, `seed` and `test_loss`.
        title: what was learned.
        target: drawn as a line.
        dark: white on black.

    Raises:
        ValueError: there is no run, or one has no row.
    """
    if not runs or not all(run["rows"] for run in runs):
        raise ValueError("`runs` must hold at least one run, each with rows; got one without.")
    with themed(dark) as theme:
        figure, (axis,) = lay_out(1, 1, (7.2, 3.9), (0.75, 2.0, 0.35, 0.6))
        ends = {}
        for i, run in enumerate(runs):
            steps, losses = _curves(run["rows"])  # [N], [N, S]
            colour = theme.cells[i % len(theme.cells)]
            median = np.median(losses, axis=1)
            axis.plot(steps, median, color=colour, linewidth=2, linestyle="--" if run["init"] == "default" else "-")
            axis.fill_between(steps, losses.min(axis=1), losses.max(axis=1), color=colour, alpha=0.15, linewidth=0)
            ends[i] = (float(steps[-1]), float(median[-1]), f"{cell_title(run['cell'])} {run['init']}", colour)
        axis.set_yscale("log")
        lines = {runs[0]["chance"]: "chance"} | ({} if target is None else {target: "target"})
        for value, words in lines.items():
            axis.axhline(value, color=theme.ink, linewidth=0.8, linestyle=":")
            axis.annotate(
                f"{words} {value:.3g}",
                (0, value),
                xycoords=("axes fraction", "data"),
                xytext=(4, 3),
                textcoords="offset points",
                fontsize=9,
            )
        _label(axis, ends)
        axis.set_xlabel("updates")
        axis.set_ylabel("test loss")
        axis.set_xlim(left=0)
        axis.grid(True)
        axis.spines[["top", "right"]].set_visible(False)
        headline(
            figure, f"Who leaves the plateau: {title}", "Median over seeds, whole range shaded; the same data for all."
        )
    return figure


def _curves(rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    steps = sorted({row["step"] for row in rows})
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    found = {(row["step"], row["seed"]): row["test_loss"] for row in rows}
    losses = np.array([[found[step, seed] for seed in seeds] for step in steps], dtype=np.float64)
    return np.array(steps, dtype=np.float64), np.maximum(losses, 1e-12)


def _label(axis: Any, ends: Mapping[int, tuple[float, float, str, str]]) -> None:
    """Names beside the right edge, moved apart where lines end close to each other."""
    low, high = np.log10(axis.get_ylim())
    order = sorted(ends, key=lambda i: ends[i][1])
    places = [(np.log10(ends[i][1]) - low) / (high - low) for i in order]
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + 0.06)
    over = max(places[-1] - 1.0, 0.0)
    for i, place in zip(order, places, strict=True):
        _, loss, name, colour = ends[i]
        axis.annotate(
            f"{name}  {loss:.2g}",
            (1.01, place - over),
            xycoords="axes fraction",
            color=colour,
            fontsize=10,
            va="center",
            annotation_clip=False,
        )
