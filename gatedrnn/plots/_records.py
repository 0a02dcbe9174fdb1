"""The order and the looks of records: silent first, the package's cells before any others."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gatedrnn.cells import CELLS
from gatedrnn.flow.compare import INITS

Run = Mapping[str, Any]


def in_order(records: Sequence[Run], *keys: str) -> list[Run]:
    """Sorted by `keys`, the values of each in order of first appearance, with the usual ones first."""
    usual = ("silent", *CELLS, *INITS)
    ranks = [assign(usual, (record[key] for record in records), itertools.count()) for key in keys]
    return sorted(records, key=lambda record: [rank[record[key]] for rank, key in zip(ranks, keys, strict=True)])


def assign(first: Iterable[str], names: Iterable[str], values: Iterable[Any]) -> dict[str, Any]:
    """Gives `first`, then each new one of `names`, the next of `values`, which start again when they run out."""
    return dict(zip(dict.fromkeys((*first, *names)), itertools.cycle(values), strict=False))
