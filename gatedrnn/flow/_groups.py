"""Runs grouped: the seeds of one input, cell and initialisation, and their medians.

Dimension letters: S seeds, N points of a profile.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatedrnn.flow._scalars import SCALARS

Floats = NDArray[np.float64]

KEYS = ("input", "cell", "init")
"""What tells one group from another."""


class Spread(NamedTuple):
    """Median, smallest and largest over the seeds: floats, or [N] each."""

    median: Any
    low: Any
    high: Any


class Group(NamedTuple):
    """The runs of one input, cell and initialisation, one per seed, as the mappings that JSON holds."""

    input: str
    cell: str
    init: str
    runs: Sequence[Mapping[str, Any]]

    def scalar(self, name: str) -> Spread:
        """A measured scalar; None counts as what its absence means, so that a lag never reached is the largest."""
        missing = SCALARS[name].missing
        return spread(missing if run[name] is None else run[name] for run in self.runs)

    def profile(self, key: str = "log10_norm") -> Spread:
        """A profile of log10 norms at the runs' lags, [N] each; -inf where the gradient is exactly zero."""
        return spread(log10_norms(run[key]) for run in self.runs)


def grouped(runs: Iterable[Mapping[str, Any]]) -> list[Group]:
    """The groups, in the order in which each first appears."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["input"], run["cell"], run["init"]), []).append(run)
    return [Group(kind, cell, init, seeds) for (kind, cell, init), seeds in groups.items()]


def spread(values: Iterable[Any]) -> Spread:
    """Over S floats, or S arrays [N]."""
    stacked = np.stack([*values])
    return Spread(np.median(stacked, axis=0), stacked.min(axis=0), stacked.max(axis=0))


def log10_norms(values: Sequence[float | None]) -> Floats:
    """A profile [N] with None, an exactly zero gradient, as -inf."""
    return np.array([-math.inf if value is None else value for value in values], dtype=np.float64)


def finite(value: Any) -> float | None:
    """The number as JSON holds it: None for what is not finite."""
    return float(value) if math.isfinite(value) else None


def finites(values: Any) -> list[float | None]:
    """Numbers [N] as JSON holds them."""
    return [finite(value) for value in values]
