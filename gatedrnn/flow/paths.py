"""Which path a gradient takes: along each unit by itself, through its gates, or across units by the recurrent weights.

J_t = A_t + B_t U^T         A_t: the step with the recurrent half of every gate held fixed; no unit sees another
direct  = A^T ... A^T       of the LSTM the product of forget gates, of the GRU that of update gates
rest    = whole - direct    all that crossed U at one step or more
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_list, check_size, fail, shown
from gatedrnn._forms import Carry
from gatedrnn._jax import gathered
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence, check_sequence, unbatched
from gatedrnn._visit import visit
from gatedrnn.flow._backward import Ran, ran
from gatedrnn.flow._between import between_cells, by_part, dealt, named_parts, summed, together
from gatedrnn.flow._loss import loss_of
from gatedrnn.flow._order import turned
from gatedrnn.flow._room import check_room
from gatedrnn.flow._scaled import Scaled
from gatedrnn.flow._split import KINDS, Streams, split_backward


class UnitPaths(NamedTuple):
    """The split unit by unit, in chosen rows.

    Attributes:
        rows: which, increasing, [N].
        whole: log10 of |dL/dcarry_t| of every unit, for each part of the carry, [N, B, H] or [N, H]. -inf, too, where a
            unit is further below the largest of its row than a float can be (38 decades in float32).
        direct: of what came along the unit itself, however far below the others.
        rest: of what crossed the recurrent weights; as for the whole.
    """

    rows: np.ndarray
    whole: dict[str, Array]
    direct: dict[str, Array]
    rest: dict[str, Array]


class Paths(NamedTuple):
    """Result of `paths`.

    Attributes:
        whole: log10 of the norm of dL/dcarry_t, for each field of the carry and for all of it (`state`), [T + 1, B] or
            [T + 1]; rows as in `Adjoint`. Of a network by the places of its carry, such as `1.h`.
        direct: the same of what has come along the elementwise path alone: by products of A_t.
        rest: the same of whole - direct, as vectors: what has crossed the recurrent weights at least once. Norms do not
            add up: where `direct` and `rest` both lie above `whole`, they cancel.
        share: of a network, each layer's share of the squared norm of the whole, by its place, [T + 1, B] or [T + 1];
            together 1, and 0 where nothing arrives. Empty for a single cell.
        units: the split unit by unit, where it was asked for.
    """

    whole: dict[str, Array]
    direct: dict[str, Array]
    rest: dict[str, Array]
    share: dict[str, Array]
    units: UnitPaths | None


def paths(
    cell: Cell,
    params: Any,
    xs: Array,
    carry: Carry | None = None,
    *,
    dys: Array | None = None,
    dcarry: Carry | None = None,
    mask: Array | None = None,
    reset: Array | None = None,
    reverse: bool = False,
    units: int | list[int] | Array | None = None,
) -> Paths:
    """Splits the adjoint over time: what the gates' products alone bring back, and what came by other ways.

    The elementwise path keeps the recurrent half of every gate fixed. Of the LSTM it is c' = f c, so that what arrives
    k steps back is the product of k forget gates; of the GRU h' = z h, with update gates. All else, through the gates
    and through what units write into each other, has met the recurrent weights. A masked step is the identity, and
    counts as direct. Of a diagonal U (`gr.indrnn`) the product with it is not direct either: it is U.

    The whole is `adjoint`'s, row by row, of networks too. What comes down from a layer above is direct where it was
    direct there: the layers between step t and the loss lie in space, and the split is one over time.

    Args:
        cell: a cell in three-function form, or a network of such. One with `step` alone has no such split: `adjoint`
            measures its whole.
        params: its weights.
        xs: inputs, [T, B, D] or [T, D].
        carry: the carry before the first step; by default `cell.initial_carry`.
        dys: dL/dys, as in `adjoint`; by default the probe is as there.
        dcarry: dL/dcarry_T, like the carry.
        mask: bool [T, B] or [T], as in `unroll`.
        reset: bool [T, B] or [T], as in `unroll`; no gradient passes it.
        reverse: as in `unroll`.
        units: rows 0..T whose units are wanted one by one; or a number of rows, evenly spread over the logarithm of the
            lag. Memory: 3 N B S floats, beside the trajectory [T, B, S].

    Returns:
        `Paths`: log10 norms, dimensionless, finite at any horizon; -inf where nothing arrives.

    Raises:
        ValueError: the cell, or one of the network's, has `step` alone, an argument has the wrong rank, width, dtype or
            structure, or memory does not do.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.lstm.init(jax.random.key(0), 2, 16)
        >>> found = gr.flow.paths(gr.lstm, params, jax.random.normal(jax.random.key(1), (500, 2)))
        >>> bool(found.direct["state"][-101] < found.whole["state"][-101] - 3)  # of 100 steps back, below a thousandth
        True

    References:
        Hochreiter, Schmidhuber, "Long short-term memory", 1997, https://doi.org/10.1162/neco.1997.9.8.1735 (the
        constant error carousel is the direct path); Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent
        neural networks", 2013, https://arxiv.org/abs/1211.5063
    """
    if not isinstance(cell, Cell) or cell.network is None:
        _check_factored(cell)
    sequence = check_sequence(cell, params, xs, carry, mask, reset, reverse, stepwise=False)
    batched = np.ndim(xs) == 3
    steps = sequence.xs.shape[0]
    rows = None if units is None else _check_units(units, steps)
    check_room("xs", sequence, per_step=1, at_once=0 if rows is None else 3 * len(rows))
    outputs, dys, dcarry = loss_of(cell, params, sequence, dys, dcarry, batched)
    places = None
    if rows is not None:
        places = np.full(steps + 1, len(rows), np.int32)
        places[rows] = np.arange(len(rows))
    count = 0 if rows is None else len(rows)
    norms, share, found = _paths(cell, outputs, count, params, sequence, dys, dcarry, places)
    if not batched:
        norms, share, found = unbatched(norms, 1), unbatched(share, 1), unbatched(found, 1)
    norms, found = ([by_part(each, dcarry) for each in both] for both in (norms, found))
    whole, direct, rest = norms
    return Paths(whole, direct, rest, share, None if rows is None else UnitPaths(rows, *found))


def _check_factored(cell: Any) -> None:
    if not isinstance(cell, Cell) or not cell.factored:
        expected = "a Cell with `project`, `recur` and `pointwise`, whose step has an elementwise path apart from U"
        raise fail("cell", expected, repr(cell))


def _check_units(units: Any, steps: int) -> np.ndarray:
    """The rows whose units are wanted, increasing."""
    if isinstance(units, int | np.integer) and not isinstance(units, bool):
        number = check_size("units", units)
        lags = np.concatenate([[0], np.geomspace(1, max(steps, 1), max(number - 1, 1)).round()])[:number]
        return np.unique(steps - np.minimum(lags, steps).astype(int))
    expected = f"a number of rows, or a list of rows from 0 to T = {steps}"
    rows = [check_size("units", row, least=0) for row in check_list("units", expected, units)]
    if not rows or max(rows) > steps:
        raise fail("units", expected, shown(units))
    return np.unique(rows)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
@gathered(3)
def _paths(
    cell: Cell,
    outputs: Outputs,
    count: int,
    params: Any,
    sequence: Sequence,
    dys: Array | None,
    dcarry: Carry,
    places: Array | None,
) -> tuple[list[dict[str, Array]], dict[str, Array], list[dict[str, Array]]]:
    """By stream the norms by part, [T + 1, B] each; the layers' shares; by stream the units by part, [N, B, H] each."""

    def measured(cell: Cell, params: Any, steps: Sequence) -> tuple[Ran, Array]:
        _check_factored(cell)
        return ran(cell, params, steps)

    found, _ = visit(cell, params, sequence, outputs, measured, apart=True)
    runs: list[Ran] = jax.tree.leaves(found)
    streams = _through_cells(cell, outputs, params, sequence, dys, dcarry, runs, places, count)
    placed = [turned(run.reverse, each.norms) for run, each in zip(runs, streams, strict=True)]
    names = named_parts(dcarry)
    norms = []
    for i in range(len(KINDS)):
        rows = [each[:, part, i] for each in placed for part in range(each.shape[1] - 1)]
        norms.append(dict(zip(names, rows, strict=True)) | {"state": together([each[:, :, i] for each in placed])})
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    whole = norms[0]["state"]
    arrives = ~jnp.isneginf(whole)
    share = {
        layer: jnp.where(arrives, 10 ** (2 * (each[:, -1, 0] - jnp.where(arrives, whole, 0))), 0)
        for layer, each in zip(layers, placed, strict=True)
        if layer
    }
    parts = [part for each in streams for part in each.units or ()]
    units = [{name: part[:, i] for name, part in zip(names, parts, strict=False)} for i in range(len(KINDS))]
    return norms, share, units


