"""Networks as other frameworks hold them: layers on top of each other, each one cell or a pair of directions.

    n layers of one cell                        gr.stack(cell, layers=n)
    n layers of both directions, side by side   gr.stack(gr.bidirectional(cell), layers=n)

One layer is no stack.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gatedrnn._cell import Cell
from gatedrnn._check import fail, shown
from gatedrnn.networks.bidirectional import BidirectionalParams, Directions, bidirectional
from gatedrnn.networks.stack import Layers, StackParams, stack


class Single(NamedTuple):
    """One cell, and what holds its weights in the other framework."""

    cell: Cell
    step: Any


class Pair(NamedTuple):
    """Both directions, merged by a word of ours."""

    forward: "Tree"
    backward: "Tree"
    merge: str


class Pile(NamedTuple):
    """Layers from the input's side, and the dropout between them."""

    layers: tuple["Tree", ...]
    dropout: float


Tree = Single | Pair | Pile


def network(tree: Tree, params: Callable[[Single, Any], Any], weights: Any) -> tuple[Cell, Any]:
    """Ours: the cell or network, and its weights, each cell's by `params`.

    Args:
        tree: how the other framework holds it.
        params: (cell, its weights there) -> ours.
        weights: of a pair `{"forward": ..., "backward": ...}`, of a pile a list.
    """
    if isinstance(tree, Single):
        return tree.cell, params(tree, weights)
    if isinstance(tree, Pair):
        forward, one = network(tree.forward, params, weights["forward"])
        backward, other = network(tree.backward, params, weights["backward"])
        return bidirectional(forward, backward, merge=tree.merge), BidirectionalParams(one, other)
    parts = [network(part, params, held) for part, held in zip(tree.layers, weights, strict=True)]
    return stacked(parts, tree.dropout)


def stacked(layers: Sequence[tuple[Cell, Any]], dropout: float = 0.0) -> tuple[Cell, Any]:
    """Layers and their weights as one network; of one layer, that layer."""
    if len(layers) == 1:
        return layers[0]
    cells, params = zip(*layers, strict=True)
    return stack(*cells, dropout=dropout), StackParams(tuple(params))


def layers_of(cell: Any, params: Any) -> tuple[list[tuple[Cell, Any]], float]:
    """The inverse of `stacked`: the layers of a stack, or the cell as the only one; and the dropout between them.

    Raises:
        ValueError: the stack adds, shows or norms what lies between its layers, or `params` are not its weights.
    """
    layers = getattr(cell, "network", None)
    if not isinstance(layers, Layers):
        return [(cell, params)], 0.0
    if layers.residual or layers.skip or layers.norm is not None:
        raise fail("cell", "a stack without `residual`, `skip` and `norm`, which have no counterpart", repr(cell.name))
    if not isinstance(params, StackParams) or len(params.layers) != len(layers.cells):
        raise fail("params", f"the StackParams of {len(layers.cells)} layers", _kind(params))
    return list(zip(layers.cells, params.layers, strict=True)), layers.dropout


def directions_of(cell: Any, params: Any) -> tuple[list[tuple[Cell, Any]], str]:
    """The cells of a layer with their weights, forward first, and how they are merged; "" where there is one alone.

    Raises:
        ValueError: `params` are not the weights of both.
    """
    both = getattr(cell, "network", None)
    if not isinstance(both, Directions):
        return [(cell, params)], ""
    if not isinstance(params, BidirectionalParams):
        raise fail("params", f"the BidirectionalParams of {cell.name}", _kind(params))
    return [(both.forward, params.forward), (both.backward, params.backward)], both.merge


def _kind(params: Any) -> str:
    layers = getattr(params, "layers", None)
    return shown(params) if layers is None else f"{len(layers)} layers"
