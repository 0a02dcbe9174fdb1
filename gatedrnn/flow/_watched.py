"""What is measured of a recurrence inside a training: everything from the user's own loss, in two traced functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import fail, shown
from gatedrnn._forms import Carry
from gatedrnn._unroll import gate_activations, unroll
from gatedrnn.flow._audited import of_loss, paths
from gatedrnn.flow._groups import finite, finites
from gatedrnn.flow._order import counted_steps
from gatedrnn.flow.adjoint import adjoint
from gatedrnn.flow.decay import by_own_lag, decay
from gatedrnn.flow.lyapunov import lyapunov
from gatedrnn.linear import accumulation_dtype

LAGS = 50  # points of a profile that are kept
SHUT, OPEN = 0.05, 0.95  # values of a gate beyond which it counts as closed, and as open


class Probe(NamedTuple):
    """Where the recurrence is in a training step, and what the loss makes of its outputs.

    Attributes:
        cell: any cell or network.
        params: its weights.
        xs: what it reads, [T, B, D] or [T, D].
        loss: `ys -> value []`: the rest of the loss, from the outputs [T, B, H] on.
        carry: as in `unroll`, and so are the next two.
        mask: or None.
        reset: or None.
    """

    cell: Cell
    params: Any
    xs: Array
    loss: Callable[[Array], Array]
    carry: Carry | None = None
    mask: Array | None = None
    reset: Array | None = None


def check_probe(found: Any) -> Probe:
    """A `Probe`, or a tuple of its first four fields or more."""
    if isinstance(found, tuple) and 4 <= len(found) <= len(Probe._fields):
        probe = Probe(*found)
        if 0 in jnp.shape(probe.xs):
            raise fail("probe", "such that `xs` has at least one step, row and feature", jnp.shape(probe.xs))
        return probe
    raise fail("probe", "such that it returns (cell, params, xs, loss)", shown(found))


def of_all(probe: Probe, rows: int) -> tuple[dict[str, Any], Array]:
    """The loss and its gradient in the weights, of the whole batch; and dL/dys [T, rows, H]. Traceable."""
    cell, params, xs, loss, carry, mask, reset = probe
    batched = jnp.ndim(xs) == 3
    ys, pull = jax.vjp(lambda params: unroll(cell, params, xs, carry, mask=mask, reset=reset)[1], params)
    dys = of_loss(loss, ys if batched else ys[:, None], batched)
    (gradient,) = pull(dys if batched else dys[:, 0])
    norms = dict(zip(paths(gradient), map(norm_of, jax.tree.leaves(gradient)), strict=True))
    return {"loss": loss(ys), "gradient_norm": norms}, dys[:, :rows]


def of_rows(probe: Probe, dys: Array, rows: int, exponents: int) -> dict[str, Any]:
    """The profile, exponents and gates of the first rows of the batch, from dL/dys [T, rows, H]. Traceable.

    Apart from `of_all`, with which it shares little: as one program the two took up to a fifth longer on a CPU.
    """
    cell, params, xs, _, carry, mask, reset = probe
    if jnp.ndim(xs) == 2:
        xs, mask, reset = jax.tree.map(lambda a: a[:, None], (xs, mask, reset))
        carry = jax.tree.map(lambda a: a[None], carry)
    carry = jax.tree.map(lambda a: a[:rows], carry)
    xs, mask, reset = jax.tree.map(lambda a: a[:, :rows], (xs, mask, reset))
    flags: dict[str, Any] = {"mask": mask, "reset": reset}
    row = adjoint(cell, params, xs, carry, dys=dys, **flags).log10_norm["state"]
    found = decay(row, **flags)
    at = lags(row.shape[0] - 1)
    record = {
        "lags": jnp.asarray(at),
        "log10_norm": _by_lag(row, mask, reset)[at],
        "rate_log10_per_step": found.rate_log10_per_step,
        "lag_below_1e3": found.lag_below_1e3,
    }
    if exponents:
        each = lyapunov(cell, params, xs, carry, k=exponents, **flags)  # [rows, k]
        counted = counted_steps(mask, reset, xs).any(0)[:, None]
        record["exponents"] = jnp.where(counted, each, 0).sum(0) / counted.sum(0).astype(each.dtype)
    gates = _gates(cell, params, xs, carry, flags)
    return record | ({"gates": gates} if gates else {})


def _by_lag(row: Array, mask: Array | None, reset: Array | None) -> Array:
    """Mean over the rows that reach a lag, and in which something arrives there: log10 norms [T + 1, B] -> [T + 1]."""
    back = [None if flag is None else jnp.asarray(flag)[::-1] for flag in (mask, reset)]
    norms, reached = by_own_lag(jnp, row[::-1], *back)
    arrives = reached & ~jnp.isneginf(norms)
    mean = jnp.where(arrives, norms, 0).sum(1) / jnp.maximum(arrives.sum(1), 1).astype(norms.dtype)
    return jnp.where(arrives.any(1), mean, -jnp.inf)


def norm_of(a: Array) -> Array:
    """The Euclidean norm of all numbers, in float32 or wider."""
    wide = jnp.ravel(a).astype(accumulation_dtype(a.dtype))
    peak = jnp.abs(wide).max(initial=0)
    unit = jnp.where((peak > 0) & jnp.isfinite(peak), peak, 1)
    return unit * jnp.linalg.norm(wide / unit)  # no square leaves a float's range


def lags(steps: int) -> np.ndarray:
    """About 50 lags from 0 to T, evenly spaced on a log scale."""
    return np.unique(np.concatenate([[0], np.geomspace(1, max(steps, 1), LAGS).round()])).astype(int)[: steps + 1]


def _gates(cell: Cell, params: Any, xs: Array, carry: Any, flags: dict[str, Any]) -> dict[str, Any]:
    """By gate, its mean over steps that are run, and the shares of its values that are closed and open."""
    try:
        gates = gate_activations(cell, params, xs, carry, **flags)
    except ValueError:  # the cell names none: anything else that is wrong was refused before
        return {}
    mask = flags["mask"]

    def mean(a: Array) -> Array:
        if mask is None:
            return a.mean()
        return jnp.where(mask[..., None], a, 0).sum() / (jnp.maximum(mask.sum(), 1) * a.shape[-1]).astype(a.dtype)

    def of(gate: Array) -> dict[str, Array]:
        share = lambda flag: mean(flag.astype(gate.dtype))
        return {"mean": mean(gate), "closed": share(gate < SHUT), "open": share(gate > OPEN)}

    return dict(zip(paths(gates), map(of, jax.tree.leaves(gates)), strict=True))


def plain(tree: Any) -> Any:
    """Arrays as lists and numbers of strict JSON; None for what is not finite."""
    if isinstance(tree, dict):
        return {name: plain(value) for name, value in tree.items()}
    values = np.asarray(tree)
    if values.dtype.kind in "iu":
        return values.tolist()
    values = values.astype(np.float64)
    return finite(values) if values.ndim == 0 else finites(values)
