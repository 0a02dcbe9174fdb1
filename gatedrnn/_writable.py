"""Units that are written by one direction of the input and keep what was written, for weights of any seed.

The gate that writes rests shut; a step x opens it as far as it lies along the unit's direction d:

    writes  = sigmoid(-b (1 - x . d))         b = ln(T / leak): sigmoid(-b) = leak / T at rest, 1/2 where x . d = 1
    keeps   = sigmoid(b)                      over T steps exp(-leak)

Of the GRU both are the update gate: writes = 1 - z.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatedrnn._check import LARGEST, check_number, check_size, fail, shown
from gatedrnn._forms import Params

DIRECTIONS = "[K, D] of finite numbers, such as [(0, 1)] for the second of two features"


@dataclass(frozen=True)
class Writable:
    """What the option `writable` of an `init` takes; made by `writable`.

    Attributes:
        units: how many units each direction opens.
        horizon: T in steps.
        directions: K tuples [D]; None for each feature by itself.
        leak: what the gate at rest lets in over T steps, and what the unit loses in them.
    """

    units: int
    horizon: float
    directions: tuple[tuple[float, ...], ...] | None = None
    leak: float = 0.1

    @property
    def bias(self) -> float:
        """B, the resting pre-activation of the gate that keeps: sigmoid(-b) = leak / T."""
        return math.log(self.horizon / self.leak - 1)

    def rows(self, input_size: int) -> np.ndarray:
        """The direction of every such unit, [units * K, D].

        Raises:
            ValueError: the directions have another width than D.
        """
        directions = np.eye(input_size) if self.directions is None else np.array(self.directions)
        if directions.shape[1] != input_size:
            raise fail("writable.directions", f"[K, D] with D = {input_size} to match `input_size`", directions.shape)
        return np.repeat(directions, self.units, axis=0)


def writable(units: int, horizon: float, *, directions: Any = None, leak: float = 0.1) -> Writable:
    """Makes a stated number of units writable and lasting, by construction and for any seed.

    At rest, the T steps of the horizon together let in at most `leak` of a candidate; one step x with x . d = 1 lets
    in half of one, and what is in a unit is kept to exp(-leak) over the horizon. So it works for tasks whose steps
    that matter stand out along a direction known beforehand, x . d near 1 there and near 0 (or below) elsewhere: marks,
    single symbols, rare events. A step with x . d = 1/2 opens the gate to about sqrt(leak / T). What matters only in
    its context, such as the noun that is the subject, or every step, as in parity, is no such thing: there these units
    are to learn like all others.

    These units' gates are given all their weights, those from the state being zero; other gates, and all of the other
    units, keep theirs. Training changes all of them.

    Args:
        units: how many units for each direction.
        horizon: T in steps, above `leak`.
        directions: K rows [D]; by default each input feature by itself, for which nothing of the task is known.
        leak: above 0, at most 1.

    Returns:
        The value for `gr.lstm.init(..., writable=...)` and `gr.gru.init(..., writable=...)`.

    Raises:
        ValueError: a number is out of range, or `directions` are no rows of finite numbers.

    Example:
        >>> import jax, gatedrnn as gr
        >>> shut = gr.initializers.writable(4, 10_000)
        >>> params = gr.lstm.init(jax.random.key(0), 2, 32, writable=shut)
        >>> found = gr.gate_activations(gr.lstm, params, jax.numpy.array([[0.3, 0.0], [0.3, 1.0]]))
        >>> [f"{value:.1e}" for value in found.input[:, 4].tolist()]  # of the first unit that the second feature opens
        ['1.0e-05', '5.0e-01']
    """
    units = check_size("units", units, most=LARGEST)
    leak = check_number("leak", leak, above=0, most=1)
    horizon = check_number("horizon", horizon, least=2, most=1e30)
    if directions is None:
        return Writable(units, horizon, None, leak)
    try:
        rows = np.asarray(directions, np.float64)
    except (TypeError, ValueError):
        raise fail("directions", DIRECTIONS, shown(directions)) from None
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise fail("directions", DIRECTIONS, shown(rows))
    return Writable(units, horizon, tuple(map(tuple, rows.tolist())), leak)


def made_writable(params: Params, gates: int, given: Writable, *, writes: int | None, keeps: int) -> Params:
    """The weights `w [D, G * H]`, `b [G * H]`; `w [H, G * H]` with the first units' gates as `given` says.

    Args:
        params: of a cell whose blocks stand side by side.
        gates: G.
        given: units, horizon and directions.
        writes: the block of the gate that writes; None where the complement of the one that keeps does.
        keeps: the block of the gate that keeps.

    Raises:
        ValueError: `given` is no `Writable`, of another width, or has more units than there are.
    """
    if not isinstance(given, Writable):
        raise fail("writable", "a value of `gr.initializers.writable`", shown(given))
    width, hidden = params.input["w"].shape[0], params.recurrent["w"].shape[0]
    rows = given.rows(width)  # [N, D]
    count = len(rows)
    if count > hidden:
        raise fail("writable", f"of at most {hidden} units in all, the hidden size", f"{count:,}")
    w, b, u = (
        a.reshape(*a.shape[:-1], gates, hidden) for a in (params.input["w"], params.input["b"], params.recurrent["w"])
    )
    opening = given.bias * rows.T  # [D, N]
    for gate, sign in ((keeps, 1.0),) if writes is None else ((keeps, 0.0), (writes, 1.0)):
        toward = sign if gate == writes else -sign
        w = w.at[:, gate, :count].set(toward * opening.astype(w.dtype))
        b = b.at[gate, :count].set(-given.bias if gate == writes else given.bias)
        u = u.at[:, gate, :count].set(0)
    flat = [a.reshape(*a.shape[:-2], gates * hidden) for a in (w, b, u)]
    return params._replace(
        input={**params.input, "w": flat[0], "b": flat[1]}, recurrent={**params.recurrent, "w": flat[2]}
    )
