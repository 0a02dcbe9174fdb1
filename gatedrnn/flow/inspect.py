"""One recurrence over inputs of one's own: what its readout looks back at, by which units, and what a training sees.

xs  ->  ys  ->  readout, a number        sensitivity, adjoint, paths, units
            ->  loss, a number           windows, formats
"""

import math
from collections.abc import Callable, Sequence as Values
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_array, check_callable, check_size, fail
from gatedrnn._sequence import Sequence, check_sequence
from gatedrnn.flow._audited import check_memory, check_weights, cotangents, sizes
from gatedrnn.flow._carried import Carried, carried
from gatedrnn.flow._frames import widths_of
from gatedrnn.flow._inspected import Gates, gates_of, keeper_of, looks_back, signed
from gatedrnn.flow._inspection import Inspection
from gatedrnn.flow._places import cells_of
from gatedrnn.flow._shown import ShownUnit, gates_along, shown_units
from gatedrnn.flow.adjoint import Adjoint, adjoint
from gatedrnn.flow.coverage import Coverage, coverage
from gatedrnn.flow.decay import decay
from gatedrnn.flow.paths import Paths, paths
from gatedrnn.flow.precision import precision_audit
from gatedrnn.flow.spectrum import spectrum
from gatedrnn.flow.windows import check_windows, window_audit

SHARE = 0.99  # of a readout's sensitivity, within the steps that it looks back
UNITS, EXPONENTS = 3, 8
MEASURES = ("inputs", "paths", "units", "spectrum", "windows", "formats", "states")

Tell = Callable[[int, int, str], object]


