"""What would make it learn: the bias or the gain at which a measured gradient has a wished size, or chaos begins.

solve_horizon    value with median over B of log10 || dL/dcarry_{T - lag} || = size
critical_gain    value with mean over B of the largest Lyapunov exponent = 0

Each is measured on the given inputs at every value that is tried, in one program, and closed in on between two ends.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_array, check_callable, check_number, check_size, fail, shown
from gatedrnn._forms import Params
from gatedrnn.flow._root import bracketed
from gatedrnn.flow.adjoint import lagged
from gatedrnn.flow.lyapunov import lyapunov
from gatedrnn.initializers import fill_bias

Change = Callable[[Any, Array], Any]
"""`(params, value) -> params`, traced: how a number enters the weights. Equal ones are one program."""


class NotBetween(ValueError):
    """What is wished for is not between what is measured at the two ends."""


class Solved(NamedTuple):
    """What `solve_horizon` and `critical_gain` give.

    Attributes:
        value: the bias, the gain, or whatever `change` made of it.
        found: what was measured there: log10 of the median norm at the lag; the mean largest exponent, nats per step.
        log10_norm: median over B of log10 of the norm of dL/dcarry there by lag, float64 [T + 1]; None of a gain.
        evaluations: how often it was measured.
    """

    value: float
    found: float
    log10_norm: np.ndarray | None
    evaluations: int


@dataclass(frozen=True)
class KeepingBias:
    """Sets the bias of the gate by which units keep, in the house's cells; see `keeping_bias`."""

    gates: int
    gate: int
    sign: float

    def fits(self, params: Any) -> bool:
        """Whether the weights have such biases."""
        given = params.input if isinstance(params, Params) else None
        biases = given.get("b") if isinstance(given, dict) else None
        return biases is not None and biases.ndim == 1 and biases.size % self.gates == 0

    def __call__(self, params: Params, value: Array) -> Params:
        if not self.fits(params):
            raise fail("params", f"weights with biases `params.input['b']` [G * H], G = {self.gates}", _shapes(params))
        return fill_bias(params, self.gates, self.gate, self.sign * value)


def keeping_bias(cell: Cell) -> KeepingBias:
    """A `change`: every unit's bias of the gate that keeps, of a cell whose biases are `params.input["b"]` [G * H].

    Raises:
        ValueError: no gate keeps.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.lstm.init(jax.random.key(0), 1, 2)
        >>> gr.flow.keeping_bias(gr.lstm)(params, jax.numpy.array(5.0)).input["b"].tolist()
        [0.0, 0.0, 5.0, 5.0, 0.0, 0.0, 0.0, 0.0]
    """
    if not isinstance(cell, Cell) or not cell.keeps:
        raise fail("cell", "a Cell with a gate that keeps, such as `gr.lstm`", repr(cell))
    gate = cell.keeps.removeprefix("1 - ")
    return KeepingBias(len(cell.gates), cell.gates.index(gate), 1.0 if gate == cell.keeps else -1.0)


def recurrent_gain(params: Any, value: Array | float) -> Any:
    """A `change`: the recurrent weights `params.recurrent["w"]` times the value; of every cell of a network."""
    found = []

    def scaled(part: Any) -> Any:
        given = part.recurrent if isinstance(part, Params) else None
        if not (isinstance(given, dict) and "w" in given):
            return part
        found.append(given["w"])
        return part._replace(recurrent={**given, "w": found[-1] * jnp.asarray(value, found[-1].dtype)})

    changed = jax.tree.map(scaled, params, is_leaf=lambda part: isinstance(part, Params))
    if not found:
        raise fail("params", "weights with `params.recurrent['w']`, or `change` one that knows them", _shapes(params))
    return changed


def _shapes(params: Any) -> str:
    return shown(jax.tree.map(jnp.shape, params))


