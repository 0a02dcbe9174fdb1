"""Gradient flow of several cells side by side: cells x inputs x initialisations x seeds, each measured alike."""

import inspect
import json
import math
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Carry, Cell
from gatedrnn._check import check_floating, check_size, fail
from gatedrnn._memory import machine_bytes, readable
from gatedrnn._output import whole_files
from gatedrnn._sequence import check_sequence
from gatedrnn.flow.adjoint import adjoint
from gatedrnn.flow.at_rest import rest_profile
from gatedrnn.flow.decay import Decay, decay
from gatedrnn.flow.lyapunov import lyapunov
from gatedrnn.flow.timescales import scales_of, trace_gate

GATE_BINS = 400  # columns of a gate picture
LAGS = 200  # points of a profile that are kept
SCALARS = (
    "rate_log10_per_step",
    "half_life",
    "lag_below_1e3",
    "lag_below_float32",
    "lag_below_float64",
    "lyapunov_max",
)


@dataclass(frozen=True)
class Run:
    """One cell, input, initialisation and seed.

    Attributes:
        cell: the cell's name.
        input: name of the input.
        init: `default`, or `chrono` for biases set to the horizon.
        horizon: T, steps.
        hidden_size: H.
        batch: B, sequences whose log10 norms are averaged.
        seed: of the weights.
        lags: steps back from the loss, increasing from 0 to T; about 200, evenly spaced on a log scale.
        log10_norm: log10 of the norm of dL/dcarry at those lags, the whole carry; None where it is exactly zero.
        closed_form_log10_norm: the same from powers of the Jacobian at rest, for an input that is zero throughout.
        rate_log10_per_step: fitted slope over all lags, decades per step.
        half_life: steps in which the fitted line falls by a half; None where it does not fall.
        lag_below_1e3: first lag below 10^-3, steps.
        lag_below_float32: first lag below 10^-38.
        lag_below_float64: first lag below 10^-308.
        lyapunov_max: largest Lyapunov exponent, nats per step, after a tenth of the horizon; None for -inf.
        timescale_quantiles: 10, 50 and 90 percent of the units' time scales, steps; None where no gate carries.
        verdict: `isometric`, `vanishing` or `exploding`, with the numbers that justify it.
    """

    cell: str
    input: str
    init: str
    horizon: int
    hidden_size: int
    batch: int
    seed: int
    lags: list[int]
    log10_norm: list[float | None]
    closed_form_log10_norm: list[float | None] | None
    rate_log10_per_step: float | None
    half_life: float | None
    lag_below_1e3: int | None
    lag_below_float32: int | None
    lag_below_float64: int | None
    lyapunov_max: float | None
    timescale_quantiles: list[float | None] | None
    verdict: str


@dataclass(frozen=True)
class GateMap:
    """The carrying gate of one run along time, units sorted by time scale, longest first.

    Attributes:
        cell: the cell's name.
        input: name of the input.
        init: `default` or `chrono`.
        gate: the gate's name.
        steps: centres of the bins of time, [N].
        values: the gate's mean in each bin, first sequence of the batch, [H, N].
        timescales: the units' time scales in steps, [H].
    """

    cell: str
    input: str
    init: str
    gate: str
    steps: np.ndarray
    values: np.ndarray
    timescales: np.ndarray

    @property
    def varies(self) -> bool:
        """Whether any unit's gate changes along time."""
        return bool(np.ptp(self.values, axis=1).any())


