"""The order and the looks of records: silent first, the package's cells before any others."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from gatedrnn._registry import CELLS, CLASSICS
from gatedrnn.flow.compare import INITS

Run = Mapping[str, Any]
_DASHES = ((), (1, 1.6), (7, 1.5, 1.2, 1.5), (4, 1), (3, 1, 1, 1, 1, 1))  # of each initialisation, in line widths


@dataclass(frozen=True)
class Looks:
    """In every figure the colour is the cell, and the stroke the initialisation; solid is the default one."""

    hues: Mapping[str, str]
    dashes: Mapping[str, tuple[float, ...]]

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]], colours: Iterable[str]) -> Self:
        """Of cells and initialisations; the package's own come first, and the classics look alike everywhere."""
        cells = [cell for cell, _ in pairs]
        own = [cell for cell in CELLS if cell in CLASSICS or cell in cells]
        return cls(assign(own, cells, colours), assign(INITS, (init for _, init in pairs), _DASHES))

    def stroke(self, cell: str, init: str) -> Any:
        """Every other cell starts half a period later, so that equal dashed lines do not hide each other."""
        dashes, shift = self.dashes[init], list(self.hues).index(cell) % 2
        return (shift * sum(dashes) / 2, dashes) if dashes else "-"


def in_order(records: Sequence[Run], *keys: str) -> list[Run]:
    """Sorted by `keys`, the values of each in order of first appearance, with the usual ones first."""
    usual = ("silent", *CELLS, *INITS)
    ranks = [assign(usual, (record[key] for record in records), itertools.count()) for key in keys]
    return sorted(records, key=lambda record: [rank[record[key]] for rank, key in zip(ranks, keys, strict=True)])


def assign(first: Iterable[str], names: Iterable[str], values: Iterable[Any]) -> dict[str, Any]:
    """Gives `first`, then each new one of `names`, the next of `values`, which start again when they run out."""
    return dict(zip(dict.fromkeys((*first, *names)), itertools.cycle(values), strict=False))
