"""Precision audit: the same recurrence and gradient in several formats, and where they part from float64.

    d_t = |carry_t - carry64_t| / |carry64_t|          forward, by step
    e_t = |lambda_t - lambda64_t| / |lambda64_t|       backward, lambda_t = dL/dcarry before step t, by lag T - t

Both lambdas are kept as mantissa * 2^exponent, so e_t is rounding alone; where a plain float has no such number is said
apart.
"""

import functools
import math
from collections.abc import Callable, Sequence as Values
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from gatedrnn._cell import Cell
from gatedrnn._check import check_floating, check_list, check_number, fail, shown
from gatedrnn._forms import Carry
from gatedrnn._jax import gathered
from gatedrnn._outputs import All
from gatedrnn._sequence import Sequence, check_sequence
from gatedrnn._visit import visit
from gatedrnn.flow._audited import check_memory, check_weights, cotangents, paths, sizes
from gatedrnn.flow._backward import Ran, after, ran
from gatedrnn.flow._groups import finite
from gatedrnn.flow._order import turned
from gatedrnn.flow._parted import Floats, apart, beyond, curve, first, scaled_apart, unheld
from gatedrnn.flow._tracks import backward_along

REFERENCE = "float64"
POINTS = 200  # of a curve in the record


class PrecisionAudit(NamedTuple):
    """Result of `precision_audit`, by the name of a format: `bfloat16`, `float32`. All compare with float64.

    Steps are counted in the order in which they are run.

    Attributes:
        state: relative distance of the carry after every step, float64 [T, B] or [T]; nan where it is no number.
        gradient: relative distance of dL/dcarry before every step, [T, B] or [T]; row t has the lag T - t.
        weights: relative distance of the gradient in every weight, by its place in `params`.
        parted_step: the first step of each row at which `state` is above the tolerance, int [B] or []; T if never.
        parted_lag: the first lag at which `gradient` is, from 1; T + 1 if never. Where carries have parted, gradients
            are those of different runs, and it is 1.
        unheld_lag: the first lag at which the gradient's norm, in float64, is no normal number of the format; T + 1 if
            never. A gradient in plain floats is lost there.
        log10_norm: log10 of the norm of dL/dcarry before every step, in float64, [T, B] or [T].
        tolerance: what counts as parted.
    """

    state: dict[str, Floats]
    gradient: dict[str, Floats]
    weights: dict[str, dict[str, float]]
    parted_step: dict[str, NDArray[np.int64]]
    parted_lag: dict[str, NDArray[np.int64]]
    unheld_lag: dict[str, NDArray[np.int64]]
    log10_norm: Floats
    tolerance: float

    def record(self) -> dict[str, Any]:
        """As strict JSON holds it: at about 200 steps, and lags, the largest of any row; None where not finite."""
        steps = len(self.log10_norm)
        marks = np.unique(np.geomspace(1, steps, POINTS).round()).astype(int)  # 1..T: steps run, and lags
        curves = {
            name: {
                "state": curve(self.state[name][marks - 1]),
                "gradient": curve(self.gradient[name][steps - marks]),
                "weights": {place: finite(value) for place, value in self.weights[name].items()},
                "parted_step": np.ravel(self.parted_step[name]).tolist(),
                "parted_lag": np.ravel(self.parted_lag[name]).tolist(),
                "unheld_lag": np.ravel(self.unheld_lag[name]).tolist(),
            }
            for name in self.state
        }
        norms = self.log10_norm.reshape(steps, -1)[steps - marks].max(1)
        head = {"horizon": steps, "tolerance": self.tolerance, "reference": REFERENCE, "marks": marks.tolist()}
        return head | {"log10_norm": [finite(value) for value in norms], "formats": curves}


class _Path(NamedTuple):
    """One run of a format, as float64 of NumPy.

    Attributes:
        carries: after every step, [T, B, S].
        mantissas: of dL/dcarry before every step, [T, B, S].
        exponents: int [T, B].
        weights: mantissas of the gradient in every weight.
        exponent: of that gradient, int [].
    """

    carries: Floats
    mantissas: Floats
    exponents: NDArray[np.int64]
    weights: list[Floats]
    exponent: Any


