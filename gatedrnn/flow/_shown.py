"""The units that a readout hangs on over a stretch of steps: which they are, what they hold, what their gates let by.

weight_t(u) = |dL/dm_t(u)| |m_t(u) - mean of m(u)| / the same over all units        m: the memory of a unit

To first order it is how much of the readout comes from what unit u holds before step t. Each step counts alike,
however little of the gradient is left there.
"""

import math
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from gatedrnn._cell import Cell
from gatedrnn._unroll import gate_activations
from gatedrnn.flow._between import named_parts
from gatedrnn.flow._carried import Carried
from gatedrnn.flow._places import memory_of

Floats = NDArray[np.float64]


class ShownUnit(NamedTuple):
    """One unit over L steps.

    Attributes:
        place: of its cell, as `0` in a stack; "" in a single cell.
        unit: its number in that cell.
        share: mean over the steps of its weight among all units.
        memory: what it holds after every step, [L].
        gates: by name, [L] each; none where the cell names no gates.
    """

    place: str
    unit: int
    share: float
    memory: Floats
    gates: dict[str, Floats]


def shown_units(places: list[str], found: Carried, gates: dict[str, Floats], count: int) -> tuple[ShownUnit, ...]:
    """The units of most weight, at most `count`.

    Args:
        places: of the cells.
        found: of one row over L steps, [L, ...] each.
        gates: by place and name, such as `0.forget`, [L, H] each.
        count: how many.
    """
    parts = named_parts(found.before)
    before, after, pull = (_memories(places, parts, tree) for tree in (found.before, found.after, found.mantissa))
    owners = [(place, unit) for place in places for unit in range(before[place].shape[1])]
    held, later, weight = (np.concatenate([tree[place] for place in places], 1) for tree in (before, after, pull))
    weight = np.abs(weight) * np.abs(held - held.mean(0))  # [L, units]
    total = weight.sum(1, keepdims=True)
    share = (weight / np.where(total > 0, total, 1)).mean(0)
    return tuple(
        ShownUnit(place, unit, float(share[i]), later[:, i], _of_unit(gates, place, unit))
        for i in np.argsort(-share, kind="stable")[:count]
        for place, unit in [owners[i]]
    )


def gates_along(cell: Cell, params: Any, xs: Any, carry: Any) -> dict[str, Floats]:
    """Every gate of every cell along one row [L, D], by place and name, [L, H] each."""
    pairs = jax.tree.leaves_with_path(gate_activations(cell, params, xs, carry))
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(a, np.float64) for path, a in pairs}


def _memories(places: list[str], parts: list[str], tree: Any) -> dict[str, Floats]:
    """What each cell's units keep, [L, H]."""
    leaves = dict(zip(parts, jax.tree.leaves(tree), strict=True))
    kept = {place: np.asarray(leaves[memory_of(place, parts)], np.float64) for place in places}
    return {place: a.reshape(len(a), math.prod(a.shape[1:])) for place, a in kept.items()}


def _of_unit(gates: dict[str, Floats], place: str, unit: int) -> dict[str, Floats]:
    split = {name.rpartition(".")[::2]: values for name, values in gates.items()}
    return {name: values[:, unit] for (where, name), values in split.items() if where == place}
