"""The lines of the waterfall: runs in, one curve per input, cell and initialisation out.

Dimension letters: N points of a line, S seeds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gatedrnn.flow._groups import KEYS, Floats, Group, grouped
from gatedrnn.plots._records import Run, in_order
from gatedrnn.plots._words import cell_title, power


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


def curves(runs: Sequence[Run]) -> dict[str, list[Curve]]:
    """The curves of each input, silent first; cells and initialisations in one order everywhere."""
    if not runs:
        raise ValueError("`runs` must hold at least one run to draw; got none.")
    panels: dict[str, list[Curve]] = {}
    for group in grouped(in_order(runs, *KEYS)):
        panels.setdefault(group.input, []).append(_curve(group))
    return panels


def _curve(group: Group) -> Curve:
    lags = np.asarray(group.runs[0]["lags"], dtype=np.float64)
    for run in group.runs:
        if [*run["lags"]] != [*lags] or len(run["log10_norm"]) != len(lags):
            seeds = f"{group.cell}, {group.init}, {group.input}"
            raise ValueError(f"seeds of {seeds} must share their `lags`, with a norm at each; they do not.")
    kept = lags >= 1
    median, low, high = (part[kept] for part in group.profile())
    closed = [run for run in group.runs if run.get("closed_form_log10_norm") is not None]
    exact = group._replace(runs=closed).profile("closed_form_log10_norm").median[kept] if closed else None
    return Curve(group.cell, group.init, lags[kept], median, low, high, exact)


def limits(drawn: Sequence[Curve]) -> tuple[float, float]:
    """From below both floors to a little above norm 1, or as far as the profiles go."""
    parts = [part for curve in drawn for part in (curve.low, curve.high, curve.closed_form) if part is not None]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    lowest, highest = (values.min(), values.max()) if values.size else (0.0, 0.0)
    return min(-1000.0, 1.6 * lowest), max(0.5, 1.6 * highest)
