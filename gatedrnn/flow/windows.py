"""Truncation audit: what a window of truncated backpropagation keeps of the gradient of every weight.

    cosine(W) = <g_W, g> / (|g_W| |g|),    ratio(W) = |g_W| / |g|        g_W by `Truncated(W)`, g in full

All windows share one forward pass, and run side by side in one backward pass, which is cut for each at its own steps.
"""

import functools
import math
from collections.abc import Callable, Sequence as Values
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from gatedrnn._cell import Cell
from gatedrnn._check import LARGEST, check_list, check_number, check_size, fail, shown
from gatedrnn._forms import Carry
from gatedrnn._jax import gathered
from gatedrnn._method import run_whole
from gatedrnn._outputs import All
from gatedrnn._sequence import Sequence, check_sequence
from gatedrnn._visit import visit
from gatedrnn.flow._audited import check_memory, check_weights, cotangents, paths, sizes
from gatedrnn.flow._backward import Ran, ran
from gatedrnn.flow._groups import finite, finites
from gatedrnn.flow._order import turned
from gatedrnn.flow._scaled import Scaled
from gatedrnn.flow._tracks import SEGMENT, backward_along
from gatedrnn.methods.truncated import Truncated

Floats = NDArray[np.float64]

WINDOWS = 8  # measured by default
WHOLE = "all"


class WindowAudit(NamedTuple):
    """Result of `window_audit`; a weight is named by its place in `params`, as `recurrent.w`, all together `all`.

    Attributes:
        windows: those measured, in steps, increasing, [N].
        cosine: by weight, of the truncated with the full gradient, float64 [N]. Where both are exactly zero it is 1,
            where one is, 0.
        norm_ratio: by weight, norm of the truncated over that of the full gradient, [N]; 1 where both are zero.
        log10_norm: by weight, log10 of the norm of the truncated gradient, [N]; finite at any size, -inf for zero.
        full_log10_norm: by weight, the same of the full gradient.
        smallest: by weight, the smallest window from which on every one measured keeps the gradient; None for none.
    """

    windows: tuple[int, ...]
    cosine: dict[str, Floats]
    norm_ratio: dict[str, Floats]
    log10_norm: dict[str, Floats]
    full_log10_norm: dict[str, float]
    smallest: dict[str, int | None]

    def record(self) -> dict[str, Any]:
        """As strict JSON holds it; None for what is not finite."""
        curves = {
            name: {
                "cosine": finites(self.cosine[name]),
                "norm_ratio": finites(self.norm_ratio[name]),
                "log10_norm": finites(self.log10_norm[name]),
                "full_log10_norm": finite(self.full_log10_norm[name]),
                "smallest_window": self.smallest[name],
            }
            for name in self.cosine
        }
        return {"windows": list(self.windows), "weights": curves}


def window_audit(
    cell: Cell,
    params: Any,
    xs: Array,
    carry: Carry | None = None,
    *,
    loss: Callable[[Array], Array] | None = None,
    dys: Array | None = None,
    windows: Values[int] | None = None,
    keep: float = 0.99,
    mask: Array | None = None,
    reset: Array | None = None,
    reverse: bool = False,
) -> WindowAudit:
    """How much of the gradient of every weight is left where it is truncated to windows, as `gr.Truncated(W)` does.

    The gradient is that of your own loss of the outputs, `loss(ys)`. Gradients are kept as mantissa and exponent, so a
    chaotic network whose gradient is 10^900 has cosines, too; of a network that also reads backwards they are floats.

    Args:
        cell: any cell or network.
        params: its weights.
        xs: inputs, [T, B, D] or [T, D].
        carry: the carry before the first step; by default `cell.initial_carry`.
        loss: `ys -> value []`, of outputs [T, B, H] (or [T, H]) as `unroll` gives them.
        dys: dL/dys in its place. Without either, the loss looks at the last output of each row, with gradient norm 1.
        windows: steps per window; by default 8 up to T, evenly spaced on a log scale. One of T or more cuts nothing.
        keep: a window keeps a gradient where cosine, ratio and 1 / ratio are at least this.
        mask: bool [T, B] or [T], as in `unroll`.
        reset: bool [T, B] or [T], as in `unroll`.
        reverse: as in `unroll`.

    Returns:
        `WindowAudit`, of NumPy's float64. Memory: the trajectory [T, B, S], the cotangents [T, B, H], and the weights
        once per window.

    Raises:
        ValueError: an argument has the wrong rank, width, dtype or structure; there is no step; the gradient is not
            finite; a network that reads backwards has gradients outside of its floats' range; or memory does not do.

    Example:
        >>> import jax, jax.numpy as jnp, gatedrnn as gr
        >>> params = gr.gru.init(jax.random.key(0), 2, 8)
        >>> xs = jax.random.normal(jax.random.key(1), (200, 4, 2))
        >>> audit = gr.flow.window_audit(gr.gru, params, xs, loss=lambda ys: jnp.mean(ys**2), windows=(1, 10, 100))
        >>> audit.smallest["all"]
        100

    References:
        Williams, Peng, "An efficient gradient-based algorithm for on-line training of recurrent network trajectories",
        Neural Computation 2, 1990, https://doi.org/10.1162/neco.1990.2.4.490; Aicher, Foti, Fox, "Adaptively
        truncating backpropagation through time to control gradient bias", 2019, https://arxiv.org/abs/1905.07473
    """
    sequence = check_sequence(cell, params, xs, carry, mask, reset, reverse, stepwise=False)
    check_weights(params)
    steps = sequence.xs.shape[0]
    if not steps or not sequence.xs.shape[1]:
        raise fail("xs", "of at least one step and one row", np.shape(xs))
    asked = check_windows(windows, steps)
    keep = check_number("keep", keep, above=0.0, most=1.0)
    wide, tracks = sizes(sequence.carry), len(asked) + 1
    check_memory("xs", [2 * steps * wide, tracks * min(SEGMENT, steps) * 3 * wide, 4 * tracks * sizes(params)])
    dys = cotangents(cell, params, sequence, loss, dys, np.ndim(xs) == 3)
    if cell.causal:
        found = _along(cell, carry is None, params, sequence, dys, jnp.asarray((*asked, steps), jnp.int32))
        mantissas, exponents = jax.tree.map(np.asarray, (found.mantissa, found.exponent))
    else:
        each = [_by_method(cell, Truncated(w), carry is None, params, sequence, dys) for w in (*asked, steps)]
        mantissas, exponents = jax.tree.map(lambda *a: np.stack(a), *each), np.zeros(tracks, np.int32)
    return _audited(asked, paths(params), jax.tree.leaves(mantissas), exponents, keep, cell.causal)