@dataclass(frozen=True)
class Comparison:
    """What `compare` measured.

    Attributes:
        runs: one per cell, input, initialisation and seed.
        gate_maps: one per gated cell, input and initialisation, of the first seed.
        notes: what the reader must know about the inputs and what was left out.
        versions: of the packages that computed it.
        device: platform, kind and number of devices.
        command: the command line, where there was one.
    """

    runs: tuple[Run, ...]
    gate_maps: tuple[GateMap, ...] = ()
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    device: dict[str, Any] = field(default_factory=dict)
    command: str = ""

    def summary(self) -> list[dict[str, Any]]:
        """One row per cell, input and initialisation: each scalar's median over seeds, and `[least, greatest]`.

        A scalar that some seeds lack (a lag never reached) is None unless more than half of them have it.
        """
        return [_summarise(key, runs) for key, runs in self._groups().items()]

    def verdicts(self) -> list[str]:
        """One sentence per cell, input and initialisation: the verdict of the seed with the median decay rate."""
        middle = {key: sorted(runs, key=_rate)[len(runs) // 2] for key, runs in self._groups().items()}
        return [
            f"{cell}, {init} initialisation, {name} input: {run.verdict}" for (cell, name, init), run in middle.items()
        ]

    def _groups(self) -> dict[tuple[str, str, str], list[Run]]:
        groups: dict[tuple[str, str, str], list[Run]] = {}
        for run in self.runs:
            groups.setdefault((run.cell, run.input, run.init), []).append(run)
        return groups

    def to_json(self) -> str:
        """Strict JSON: `runs`, `summary`, `notes`, `versions`, `device`, `command`; null for the logarithm of zero."""
        record = {
            "runs": [asdict(run) for run in self.runs],
            "summary": self.summary(),
            "notes": list(self.notes),
            "versions": self.versions,
            "device": self.device,
            "command": self.command,
        }
        return json.dumps(record, indent=1, allow_nan=False)

    def save(self, out: str | Path) -> list[Path]:
        """Writes `comparison.json`, `report.html`, and the waterfall and the gates as PNG and SVG.

        Args:
            out: the folder; made if it is missing. Each file appears whole or not at all.

        Returns:
            The files' paths.

        Raises:
            ValueError: the folder cannot be made or written to.
        """
        from gatedrnn import plots, report  # matplotlib: not for those who only compute

        driven = [gate_map for gate_map in self.gate_maps if gate_map.varies]  # at rest a gate's picture is one colour
        maps = [vars(gate_map) for gate_map in driven or self.gate_maps]
        record = json.loads(self.to_json())
        with whole_files(out) as draft:
            (draft / "comparison.json").write_text(self.to_json(), encoding="utf-8")
            plots.save(plots.waterfall(record["runs"]), draft / "waterfall")
            if maps:
                plots.save(plots.gate_heatmap(maps), draft / "gates")
            (draft / "report.html").write_text(
                report.html({**record, "gate_maps": maps}), encoding="utf-8", errors="backslashreplace"
            )
            names = sorted(file.name for file in draft.iterdir())
        return [Path(out) / name for name in names]


class Job(NamedTuple):
    """One run to be made."""

    cell: Cell
    input: str
    init: str
    seed: int

    def __str__(self) -> str:
        return f"{self.cell.name}, {self.init}, {self.input}, seed {self.seed}"


def compare(
    cells: Sequence[Cell],
    xs: Array | Mapping[str, Array],
    *,
    hidden_size: int = 128,
    inits: Sequence[str] = ("default", "chrono"),
    seeds: int = 3,
    dtype: DTypeLike = jnp.float32,
    on_run: Callable[[int, int, str], None] | None = None,
) -> Comparison:
    """Measures how much gradient arrives after T steps, for each cell, input, initialisation and seed.

    Args:
        cells: `[gr.rnn, gr.gru, gr.lstm]`, or any others with an `init(key, input_size, hidden_size, dtype=...)`.
        xs: inputs by name, [T, B, D] or [T, D] each, all of one shape; or one array, which becomes `driven`, with
            zeros of its shape as `silent`.
        hidden_size: H.
        inits: `default` is the cell's `init`; `chrono` passes it `chrono=T` (left out, with a note, where it has none).
        seeds: how many, from 0.
        dtype: of the weights.
        on_run: called after each run with (runs done, runs in all, which one it was).

    Returns:
        A `Comparison`: its `runs`, `summary()`, `verdicts()`, `to_json()` and `save(out)`.

    Raises:
        ValueError: an argument is out of its range, an input holds NaN or infinities, or the work needs more memory
            than the machine has.

    Example:
        >>> import jax, gatedrnn as gr
        >>> noise = jax.random.normal(jax.random.key(0), (200, 1, 4))
        >>> result = gr.flow.compare([gr.rnn, gr.lstm], noise, hidden_size=16, seeds=1)
        >>> [run.verdict.split(":")[0] for run in result.runs if run.input == "silent"]
        ['isometric', 'vanishing', 'isometric']
    """
    dtype = check_floating("dtype", dtype)
    inputs = _check_inputs(xs, dtype)
    check_size("hidden_size", hidden_size)
    check_size("seeds", seeds)
    steps, batch, width = next(iter(inputs.values())).shape
    cells = _check_cells(cells)
    check_memory(steps, batch, width, hidden_size, dtype)
    notes: list[str] = []
    jobs = list(_jobs(cells, inputs, inits, seeds, notes))
    if not jobs:
        raise fail(
            "inits", "['default', ...] for cells without a gate", f"{[*inits]} for {[cell.name for cell in cells]}"
        )

    def run(job: Job) -> tuple[Run, GateMap | None]:
        options = {"chrono": max(steps, 3)} if job.init == "chrono" else {}
        with jax.enable_x64(wide):
            params = job.cell.init(jax.random.key(job.seed), width, hidden_size, dtype=dtype, **options)
            return _measure(job, params, inputs[job.input], hidden_size)

    wide = jnp.result_type(float) == jnp.float64  # a caller's `jax.enable_x64` holds in the caller's thread only
    results: dict[Job, tuple[Run, GateMap | None]] = {}
    # A scan keeps one core busy. Neighbours in the queue are different cells, so that both do not compile the same.
    queue = sorted(jobs, key=lambda job: (job.seed, job.init, job.input))
    pool = ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1))
    try:
        waiting = {pool.submit(run, job): job for job in queue}
        for done, future in enumerate(as_completed(waiting)):
            results[waiting[future]] = future.result()
            if on_run is not None:
                on_run(done + 1, len(jobs), str(waiting[future]))
    except BaseException as error:  # a running scan cannot be stopped: whoever interrupts does not wait for it
        pool.shutdown(wait=not isinstance(error, KeyboardInterrupt), cancel_futures=True)
        raise
    pool.shutdown()
    maps = [gate_map for job in jobs if job.seed == 0 and (gate_map := results[job][1]) is not None]
    return Comparison(tuple(results[job][0] for job in jobs), tuple(maps), tuple(notes), _versions(), _device())


