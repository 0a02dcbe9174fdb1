"""Writable units: what one step that matters writes into a unit, against what all the others add, and what is kept.

written  = the unit's memory after one step from the first carry           of the LSTM i g, of the GRU (1 - z) n
signal   = std over marked steps of written
ratio    = signal / (sqrt(T) std over unmarked steps of written)
offset   = T * mean over unmarked steps of written
kept     = exp(lag * mean over unmarked steps of ln f)                     f = d after / d before
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import LARGEST, check_array, check_number, check_size, fail, shown
from gatedrnn._jacobian import kept
from gatedrnn._jax import gathered
from gatedrnn._sequence import Sequence, check_sequence

KEPT = 0.1
"""What a unit that lasts keeps of itself over the lag."""


class Written(NamedTuple):
    """What `writable` gives, [H] each.

    Attributes:
        signal: by how much what one marked step writes differs from what another does.
        ratio: by how much what tells one marked step from another stands out from what T unmarked ones add; inf where
            those add the same every time, 0 where marked ones do not differ.
        offset: what T unmarked steps write together on average, the same in every sequence, as if all of it were kept.
            Beyond about 2 it saturates what an LSTM shows of the unit.
        kept: how much of its memory the unit still has after `lag` unmarked steps.
    """

    signal: Array
    ratio: Array
    offset: Array
    kept: Array

    @property
    def units(self) -> Array:
        """Bool [H]: whether the ratio is above 1 and a tenth is kept."""
        return (self.ratio > 1) & (self.kept > KEPT)

    @property
    def number(self) -> Array:
        """The number of such units."""
        return self.units.sum(-1)

    @property
    def best(self) -> Array:
        """The largest ratio of a unit that keeps a tenth; 0 where none does."""
        return jnp.where(self.kept > KEPT, self.ratio, 0).max(-1)


def writable(
    cell: Cell, params: Any, marked: Array, unmarked: Array, *, horizon: int, lag: float | None = None
) -> Written:
    """Which units can be written by the steps that matter, and by nothing else, before anything is trained.

    Where there is none, training has to make one first: that is much of what a plateau waits for. Measured at the first
    carry, so no recurrent weight has a part in it: of a cell whose state has moved, it is an extrapolation.

    Args:
        cell: a cell in three-function form with a gate that keeps.
        params: its weights.
        marked: inputs of steps that matter, such as draws of them, [N, D], at least two.
        unmarked: inputs of the other steps, [M, D].
        horizon: T, how many of those there are.
        lag: steps over which a unit has to keep what was written; T by default.

    Returns:
        A `Written`.

    Raises:
        ValueError: the cell has no gate that keeps, a number is out of range, or inputs have the wrong rank or width.

    Example:
        >>> import jax, jax.numpy as jnp, gatedrnn as gr
        >>> values = jnp.linspace(0, 1, 100)  # the adding task: (value, mark)
        >>> marked, unmarked = (jnp.stack([values, jnp.full(100, mark)], 1) for mark in (1.0, 0.0))
        >>> made = gr.initializers.writable(4, 10_000, directions=[(0, 1)])
        >>> params = gr.lstm.init(jax.random.key(0), 2, 32, chrono=10_000, writable=made)
        >>> int(gr.flow.writable(gr.lstm, params, marked, unmarked, horizon=10_000).number)
        4
    """
    if not isinstance(cell, Cell) or not cell.factored or not cell.keeps:
        raise fail("cell", "a Cell in three-function form with a gate that keeps, such as `gr.lstm`", repr(cell))
    horizon = check_size("horizon", horizon, most=LARGEST)
    lag = horizon if lag is None else check_number("lag", lag, least=0)
    rows = [_rows(cell, params, *each) for each in (("marked", marked, 2), ("unmarked", unmarked, 1))]
    return _measured(cell, params, *rows, float(horizon), float(lag))


def _rows(cell: Cell, params: Any, name: str, value: Any, least: int) -> Sequence:
    """Inputs [N, D] as N sequences of one step."""
    expected = f"inputs [N, D] of N >= {least} steps"
    rows = check_array(name, expected, value)
    if rows.ndim != 2 or len(rows) < least:
        raise fail(name, expected, shown(rows))
    return check_sequence(cell, params, rows[None], None)


@functools.partial(jax.jit, static_argnums=0)
@gathered(1)
def _measured(cell: Cell, params: Any, marked: Sequence, unmarked: Sequence, horizon: float, lag: float) -> Written:
    def stepped(sequence: Sequence) -> tuple[Array, Array]:
        """What each of the steps [N, D] writes, and the factor by which it keeps, [N, H] each."""
        xs, carry = sequence.xs[0], sequence.carry
        gates_x, gates_h = cell.halves(params, xs, carry.h)
        unit = params.spread(carry.h)
        written = cell.pointwise(gates_x, gates_h, carry, *unit)[-1] - carry[-1]
        return written, kept(cell, gates_x, gates_h, carry, unit)

    (signal, _), (noise, factors) = stepped(marked), stepped(unmarked)
    spread = jnp.sqrt(jnp.asarray(horizon, noise.dtype)) * _deviation(noise)
    signal = _deviation(signal)
    ratio = jnp.where(spread > 0, signal / jnp.where(spread > 0, spread, 1), jnp.where(signal > 0, jnp.inf, 0))
    log = jnp.log(jnp.abs(factors)).mean(0)
    return Written(signal, ratio, horizon * noise.mean(0), jnp.exp(lag * log))


def _deviation(values: Array) -> Array:
    """The standard deviation over rows [N, H] -> [H], scaled first, so that no square underflows."""
    centred = values - values.mean(0, keepdims=True)
    size = jnp.abs(centred).max(0, keepdims=True)
    return size[0] * jnp.sqrt(jnp.square(centred / jnp.where(size > 0, size, 1)).mean(0))