def check_windows(windows: Any, steps: int) -> tuple[int, ...]:
    """Returns the windows in order, those of the default for None, or raises ValueError."""
    if windows is None:
        return tuple(int(w) for w in np.unique(np.geomspace(1, steps, WINDOWS + 1).round())[:WINDOWS])
    expected = "a sequence of whole numbers of at least 1"
    found = [check_size("windows", w, most=LARGEST) for w in check_list("windows", expected, windows)]
    if not found:
        raise fail("windows", expected, shown(windows))
    return tuple(sorted(set(found)))


@functools.partial(jax.jit, static_argnums=(0, 1))
@gathered(2)
def _along(cell: Cell, learns: bool, params: Any, sequence: Sequence, dys: Array, windows: Array) -> Scaled:
    """The gradient in the weights by every window, a first axis of W."""
    found, _ = visit(cell, params, sequence, All(), ran)
    runs: list[Ran] = jax.tree.leaves(found)
    steps = jnp.arange(dys.shape[0], dtype=windows.dtype)
    begins = steps + 1 if sequence.reverse else steps  # a multiple of W where a window does, in the order of running
    cuts = turned(sequence.reverse, begins[:, None] % windows[None] == 0).at[0].set(False)  # [T, W]
    return backward_along(runs[0], turned(sequence.reverse, dys), cuts, learns, False).gradient


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
@gathered(3)
def _by_method(cell: Cell, method: Truncated, learns: bool, params: Any, sequence: Sequence, dys: Array) -> Any:
    """The same by the method itself, in plain floats: for what has no single steps."""

    def outputs(params: Any) -> Array:
        initial = cell.initial_carry(params, sequence.xs.shape[1])  # which may be learned
        begun = replace(sequence, initial=initial, carry=initial if learns else sequence.carry)
        return run_whole(method, cell, params, begun, All())[1]

    return jax.vjp(outputs, params)[1](dys)[0]


def _audited(
    windows: tuple[int, ...], names: list[str], leaves: list[Any], exponents: Any, keep: float, scaled: bool
) -> WindowAudit:
    """Of gradients [W + 1, ...] each, the last in full, times 2^exponents [W + 1]."""
    flat = [np.asarray(leaf, np.float64).reshape(len(windows) + 1, -1) for leaf in leaves]
    if not all(np.isfinite(leaf).all() for leaf in flat):
        cause = "within a float's range at every step" if scaled else "of gradients within its floats' range"
        raise fail("params", f"such that the recurrence stays {cause}", "NaN or infinity in a gradient")
    named = dict(zip(names, flat, strict=True)) | {WHOLE: np.concatenate(flat, 1)}
    cosine, ratio, norms, full, smallest = {}, {}, {}, {}, {}
    for name, rows in named.items():
        size = np.linalg.norm(rows, axis=1)  # [W + 1]
        with np.errstate(divide="ignore"):
            logs = np.log10(size) + exponents * math.log10(2)
        both, either = (size[:-1] == 0) & (size[-1] == 0), (size[:-1] == 0) | (size[-1] == 0)
        scale = np.where(size == 0, 1, size)
        units = rows / scale[:, None]
        cosine[name] = np.where(both, 1.0, np.where(either, 0.0, units[:-1] @ units[-1]))
        with np.errstate(over="ignore", invalid="ignore"):
            ratio[name] = np.where(both, 1.0, 10.0 ** (logs[:-1] - logs[-1]))
        norms[name], full[name] = logs[:-1], float(logs[-1])
        good = (cosine[name] >= keep) & (ratio[name] >= keep) & (ratio[name] <= 1 / keep)
        later = np.flatnonzero(~good)
        first = later[-1] + 1 if len(later) else 0
        smallest[name] = windows[first] if first < len(windows) else None
    return WindowAudit(windows, cosine, ratio, norms, full, smallest)