def check_memory(steps: int, batch: int, width: int, hidden_size: int, dtype: DTypeLike) -> None:
    """Raises ValueError where `compare` would need more memory than the machine has; an estimate from above.

    Counted: the inputs and the copies cut from them, the trajectory of the carry, one segment's gates, the
        norms,
    and the weights of four gates with their transposes and gradients.
    """
    item = max(jnp.dtype(dtype).itemsize, 4)
    per_row = 3 * steps * width + 4 * steps + 4 * hidden_size * steps + 128 * 32 * hidden_size
    need = 2 * item * (batch * per_row + 3 * 4 * hidden_size * (hidden_size + width))
    if need > machine_bytes():
        sizes = f"{steps:,} steps, batch {batch}, {width} features and {hidden_size} hidden units"
        raise ValueError(
            f"`xs` and `hidden_size` must fit in memory; got {sizes}, about {readable(min(need, 10**100))}, "
            f"on a machine with {readable(machine_bytes())}."
        )


def _check_inputs(xs: Array | Mapping[str, Array], dtype: DTypeLike) -> dict[str, Array]:
    if not isinstance(xs, Mapping):
        xs = {"silent": jnp.zeros_like(jnp.asarray(xs)), "driven": jnp.asarray(xs)}
    inputs = {}
    for name, values in xs.items():
        values = jnp.asarray(values)
        if values.ndim not in (2, 3) or 0 in values.shape:
            raise fail("xs", "[T, B, D] or [T, D] with at least one step, row and feature", values.shape)
        if not jnp.issubdtype(values.dtype, jnp.floating):
            raise fail("xs", "of a floating dtype", values.dtype)
        finite = jnp.isfinite(values)
        if not finite.all():
            place = tuple(int(i) for i in jnp.argwhere(~finite, size=1)[0])
            raise fail("xs", "finite everywhere", f"{values[place]} at {place} of the input {name!r}")
        inputs[name] = (values if values.ndim == 3 else values[:, None]).astype(dtype)
    shapes = {values.shape for values in inputs.values()}
    if len(shapes) != 1:
        raise fail("xs", "inputs of one shape", sorted(shapes) or "none")
    return inputs


def _check_cells(cells: Sequence[Cell]) -> list[Cell]:
    cells = [cells] if isinstance(cells, Cell) else cells
    listed = isinstance(cells, Iterable) and [*cells]
    if not listed or not all(isinstance(cell, Cell) for cell in listed):
        raise fail("cells", "a list of at least one gatedrnn.Cell", repr(cells))
    if len({cell.name for cell in listed}) < len(listed):
        raise fail("cells", "cells of different names", [cell.name for cell in listed])
    return listed


def _jobs(
    cells: list[Cell], inputs: dict[str, Array], inits: Sequence[str], seeds: int, notes: list[str]
) -> Iterator[Job]:
    unknown = [init for init in inits if init not in ("default", "chrono")]
    if unknown or not inits or isinstance(inits, str):
        raise fail("inits", "a list of 'default', 'chrono' or both", inits)
    for cell in cells:
        gated = "chrono" in inspect.signature(cell.init).parameters
        if "chrono" in inits and not gated:
            notes.append(f"{cell.name} has no gate whose bias could be set to the horizon: no chrono initialisation.")
        for init in inits:
            for name in inputs if gated or init == "default" else ():
                for seed in range(seeds):
                    yield Job(cell, name, init, seed)


def _measure(job: Job, params: Any, xs: Array, hidden_size: int) -> tuple[Run, GateMap | None]:
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
    named = cell.activations(gates_x, gates_h)
    return next((name for name in cell.gates if jnp.allclose(getattr(named, name), factor, atol=1e-5)), "carrying")


def _summarise(key: tuple[str, str, str], runs: list[Run]) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(("cell", "input", "init"), key, strict=True))
    row["seeds"] = len(runs)
    for name in SCALARS:
        values = [value for run in runs if (value := getattr(run, name)) is not None]
        common = 2 * len(values) > len(runs)
        row[name] = statistics.median(values) if common else None
        row[f"{name}_spread"] = [min(values), max(values)] if values else None
    words = [run.verdict.split(":")[0] for run in runs]
    row["verdict"] = statistics.mode(words)
    return row


def _rate(run: Run) -> float:
    return -math.inf if run.rate_log10_per_step is None else run.rate_log10_per_step


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("gatedrnn", "jax", "jaxlib", "numpy")} | {
        "python": platform.python_version()
    }


def _device() -> dict[str, Any]:
    device = jax.devices()[0]
    return {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()}
