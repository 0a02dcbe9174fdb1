"""A network's cells, visited in the order in which they are run: what is measured of a network is measured of each.

findings, part = visit(cell, params, sequence, outputs, run)        run(cell, params, sequence) -> (finding, ys)

A network runs its cells by any method that it is given, each over what it reads. The visit is such a method: it hands
back a finding in the place of the carry.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._jax import scan
from gatedrnn._method import run_whole
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence
from gatedrnn._step import guarded_step

Run = Callable[[Cell, Any, Sequence], tuple[Any, Array]]


@jax.tree_util.register_static
@dataclass(frozen=True, eq=False)
class _Finding:
    """What stands in the carry's place; to JAX it has no arrays, so that none is marked as a carry's would be."""

    value: Any


@dataclass(frozen=True, eq=False)
class _Visit:
    """The method."""

    run: Run
    apart: bool

    def __call__(self, cell: Cell, params: Any, sequence: Sequence, outputs: Outputs) -> tuple[Any, Any]:
        if self.apart and cell.network is not None:
            return cell.network(self, params, sequence, outputs)
        value, ys = self.run(cell, params, sequence)
        return _Finding(value), outputs.of(sequence, ys)


def visit(
    cell: Cell, params: Any, sequence: Sequence, outputs: Outputs, run: Run, apart: bool = False
) -> tuple[Any, Any]:
    """Runs a network, or a cell, by a function of single cells; traceable.

    Args:
        cell: what is run.
        params: its weights.
        sequence: over what.
        outputs: what is wanted of the outputs.
        run: `(cell, params, sequence) -> (finding, ys [T, B, H])`, of each cell over what it reads, where what must not
            be read is zero.
        apart: whether the layers of what has single steps are visited, too; else it is one cell.

    Returns:
        The findings, in the places of their cells' carries in the network's, and the part that `outputs` asks for.
    """
    found, part = run_whole(_Visit(run, apart), cell, params, sequence, outputs)
    return jax.tree.map(lambda place: place.value, found, is_leaf=lambda node: isinstance(node, _Finding)), part


def outputs_of(cell: Cell, params: Any, sequence: Sequence) -> Array:
    """The outputs of a single cell, [T, B, H], by a plain scan."""
    step = guarded_step(cell, params, sequence.initial)
    inputs = (sequence.xs, sequence.mask, sequence.reset)
    return scan(step, sequence.carry, inputs, reverse=sequence.reverse)[1]