def inspect(
    cell: Cell,
    params: Any,
    xs: Array,
    *,
    dys: Array | None = None,
    loss: Callable[[Array], Array] | None = None,
    along: Array | None = None,
    shown: int = 60,
    back: int = 0,
    windows: Values[int] | None = None,
    longer: Array | None = None,
    trained: int | None = None,
    on_part: Tell | None = None,
) -> Inspection:
    """Runs every measure that makes sense for a trained recurrence over its own inputs, and says what was left out.

    Two numbers are asked about. The readout is what is looked back from: a number that is read off the last output of
    each row, given by its gradient `dys`. The loss is what is trained: truncation and formats are measured with it.

    Args:
        cell: any cell or network that is run step by step.
        params: its weights.
        xs: inputs, [T, B, D]; row 0 is shown step by step.
        dys: d readout / d ys, [T, B, H], as in `adjoint`; by default its probe.
        loss: `ys -> value []`, of the outputs [T, B, H] as `unroll` gives them, in the format of `ys`. By default it
            looks at the last output of each row, with gradient norm 1.
        along: [T, B, D], of which row 0 is read: what each step is compared with. The signed number of a step is the
            product of d readout / d x_t with it; by default it is d readout / d x_t, feature by feature.
        shown: steps that are shown; at most T - `back` are.
        back: steps between the last that is shown and the last.
        windows: as in `window_audit`; by default the powers of two below T.
        longer: inputs of a longer run, [T', B', D], for the states that it meets.
        trained: steps of a sequence in training; the states are looked at where T' is more.
        on_part: called before each measure, with the number done, the number of all, and its name.

    Returns:
        `Inspection`. Memory: about 40 times the trajectory [T, B, S], in float32.

    Raises:
        ValueError: an argument has the wrong rank, width, dtype or structure, is out of range or holds NaN or infinity;
            the network reads backwards, the recurrence or the gradient of the loss is not finite, or memory does not
            do.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.rnn.init(jax.random.key(0), 2, 8)
        >>> xs = jax.random.normal(jax.random.key(1), (20, 2, 2))
        >>> found = gr.flow.inspect(gr.rnn, params, xs, shown=5)
        >>> found.looks_back.tolist(), found.windows.smallest["all"]  # steps, by row; and a window of truncation
        ([9, 9], 4)
    """
    xs = _check_finite("xs", "[T, B, D] of at least one step, row and feature", xs)
    if xs.ndim != 3 or 0 in xs.shape:
        raise fail("xs", "[T, B, D] of at least one step, row and feature", xs.shape)
    sequence = check_sequence(cell, params, xs, None)
    check_weights(params)
    check_fits("xs", sequence.carry, params, xs.shape)
    if along is not None:
        along = _check_finite("along", f"like `xs`, {xs.shape}", along)
        if along.shape != xs.shape:
            raise fail("along", f"like `xs`, {xs.shape}", along.shape)
    if longer is not None and trained is None:
        raise fail("trained", "given with `longer`", "nothing")
    if longer is not None and (np.ndim(longer) != 3 or np.shape(longer)[2] != xs.shape[2]):
        raise fail("longer", f"[T', B', D] with D = {xs.shape[2]} as in `xs`", np.shape(longer))
    if loss is not None:
        check_callable("loss", "a function of the outputs, ys -> value []", loss, 1)
    steps = xs.shape[0]
    stop = steps - check_size("back", back, 0, steps - 1)
    start = max(stop - check_size("shown", shown), 0)
    trained = None if trained is None else check_size("trained", trained)
    powers = [2**i for i in range(steps.bit_length()) if 2**i < steps] or [1]
    windows = check_windows(powers if windows is None else windows, steps)
    tell = lambda name: None if on_part is None else on_part(MEASURES.index(name), len(MEASURES), name)
    asked = _Asked(
        cell, params, sequence, cotangents(cell, params, sequence, None, dys, True), cells_of(cell, params, sequence)
    )
    left_out: dict[str, str] = {}
    tell("inputs")
    read, held = carried(cell, params, sequence, asked.dys)
    input_log10 = np.asarray(read.log10_norm, np.float64)
    _check_range(input_log10)
    _check_range(np.max([jnp.abs(part).max() for part in jax.tree.leaves(held.after)]))  # inf has a gradient, too
    seen = looks_back(input_log10, SHARE)
    sign, log10 = signed(read, along)
    tell("paths")
    split, gates = _split(asked, max(int(np.median(seen)), 1), left_out)
    gradient = adjoint(cell, params, xs, dys=asked.dys) if split is None else split
    norms = gradient.log10_norm if isinstance(gradient, Adjoint) else gradient.whole
    profile = np.asarray(norms["state"], np.float64)  # [T + 1, B]
    _check_range(profile)
    tell("units")
    units = _units(asked, jax.tree.map(lambda a: a[start:stop], held), xs[start:stop, 0], left_out)
    tell("spectrum")
    k = min(EXPONENTS, sum(widths_of(sequence.carry)))
    exponents = spectrum(cell, params, xs[:, 0], k=k, burn_in=steps // 10)
    tell("windows")
    truncated = window_audit(cell, params, xs, loss=loss, windows=windows)
    tell("formats")
    formats = precision_audit(cell, params, xs, loss=loss)
    tell("states")
    return Inspection(
        cells={place: each.name for place, each in asked.cells.items()},
        keeps={place: each.keeps for place, each in asked.cells.items()},
        input_log10=input_log10,
        sign=sign,
        log10=log10,
        looks_back=seen,
        gradient=gradient,
        decay=decay(np.median(profile, axis=1)),
        timescales=gates.timescales,
        gate_maps=gates.maps,
        keeper=None if split is None else keeper_of(split, gates.timescales, list(asked.cells)),
        start=start,
        units=units,
        spectrum=exponents,
        windows=truncated,
        precision=formats,
        coverage=_states(asked, longer, trained, left_out),
        trained=trained,
        left_out=left_out,
    )


class _Asked(NamedTuple):
    """What is inspected: a checked sequence, the readout's gradient in the outputs, and the cells by their places."""

    cell: Cell
    params: Any
    sequence: Sequence
    dys: Array
    cells: dict[str, Cell]


def _check_finite(argument: str, expected: str, value: Any) -> Array:
    found: Array = check_array(argument, expected, value)
    if not jnp.isfinite(found).all():
        raise fail(argument, "of finite numbers", f"NaN or infinity in {found.dtype} {found.shape}")
    return found


def _check_range(values: Any) -> None:
    if not (values < math.inf).all():  # NaN, too
        raise fail("params", "such that the recurrence stays within a float's range at every step", "NaN or infinity")


def check_fits(argument: str, carry: Any, params: Any, shape: tuple[int, ...]) -> None:
    """Raises ValueError where an inspection of inputs [T, B, D] would not fit in memory; an estimate from above.

    Counted: carries and their cotangents in float64, in the two runs that are compared; the inputs with their
    gradients; and the weights in each of some dozen windows.
    """
    steps, batch, width = shape
    check_memory(argument, [40 * steps * sizes(carry), 24 * steps * batch * width, 100 * sizes(params)])


def _split(asked: _Asked, lag: int, left_out: dict[str, str]) -> tuple[Paths | None, Gates]:
    """Paths, with units at one lag, and gates along time."""
    cell, params, sequence, dys, cells = asked
    alone = [each.name for each in cells.values() if not each.factored]
    if alone:
        left_out["paths, time scales"] = f"{alone[0]} has `step` alone, in which no path along units stands apart"
        return None, Gates({}, ())
    found = paths(cell, params, sequence.xs, dys=dys, units=[sequence.xs.shape[0] - lag])
    gates = gates_of(cell, params, sequence, cells)
    if not gates.timescales:
        left_out["time scales"] = f"nothing in {cell.name} keeps what a unit holds"
    return found, gates


def _units(asked: _Asked, held: Carried, xs: Array, left_out: dict[str, str]) -> tuple[ShownUnit, ...]:
    """Those of the first row, over the L steps that are shown; xs [L, D]."""
    gates = {}
    nameless = [each.name for each in asked.cells.values() if each.activations is None]
    if nameless:
        left_out["gates"] = f"{nameless[0]} names no gates"
    else:
        gates = gates_along(asked.cell, asked.params, xs, jax.tree.map(lambda a: a[0], held.before))
    return shown_units(list(asked.cells), held, gates, UNITS)


def _states(asked: _Asked, longer: Any, trained: int | None, left_out: dict[str, str]) -> Coverage | None:
    if longer is None or trained is None or not trained < len(longer):
        left_out["states"] = "there is no run longer than those of the training to be looked at"
        return None
    return coverage(asked.cell, asked.params, longer, trained)