def solve_horizon(
    cell: Cell,
    params: Any,
    xs: Array,
    size: float,
    *,
    change: Change,
    bracket: tuple[float, float],
    lag: int | None = None,
    tolerance: float = 1e-3,
) -> Solved:
    """The value at which the gradient at some lag has a wished size, on inputs of your own.

    Args:
        cell: any cell.
        params: its weights, in which one number is changed.
        xs: inputs, [T, B, D] or [T, D].
        size: log10 of the median norm, over the batch, of dL/dcarry at the lag, for `adjoint`'s default probe.
        change: `gr.flow.keeping_bias(cell)`, `gr.flow.recurrent_gain`, or a function of your own.
        bracket: two values, at one of which the gradient is smaller than wished, and larger at the other.
        lag: steps back from the last; T by default.
        tolerance: of the value.

    Returns:
        A `Solved`. Where the size is not monotone in the value, one of the values at which it is passed.

    Raises:
        ValueError: the size is not between those at the two ends, or an argument is out of range.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.rnn.init(jax.random.key(0), 1, 4)  # orthogonal: at rest the norm is gain^lag
        >>> still = jax.numpy.zeros((100, 1))
        >>> solved = gr.flow.solve_horizon(
        ...     gr.rnn, params, still, -2.0, change=gr.flow.recurrent_gain, bracket=(0.5, 1.5), tolerance=1e-6
        ... )
        >>> round(solved.value, 4), round(10 ** (-2 / 100), 4)
        (0.955, 0.955)
    """
    size, tolerance = check_number("size", size), check_number("tolerance", tolerance, above=0)
    xs = _inputs(xs)
    lag = len(xs) if lag is None else check_size("lag", lag, 0, len(xs))
    change = check_callable("change", "a function (params, value) -> params, such as `recurrent_gain`", change, 2)

    def profile(value: float) -> np.ndarray:
        return np.asarray(_profile(cell, change, params, xs, _number(params, value)), np.float64)

    solve = functools.partial(_solved, bracket=bracket, tolerance=tolerance, wanted=size)
    value, evaluations = solve(lambda value: float(profile(value)[lag]), what="log10 sizes")
    norms = profile(value)
    return Solved(value, float(norms[lag]), norms, evaluations + 1)


def critical_gain(
    cell: Cell,
    params: Any,
    xs: Array,
    *,
    change: Change = recurrent_gain,
    bracket: tuple[float, float] = (0.1, 10.0),
    burn_in: int = 0,
    tolerance: float = 1e-3,
) -> Solved:
    """The gain at which the largest Lyapunov exponent is zero: below it perturbations shrink, above it they grow.

    Args:
        cell: any cell.
        params: its weights, in which one number is changed.
        xs: inputs that drive it, [T, B, D] or [T, D].
        change: how the gain enters; by default the recurrent weights times it.
        bracket: two gains; the mean exponent over the batch is negative at one of them and positive at the other.
        burn_in: steps at the start that are run but not counted.
        tolerance: of the gain.

    Returns:
        A `Solved`.

    Raises:
        ValueError: the exponent has one sign at both ends, or an argument is out of range.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.rnn.init(jax.random.key(0), 1, 4, recurrent_init=gr.initializers.orthogonal(0.8))
        >>> round(gr.flow.critical_gain(gr.rnn, params, jax.numpy.zeros((100, 1)), tolerance=1e-5).value, 3)  # 1 / 0.8
        1.25
    """
    xs, tolerance = _inputs(xs), check_number("tolerance", tolerance, above=0)
    change = check_callable("change", "a function (params, value) -> params, such as `recurrent_gain`", change, 2)

    def exponent(value: float) -> float:
        changed = change(params, _number(params, value))
        return float(lyapunov(cell, changed, xs, k=1, burn_in=burn_in).mean())

    value, evaluations = _solved(exponent, bracket, tolerance, 0.0, "exponents")
    return Solved(value, exponent(value), None, evaluations + 1)


def _solved(
    function: Callable[[float], float], bracket: Any, tolerance: float, wanted: float, what: str
) -> tuple[float, int]:
    """The value at which the function is as wanted, and the evaluations."""
    try:
        low, high = (check_number("bracket", end) for end in bracket)
    except TypeError:
        raise fail("bracket", "two numbers", shown(bracket)) from None
    if low >= high:
        raise fail("bracket", "two numbers, the smaller one first", shown(bracket))
    seen = []

    def difference(value: float) -> float:
        seen.append(function(value))
        return seen[-1] - wanted

    value, evaluations = bracketed(difference, low, high, tolerance)
    if value is None:
        expected = f"two values with {wanted:g} between what is measured there"
        got = f"{bracket} with {what} of {seen[0]:.4g} and {seen[1]:.4g}"
        raise NotBetween(*fail("bracket", expected, got).args)
    return value, evaluations


@functools.partial(jax.jit, static_argnums=(0, 1))
def _profile(cell: Cell, change: Change, params: Any, xs: Array, value: Array) -> Array:
    """Median over B of log10 norms by lag, [T + 1]."""
    return jnp.median(lagged(cell, change(params, value), xs), axis=1)


def _inputs(xs: Any) -> Array:
    """[T, B, D], with B = 1 where there is none; what else is wrong with them is found where they are run."""
    xs = check_array("xs", "inputs [T, B, D] or [T, D]", xs)
    if xs.ndim not in (2, 3):
        raise fail("xs", "inputs [T, B, D] or [T, D]", shown(xs))
    return xs[:, None] if xs.ndim == 2 else xs


def _number(params: Any, value: float) -> Array:
    dtypes = (leaf.dtype for leaf in jax.tree.leaves(params) if hasattr(leaf, "dtype"))
    kinds = [dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)]  # a key or a count has no say
    return jnp.asarray(value, jnp.result_type(*kinds) if kinds else None)
