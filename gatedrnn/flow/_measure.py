"""One run of a comparison: a cell, an input, an initialisation and a seed, with every measurement made of it."""

from typing import Any, NamedTuple

import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._sequence import check_sequence
from gatedrnn.flow._comparison import GateMap, Run
from gatedrnn.flow._groups import finite
from gatedrnn.flow._scalars import LEVELS, SCALARS
from gatedrnn.flow.adjoint import lagged
from gatedrnn.flow.at_rest import rest_profile
from gatedrnn.flow.decay import decay
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
    """The run over `xs` [T, B, D], and the picture of what its units keep where they keep something."""
    cell = job.cell
    steps, batch, width = xs.shape
    profile = np.asarray(lagged(cell, params, xs), np.float64)  # [T + 1, B]
    lags = np.unique(np.concatenate([[0], np.geomspace(1, steps, LAGS).round()])).astype(int)
    closed = None if xs.any() else rest_profile(cell, params, lags, width)
    exponent = float(lyapunov(cell, params, xs, k=1, burn_in=steps // 10).mean())
    gate_map, quantiles = _measure_gate(job, params, xs) if cell.factored else (None, None)
    found = decay(profile[::-1])
    scalars: dict[str, Any] = {name: finite(value) for name, value in found._asdict().items() if name in SCALARS}
    scalars |= {name: int(scalars[name]) for name in LEVELS if scalars[name] is not None}
    run = Run(
        cell=cell.name,
        input=job.input,
        init=job.init,
        horizon=steps,
        hidden_size=hidden_size,
        batch=batch,
        seed=job.seed,
        lags=lags.tolist(),
        log10_norm=[finite(value) for value in profile.mean(1)[lags]],
        closed_form_log10_norm=None if closed is None else [finite(value) for value in closed],
        lyapunov_max=finite(exponent),
        timescale_quantiles=quantiles,
        verdict=found.word,
        **scalars,
    )
    return run, gate_map


def _measure_gate(job: Job, params: Any, xs: Array) -> tuple[GateMap | None, list[float | None] | None]:
    """The picture of what units keep, and the 10, 50 and 90 percent quantiles of time scale; None without any."""
    cell, steps = job.cell, xs.shape[0]
    length = -(-steps // GATE_BINS)
    sequence = check_sequence(cell, params, xs, None)
    trace = trace_gate(cell, length, params, sequence)
    scales = np.asarray(scales_of(trace), np.float64)  # [H]
    if not scales.any():
        return None, None
    order = np.argsort(-scales, kind="stable")
    starts = np.arange(0, steps, length)
    centres = (starts + np.minimum(starts + length, steps) - 1) / 2
    values = np.asarray(trace.mean, np.float64).T[order]  # [H, N]
    quantiles = np.quantile(scales, [0.1, 0.5, 0.9], method="nearest")
    gate_map = GateMap(cell.name, job.input, job.init, cell.keeps, centres, values, scales[order])
    return gate_map, [finite(value) for value in quantiles]
