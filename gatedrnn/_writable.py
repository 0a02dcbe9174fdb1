"""Units that are written by one direction of the input and keep what was written, for weights of any seed.

The gate that writes rests shut; a step x opens it as far as it lies along the unit's direction d:

    writes  = sigmoid(-b (1 - x . d))         b = ln(T / leak - 1): sigmoid(-b) = leak / T at rest, 1/2 where x . d = 1
    keeps   = sigmoid(b)                      over T steps exp(-leak)

Of the GRU both are the update gate: writes = 1 - z. Where such a step is to replace what is held,

    writes  = sigmoid(-b (1 - 2 x . d))       1 - leak / T where x . d = 1
    keeps   = sigmoid(b (1 - 2 x . d))

and what shows the state to the candidate, the LSTM's output gate or the GRU's reset gate, rests open: the units are a
plain recurrence, which moves on at such steps and stands still at others.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax.typing import DTypeLike

from gatedrnn._check import LARGEST, check_number, check_size, fail, shown
from gatedrnn._forms import Params

OPEN = 4.0
"""Bias of a gate that rests open: sigmoid(4) = 0.98."""

LATCHES = 4
"""Units that remember the release."""

LATCHED = 2.0
"""Pre-activation of what they are written."""

RELEASED = 3.0
"""By how many resting biases they turn the gates of the others when all of them hold 1."""

DIRECTION = "[D] finite numbers, such as (0, 1) for the second of two features"
DIRECTIONS = "[K, D] of finite numbers, such as [(0, 1)] for the second of two features"


@dataclass(frozen=True)
class Writable:
    """What the option `writable` of an `init` takes; made by `writable`.

    Attributes:
        units: how many units each direction opens.
        horizon: T in steps.
        directions: K tuples [D]; None for each feature by itself.
        leak: what the gate at rest lets in over T steps, and what the unit loses in them.
        replaces: whether an opened unit becomes its candidate, which sees the whole state; else half of one is added.
        release: [D], the direction of the step after which the gates of all these units stay open; None for none.
    """

    units: int
    horizon: float
    directions: tuple[tuple[float, ...], ...] | None = None
    leak: float = 0.1
    replaces: bool = False
    release: tuple[float, ...] | None = None

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

    def latches(self, input_size: int) -> np.ndarray:
        """The direction of every unit that remembers the release, [4, D]; [0, D] without one.

        Raises:
            ValueError: the direction has another width than D.
        """
        if self.release is None:
            return np.zeros((0, input_size))
        if len(self.release) != input_size:
            raise fail("writable.release", f"[D] with D = {input_size} to match `input_size`", (len(self.release),))
        return np.repeat([self.release], LATCHES, axis=0)


@dataclass(frozen=True)
class Blocks:
    """Which block of a cell's weights is which gate.

    Attributes:
        number: of blocks, G.
        keeps: the gate that keeps the memory.
        writes: the one that writes it; None where the complement of `keeps` does.
        candidate: what is written.
        shows: the gate through which the candidate sees the state.
    """

    number: int
    keeps: int
    writes: int | None
    candidate: int
    shows: int


def writable(
    units: int,
    horizon: float,
    *,
    directions: Any = None,
    leak: float = 0.1,
    replaces: bool = False,
    release: Any = None,
) -> Writable:
    """Makes a stated number of units writable and lasting, by construction and for any seed.

    At rest, the T steps of the horizon together let in at most `leak` of a candidate; one step x with x . d = 1 lets
    in half of one, and what is in a unit is kept to exp(-leak) over the horizon. So it works for tasks whose steps
    that matter stand out along a direction known beforehand, x . d near 1 there and near 0 (or below) elsewhere: marks,
    single symbols, rare events. A step with x . d = 1/2 opens the gate to about sqrt(leak / T), with `replaces` to one
    half. What matters only in
    its context, such as the noun that is the subject, or every step, as in parity, is no such thing: there these units
    are to learn like all others.

    Those gates are given all their weights, those from the state being zero; other gates, and all of the other units,
    keep theirs but for what `replaces` and `release` say below. Training changes all of them. It holds of the cells as
    they are: `gr.normalised` rescales, and `gr.projected` cuts, what is set here.

    What comes in several steps, the order of which matters, wants `replaces`: the gate through which the candidate sees
    the state rests open, too (the LSTM's output gate, the GRU's reset gate), and the units are a plain recurrence that
    moves on at the steps that open it and stands still in between, so that ten symbols far before the end are as easy
    to hold as ten at the end. Let `recurrent_init` be orthogonal, of a gain somewhat above 1 for what squashing takes.
    What is to be said again, step by step, wants `release` besides: a step along it, such as a delimiter, is remembered
    by four more units, which for the T steps after it hold the gates of the others open: what is held moves on at every
    step. That needs a leak well below 1, since they leak, too. Both are easily trained away while the readout learns
    how often each answer is: give the recurrence a tenth of the readout's learning rate, or less.

    Args:
        units: how many units for each direction.
        horizon: T in steps, at least 2 and more than twice the leak.
        directions: K rows [D]; by default each input feature by itself, for which nothing of the task is known.
        leak: at least 1e-30, at most 1.
        replaces: a step with x . d = 1 replaces what the unit holds by a candidate that sees the whole state; by
            default, half of a candidate is written (and what the GRU holds is halved).
        release: [D], the direction of the step after which the gates stay open, with `replaces`; None for none. All
            other steps are to have x . d near 0.

    Returns:
        The value for `gr.lstm.init(..., writable=...)` and `gr.gru.init(..., writable=...)`.

    Raises:
        ValueError: a number is out of range, `directions` are no rows of finite numbers or `release` is no such row, or
            it is given without `replaces`.

    Example:
        >>> import jax, gatedrnn as gr
        >>> shut = gr.initializers.writable(4, 10_000)
        >>> params = gr.lstm.init(jax.random.key(0), 2, 32, writable=shut)
        >>> found = gr.gate_activations(gr.lstm, params, jax.numpy.array([[0.3, 0.0], [0.3, 1.0]]))
        >>> [f"{value:.1e}" for value in found.input[:, 4].tolist()]  # of the first unit that the second feature opens
        ['1.0e-05', '5.0e-01']
    """
    units = check_size("units", units, most=LARGEST)
    leak = check_number("leak", leak, least=1e-30, most=1)
    horizon = check_number("horizon", horizon, least=2, most=1e30)
    if horizon <= 2 * leak:
        raise fail("horizon", f"more than twice `leak`, {leak:g}", f"{horizon:g}")
    if not isinstance(replaces, bool):
        raise fail("replaces", "True or False", shown(replaces))
    if release is not None and not replaces:
        raise fail("release", "None without `replaces`: what is only added to does not move on", shown(release))
    rows = None if directions is None else tuple(map(tuple, _numbers("directions", directions, 2, DIRECTIONS).tolist()))
    row = None if release is None else tuple(_numbers("release", release, 1, DIRECTION).tolist())
    return Writable(units, horizon, rows, leak, replaces, row)


def _numbers(argument: str, given: Any, axes: int, expected: str) -> np.ndarray:
    """Finite numbers of so many axes, float64."""
    try:
        numbers = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raise fail(argument, expected, shown(given)) from None
    if numbers.ndim != axes or not numbers.size or not np.isfinite(numbers).all():
        raise fail(argument, expected, shown(numbers))
    return numbers


def made_writable(params: Params, blocks: Blocks, given: Writable) -> Params:
    """The weights `w [D, G * H]`, `b [G * H]`; `w [H, G * H]` with the first units' gates as `given` says.

    Args:
        params: of a cell whose blocks stand side by side.
        blocks: which of them is which gate.
        given: what `writable` made.

    Raises:
        ValueError: `given` is no `Writable`, of another width, has more units than there are, or weights that the dtype
            does not hold.
    """
    if not isinstance(given, Writable):
        raise fail("writable", "a value of `gr.initializers.writable`", shown(given))
    width, hidden = params.input["w"].shape[0], params.recurrent["w"].shape[0]
    memory = given.rows(width)  # [N, D]
    latches = given.latches(width)  # [L, D]
    rows = np.concatenate([memory, latches])
    count, total = len(memory), len(rows)
    if total > hidden:
        raise fail("writable", f"of at most {hidden} units in all, the hidden size", f"{total:,}")
    w, b, u = (
        a.reshape(*a.shape[:-1], blocks.number, hidden)
        for a in (params.input["w"], params.input["b"], params.recurrent["w"])
    )
    turns = 2 if given.replaces else 1  # resting biases by which x . d = 1 turns a gate
    latch = slice(count, total)
    for gate in (blocks.keeps,) if blocks.writes is None else (blocks.keeps, blocks.writes):
        rest = given.bias if gate == blocks.keeps else -given.bias
        adds = gate == blocks.keeps and blocks.writes is not None and not given.replaces  # what was held stays
        w = w.at[:, gate, :total].set(_held(0 * rows if adds else -turns * rest * rows, w.dtype).T)
        b = b.at[gate, :total].set(rest)
        u = u.at[:, gate, :total].set(0)
        u = u.at[latch, gate, :count].set(-RELEASED * rest / LATCHES)
    if given.replaces:
        b = b.at[blocks.shows, :total].set(OPEN)
        w = w.at[:, blocks.shows, latch].set(0).at[:, blocks.candidate, latch].set(_held(LATCHED * latches, w.dtype).T)
        u = u.at[:, blocks.shows, latch].set(0).at[:, blocks.candidate, latch].set(0)
    flat = [a.reshape(*a.shape[:-2], blocks.number * hidden) for a in (w, b, u)]
    return params._replace(
        input={**params.input, "w": flat[0], "b": flat[1]}, recurrent={**params.recurrent, "w": flat[2]}
    )


def _held(weights: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    """The weights in a dtype that holds them."""
    with np.errstate(over="ignore"):
        cast = weights.astype(dtype)
    if not np.isfinite(cast).all():
        raise fail("writable", f"of weights that {np.dtype(dtype).name} holds", f"{np.abs(weights).max():g}")
    return cast