def _through_cells(
    cell: Cell,
    outputs: Outputs,
    params: Any,
    sequence: Sequence,
    dys: Array | None,
    dcarry: Carry,
    runs: list[Ran],
    places: Array | None,
    count: int,
) -> list[Streams]:
    """The backward passes of all cells, each after those that read it."""
    parts = dealt(dcarry, runs)
    between = between_cells(cell, outputs, params, sequence, dys, runs, apart=True)
    arriving: list[list[Scaled | None] | None] = [None]
    if dys is not None or len(runs) > 1:
        arriving = [[each, each, None] for each in between.direct]
    found: list[Streams] = []  # of the cells from the i-th on
    for i in reversed(range(len(runs))):
        run = runs[i]
        ordered = None if places is None else turned(run.reverse, places)
        streams = split_backward(
            run, turned(run.reverse, arriving[i]), parts[i], ordered, count, cell.factored, reads=i > 0
        )
        found.insert(0, streams)
        if streams.read is not None:
            passed = [between.onward(i, turned(run.reverse, each))[0] for each in streams.read]  # by stream, by cell
            arriving = [
                [summed(one, other) for one, other in zip(each or (), onward, strict=True)]
                for each, onward in zip(arriving[:i], zip(*passed, strict=True), strict=False)
            ]
    return found
