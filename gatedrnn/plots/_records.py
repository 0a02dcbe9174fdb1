"""What the figures read: runs and gate maps as plain mappings, their order, and their profiles as arrays.

Dimension letters: N points of a line.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Run = Mapping[str, Any]

KEYS = ("input", "cell", "init")
"""What tells one configuration from another; the seeds of a configuration are drawn as one line."""

FLOORS = {"float32": 38, "float64": 308}
"""Decades below 1 at which a norm turns to zero in a format, and above 1 at which it turns to infinity."""

CELLS = ("rnn", "gru", "lstm")
INITS = ("default", "chrono")


def log10_norms(values: Sequence[float | None]) -> Floats:
    """A profile `[N]` with None, an exactly zero gradient, as -inf."""
    return np.array([-np.inf if value is None else value for value in values], dtype=np.float64)


def in_order(records: Sequence[Run], *keys: str) -> list[Run]:
    """Sorted by `keys`, the values of each in order of first appearance, with the usual ones first."""
    usual = ("silent", *CELLS, *INITS)
    ranks = [assign(usual, (record[key] for record in records), itertools.count()) for key in keys]
    return sorted(records, key=lambda record: [rank[record[key]] for rank, key in zip(ranks, keys, strict=True)])


def assign(first: Sequence[str], names: Iterable[str], values: Iterable[Any]) -> dict[str, Any]:
    """Gives `first`, then each new one of `names`, the next of `values`, which start again when they run out."""
    return dict(zip(dict.fromkeys((*first, *names)), itertools.cycle(values), strict=False))