def precision_audit(
    cell: Cell,
    params: Any,
    xs: Array,
    carry: Carry | None = None,
    *,
    loss: Callable[[Array], Array] | None = None,
    dys: Array | None = None,
    dtypes: Values[Any] = ("bfloat16", "float32"),
    tolerance: float = 0.1,
    mask: Array | None = None,
    reset: Array | None = None,
    reverse: bool = False,
) -> PrecisionAudit:
    """Runs a recurrence and its gradient in several formats beside float64, and says where each parts from it.

    In a format, weights, inputs and first carry are rounded to it, as a training in it has them, and run as `unroll`
    runs them: with 16-bit weights carries and sums are float32. In float64 they are as given. Each format's own outputs
    go to the loss. JAX's x64 is on within, and as it was afterwards.

    Args:
        cell: any cell, or network that is run step by step.
        params: its weights.
        xs: inputs, [T, B, D] or [T, D].
        carry: the carry before the first step; by default `cell.initial_carry`.
        loss: as in `window_audit`; it is run in every format.
        dys: dL/dys in its place. Without either, the loss looks at the last output of each row, with gradient norm 1.
        dtypes: the formats, by name or type.
        tolerance: relative distance above which two runs have parted.
        mask: as in `unroll`; a masked step hands the distance on.
        reset: as in `unroll`.
        reverse: as in `unroll`.

    Returns:
        `PrecisionAudit`. Memory: carries and their cotangents in float64, [T, B, S] each, thrice.

    Raises:
        ValueError: an argument has the wrong rank, width, dtype or structure, there is no step, the gradient at the
            outputs is not finite in a format, or memory does not do.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.rnn.init(jax.random.key(0), 2, 16, recurrent_init=gr.initializers.orthogonal(3.0))
        >>> xs = 0.1 * jax.random.normal(jax.random.key(1), (300, 1, 2))
        >>> audit = gr.flow.precision_audit(gr.rnn, params, xs)  # a chaotic network
        >>> bool(audit.parted_step["bfloat16"][0] < audit.parted_step["float32"][0] < 300)
        True

    References:
        Micikevicius et al., "Mixed precision training", 2018, https://arxiv.org/abs/1710.03740
    """
    tolerance = check_number("tolerance", tolerance, above=0.0)
    names = _check_dtypes(dtypes)
    sequence = check_sequence(cell, params, xs, carry, mask, reset, reverse)
    check_weights(params)
    batched = np.ndim(xs) == 3
    steps, batch = sequence.xs.shape[:2]
    if not steps or not batch:
        raise fail("xs", "of at least one step and one row", np.shape(xs))
    check_memory("xs", [12 * steps * 2 * sizes(sequence.carry)])
    held = jax.tree.map(np.asarray, (params, xs, carry, dys))
    flags = {"mask": mask, "reset": reset, "reverse": reverse}
    run = functools.partial(_run, cell, held, flags, loss, batched)
    exact = run(REFERENCE)
    found = {name: run(name) for name in names}
    state = {name: apart(each.carries, exact.carries) for name, each in found.items()}
    gradient = {
        name: scaled_apart(each.mantissas, each.exponents, exact.mantissas, exact.exponents)
        for name, each in found.items()
    }
    weights = {name: dict(zip(paths(params), _weights_apart(each, exact), strict=True)) for name, each in found.items()}
    with np.errstate(divide="ignore"):
        norms = np.log10(np.linalg.norm(exact.mantissas, axis=-1)) + exact.exponents * math.log10(2)
    row = lambda a: a if batched else a[..., 0]
    return PrecisionAudit(
        {name: row(a) for name, a in state.items()},
        {name: row(a) for name, a in gradient.items()},
        weights,
        {name: row(first(beyond(a, tolerance), steps)) for name, a in state.items()},
        {name: row(first(beyond(a, tolerance)[::-1], steps) + 1) for name, a in gradient.items()},
        {name: row(first(unheld(name, norms)[::-1], steps) + 1) for name in names},
        row(norms),
        tolerance,
    )


def _check_dtypes(dtypes: Any) -> list[str]:
    expected = "a sequence of floating types, such as ('bfloat16', 'float32')"
    found = [jnp.dtype(check_floating("dtypes", dtype)).name for dtype in check_list("dtypes", expected, dtypes)]
    if not found or REFERENCE in found or len(set(found)) < len(found):
        raise fail("dtypes", f"{expected}, each once, and none of them float64", shown(dtypes))
    return found


def _run(cell: Cell, held: Any, flags: dict[str, Any], loss: Any, batched: bool, dtype: str) -> _Path:
    """The recurrence and its gradient in one format."""
    with jax.enable_x64(True):
        rounded = lambda a: jnp.asarray(a, dtype) if jnp.issubdtype(a.dtype, jnp.floating) else jnp.asarray(a)
        params, xs, carry, dys = jax.tree.map(rounded, held)
        sequence = check_sequence(cell, params, xs, carry, *flags.values())
        dys = cotangents(cell, params, sequence, loss, dys, batched)
        found = _traced(cell, carry is None, params, sequence, dys)
        return _Path(*jax.tree.map(lambda a: np.asarray(a, np.int64 if a.dtype == jnp.int32 else np.float64), found))


@functools.partial(jax.jit, static_argnums=(0, 1))
@gathered(2)
def _traced(cell: Cell, learns: bool, params: Any, sequence: Sequence, dys: Array) -> tuple[Any, ...]:
    """Carries after every step; dL/dcarry before every step; the gradient in the weights."""
    found, _ = visit(cell, params, sequence, All(), ran)
    runs: list[Ran] = jax.tree.leaves(found)
    run = runs[0]
    uncut = jnp.zeros((dys.shape[0], 1), bool)
    gradient, rows = backward_along(run, turned(sequence.reverse, dys), uncut, learns, True)
    mantissas, exponents = jax.tree.map(lambda a: a[:, 0], rows)
    weights = jax.tree.map(lambda a: a[0], gradient)
    return _packed(after(run)), _packed(mantissas), exponents, jax.tree.leaves(weights.mantissa), weights.exponent


def _packed(carries: Carry) -> Array:
    """[T, B, ...] each -> [T, B, S], in the widest of their formats."""
    leaves = [a.reshape(*a.shape[:2], math.prod(a.shape[2:])) for a in jax.tree.leaves(carries)]
    wide = jnp.result_type(*leaves)
    return jnp.concatenate([a.astype(wide) for a in leaves], axis=-1)


def _weights_apart(found: _Path, exact: _Path) -> list[float]:
    pairs = zip(found.weights, exact.weights, strict=True)
    return [float(scaled_apart(a.ravel(), found.exponent, b.ravel(), exact.exponent)) for a, b in pairs]
