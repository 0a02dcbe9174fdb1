"""The runs, grouped: one configuration per input, cell and initialisation, with its numbers over the seeds."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from gatedrnn import plots

Run = Mapping[str, Any]

LEVELS = {
    "lag_below_1e3": plots.ten_to(-3),
    "lag_below_float32": f"{plots.ten_to(-38)} (zero in float32)",
    "lag_below_float64": f"{plots.ten_to(-308)} (zero in float64)",
}
_KEPT = 3  # decades; a gradient norm that stays this near to its start is called kept


class Spread(NamedTuple):
    """Median, smallest and largest over the seeds."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Configuration:
    """The runs of one input, cell and initialisation, one per seed."""

    input: str
    cell: str
    init: str
    runs: Sequence[Run]

    @property
    def name(self) -> str:
        """The cell and how it was initialised: "LSTM chrono"."""
        return f"{plots.cell_title(self.cell)} {self.init}"

    @property
    def title(self) -> str:
        """The name and the input: "LSTM chrono, silent"."""
        return f"{self.name}, {plots.input_title(self.input)}"

    @property
    def horizon(self) -> int:
        """The largest lag, in steps."""
        return max(int(run["horizon"]) for run in self.runs)

    @property
    def end(self) -> Spread:
        """log10 of the gradient norm at the largest lag, -inf where it is exactly zero."""
        return spread_of(plots.log10_norms(run["log10_norm"])[-1] for run in self.runs)

    @property
    def left(self) -> str:
        """The median gradient norm at the largest lag, in words."""
        return plots.power(self.end.median)

    @property
    def kept(self) -> bool:
        """Whether the gradient norm stays within a factor of a thousand of its start, at every lag, in the median."""
        profiles = [plots.log10_norms(run["log10_norm"]) for run in self.runs]
        starts = [profile[0] if np.isfinite(profile[0]) else 0.0 for profile in profiles]
        changes = [float(np.abs(profile - start).max()) for profile, start in zip(profiles, starts, strict=True)]
        return spread_of(changes).median < _KEPT

    def over_seeds(self, key: str) -> Spread:
        """A measured scalar; a lag that was not reached, or a half-life that does not end, is infinite."""
        missing = math.inf if key in (*LEVELS, "half_life") else math.nan
        return spread_of(missing if run[key] is None else run[key] for run in self.runs)

    def verdicts(self) -> str:
        """The first word of the seeds' verdicts; with counts where they differ."""
        counts = Counter(str(run["verdict"]).split()[0].strip(":;,.").lower() for run in self.runs)
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{word} ({count} of {len(self.runs)} seeds)" for word, count in counts.most_common())


def grouped(runs: Sequence[Run]) -> list[Configuration]:
    if not runs:
        raise ValueError("`runs` must hold at least one run to report; got none.")
    ordered = plots.in_order(runs, *plots.KEYS)
    groups = groupby(ordered, itemgetter(*plots.KEYS))
    return [Configuration(kind, cell, init, list(seeds)) for (kind, cell, init), seeds in groups]


def runs_of(configurations: Sequence[Configuration]) -> list[Run]:
    return [run for one in configurations for run in one.runs]


def group_by(configurations: Sequence[Configuration], *fields: str) -> dict[tuple[str, ...], list[Configuration]]:
    groups: dict[tuple[str, ...], list[Configuration]] = {}
    for one in configurations:
        groups.setdefault(tuple(getattr(one, field) for field in fields), []).append(one)
    return groups


def spread_of(values: Iterable[float]) -> Spread:
    known = [value for value in values if not math.isnan(value)] or [math.nan]
    return Spread(float(np.median(known)), float(min(known)), float(max(known)))


def decades_between(before: Configuration, after: Configuration) -> float:
    """Decades by which the gradient norm at the largest lag differs; 0 between two zeros."""
    ends = before.end.median, after.end.median
    return 0.0 if ends[0] == ends[1] else ends[1] - ends[0]
