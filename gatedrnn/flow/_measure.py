"""One run of a comparison: a cell, an input, an initialisation and a seed, with every measurement made of it."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Carry, Cell
from gatedrnn._sequence import check_sequence
from gatedrnn.flow._comparison import GateMap, Run
from gatedrnn.flow.adjoint import adjoint
from gatedrnn.flow.at_rest import rest_profile
from gatedrnn.flow.decay import Decay, decay
from gatedrnn.flow.lyapunov import lyapunov
from gatedrnn.flow.timescales import scales_of, trace_gate

GATE_BINS = 400  # columns of a gate picture
LAGS = 200  # points of a profile that are kept


class Job(NamedTuple):
    """One run to be made."""

    cell: Cell
    input: str
    init: str
    seed: int

    def __str__(self) -> str:
        return f"{self.cell.name}, {self.init}, {self.input}, seed {self.seed}"


def measure(job: Job, params: Any, xs: Array, hidden_size: int) -> tuple[Run, GateMap | None]:
    """The run over `xs` [T, B, D], and the carrying gate's picture where there is such a gate."""
    cell = job.cell
    steps, batch, width = xs.shape
    profile = np.asarray(adjoint(cell, params, xs).log10_norm["state"], np.float64)  # [T + 1, B]
    by_lag = profile.mean(1)[::-1]
    lags = np.unique(np.concatenate([[0], np.geomspace(1, steps, LAGS).round()])).astype(int)
    closed = None if xs.any() else rest_profile(cell, params, lags, width)
    exponent = float(lyapunov(cell, params, xs, k=1, burn_in=steps // 10).mean())
    gate_map, quantiles = _measure_gate(job, params, xs) if cell.factored else (None, None)
    summary: Decay = decay(profile)
    run = Run(
        cell=cell.name,
        input=job.input,
        init=job.init,
        horizon=steps,
        hidden_size=hidden_size,
        batch=batch,
        seed=job.seed,
        lags=lags.tolist(),
        log10_norm=[_finite(value) for value in by_lag[lags]],
        closed_form_log10_norm=None if closed is None else [_finite(value) for value in closed],
        rate_log10_per_step=summary.rate_log10_per_step,
        half_life=summary.half_life,
        lag_below_1e3=summary.lag_below_1e3,
        lag_below_float32=summary.lag_below_float32,
        lag_below_float64=summary.lag_below_float64,
        lyapunov_max=_finite(exponent),
        timescale_quantiles=quantiles,
        verdict=summary.verdict(exponent),
    )
    return run, gate_map


def _measure_gate(job: Job, params: Any, xs: Array) -> tuple[GateMap | None, list[float | None] | None]:
    """The carrying gate's picture, and the 10, 50 and 90 percent quantiles of time scale; None without one."""
    cell, steps = job.cell, xs.shape[0]
    length = -(-steps // GATE_BINS)
    sequence = check_sequence(cell, params, xs, None)
    trace = trace_gate(cell, length, params, sequence)
    scales = np.asarray(scales_of(trace, steps), np.float64)  # [H]
    if not scales.any():
        return None, None
    order = np.argsort(-scales, kind="stable")
    starts = np.arange(0, steps, length)
    centres = (starts + np.minimum(starts + length, steps) - 1) / 2
    values = np.asarray(trace.mean, np.float64).T[order]  # [H, N]
    quantiles = np.quantile(scales, [0.1, 0.5, 0.9], method="nearest")
    gate = _carrying_gate(cell, sequence.carry)
    gate_map = GateMap(cell.name, job.input, job.init, gate, centres, values, scales[order])
    return gate_map, [_finite(value) for value in quantiles]


def _carrying_gate(cell: Cell, carry: Carry) -> str:
    """The name of the gate that equals d after / d before of the carry's last part, at random pre-activations."""
    if cell.activations is None:
        return "carrying"
    keys = iter(jax.random.split(jax.random.key(0), 3 * len(cell.gates)))
    gates_x, gates_h = (tuple(jax.random.normal(next(keys), carry.h.shape) for _ in cell.gates) for _ in range(2))
    before = jax.tree.map(lambda part: jax.random.normal(next(keys), part.shape), carry)
    after, pull = jax.vjp(lambda carry: cell.pointwise(gates_x, gates_h, carry), before)
    factor = pull(after._make([*map(jnp.zeros_like, after[:-1]), jnp.ones_like(after[-1])]))[0][-1]
    named = cell.activations(gates_x, gates_h, before)
    return next((name for name in cell.gates if jnp.allclose(getattr(named, name), factor, atol=1e-5)), "carrying")


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
