"""The cells of a network by the places of their carries, found without running anything."""

from typing import Any

import jax

from gatedrnn._cell import Cell
from gatedrnn._outputs import All
from gatedrnn._sequence import Sequence
from gatedrnn._visit import outputs_of, visit


def cells_of(cell: Cell, params: Any, sequence: Sequence) -> dict[str, Cell]:
    """Each cell by its place, such as `0` and `1` of a stack of two; a single cell, or what is none, by "".

    Args:
        cell: a cell or network.
        params: its weights.
        sequence: what it is run over.
    """

    def named(cell: Cell, params: Any, steps: Sequence) -> tuple[Cell, Any]:
        return cell, outputs_of(cell, params, steps)

    run = lambda params, sequence: visit(cell, params, sequence, All(), named, apart=True)[0]
    found = jax.eval_shape(run, params, sequence)
    pairs = jax.tree.leaves_with_path(found, is_leaf=lambda node: isinstance(node, Cell))
    return {jax.tree_util.keystr(path, simple=True, separator="."): each for path, each in pairs}


def memory_of(place: str, parts: list[str]) -> str:
    """The last part of the carry of the cell at a place, in which its units keep what they keep."""
    own = [part for part in parts if not place or part.startswith(f"{place}.")]
    return own[-1]
