"""Gradient flow of several cells side by side: cells x inputs x initialisations x seeds, each measured alike."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import check_array, check_floating, check_list, check_size, fail, shown
from gatedrnn._memory import beyond_memory
from gatedrnn.flow._comparison import Comparison, GateMap, Run
from gatedrnn.flow._measure import Job, measure
from gatedrnn.flow._provenance import device, versions

MOST_SEEDS = 1_000_000
INITS = ("default", "chrono")
"""How weights are drawn: as the cell's `init` does, or with gate biases set to the horizon."""


def compare(
    cells: Sequence[Cell],
    xs: Array | Mapping[str, Array],
    *,
    hidden_size: int = 128,
    inits: Sequence[str] = INITS,
    seeds: int = 3,
    dtype: DTypeLike = jnp.float32,
    on_run: Callable[[int, int, str], None] | None = None,
) -> Comparison:
    """Measures how much gradient arrives after T steps, for each cell, input, initialisation and seed.

    Args:
        cells: `[gr.rnn, gr.gru, gr.lstm]`, or any others with an `init(key, input_size, hidden_size)`.
        xs: inputs by name, [T, B, D] or [T, D] each, all of one shape; or one array, which becomes `driven`, with
            zeros of its shape as `silent`.
        hidden_size: H.
        inits: `default` is the cell's `init`; `chrono` passes T to the option that `cell.horizon_option` names (left
            out, with a note, where it names none).
        seeds: how many, from 0.
        dtype: of the weights; passed to `init` where it is not float32.
        on_run: called after each run with (runs done, runs in all, which one it was).

    Returns:
        A `Comparison`: its `runs`, `summary()` and `to_json()`; `gatedrnn.report` makes words and pages of it.

    Raises:
        ValueError: an argument is out of its range, an input holds NaN or infinities, or the work needs more memory
            than the machine has.

    Example:
        >>> import jax, gatedrnn as gr
        >>> noise = jax.random.normal(jax.random.key(0), (200, 1, 4))
        >>> result = gr.flow.compare([gr.rnn, gr.lstm], noise, hidden_size=16, seeds=1)
        >>> [run.verdict for run in result.runs if run.input == "silent"]
        ['isometric', 'vanishing', 'isometric']
    """
    dtype = check_floating("dtype", dtype)
    inputs = _check_inputs(xs, dtype)
    hidden_size = check_size("hidden_size", hidden_size)
    seeds = check_size("seeds", seeds, most=MOST_SEEDS)
    if on_run is not None and not callable(on_run):
        raise fail("on_run", "a function (done, total, run)", shown(on_run))
    steps, batch, width = next(iter(inputs.values())).shape
    cells, inits = _check_cells(cells), _check_inits(inits)
    check_memory(steps, batch, width, hidden_size, dtype)
    notes: list[str] = []
    jobs = list(_jobs(cells, inputs, inits, seeds, notes))
    if not jobs:
        wanted = "['default', ...] for cells that name no `horizon_option`"
        raise fail("inits", wanted, f"{[*inits]} for {[cell.name for cell in cells]}")

    def run(job: Job) -> tuple[Run, GateMap | None]:
        options = {} if job.init == "default" else {job.cell.horizon_option: max(steps, 3)}
        with jax.enable_x64(wide):
            params = job.cell.draw(jax.random.key(job.seed), width, hidden_size, dtype, **options)
            state = jax.tree.leaves(job.cell.initial_carry(params, 1))
            check_memory(steps, batch, width, hidden_size, dtype, sum(part.size for part in state))
            return measure(job, params, inputs[job.input], hidden_size)

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
    return Comparison(tuple(results[job][0] for job in jobs), tuple(maps), tuple(notes), versions(), device())


def check_memory(steps: int, batch: int, width: int, hidden_size: int, dtype: DTypeLike, state_size: int = 0) -> None:
    """Raises ValueError where `compare` would need more memory than the device has; an estimate from above.

    Counted: the inputs and the copies cut from them, the trajectory of the carry (of `state_size` S, of the LSTM's 2 H
    at least), one segment's gates, the norms, and the weights of four gates with their transposes and gradients.
    """
    state = max(state_size, 2 * hidden_size)
    item = max(jnp.dtype(dtype).itemsize, 4)
    per_row = 3 * steps * width + 4 * steps + 2 * state * steps + 128 * 16 * state
    need = 2 * item * (batch * per_row + 3 * 4 * hidden_size * (hidden_size + width))
    beyond = beyond_memory(need)
    if beyond:
        sizes = f"{steps:,} steps, batch {batch}, {width} features and {hidden_size} hidden units"
        raise ValueError(f"`xs` and `hidden_size` must fit in memory; got {sizes}, {beyond}.")


def _check_inputs(xs: Array | Mapping[str, Array], dtype: DTypeLike) -> dict[str, Array]:
    if not isinstance(xs, Mapping):
        driven = check_array("xs", "floating arrays [T, B, D] or [T, D]", xs)
        xs = {"silent": jnp.zeros_like(driven), "driven": driven}
    inputs = {}
    for name, values in xs.items():
        values = check_array("xs", "floating arrays [T, B, D] or [T, D]", values)
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
    expected = "a list of at least one gatedrnn.Cell"
    listed = [cells] if isinstance(cells, Cell) else check_list("cells", expected, cells)
    if not listed or not all(isinstance(cell, Cell) for cell in listed):
        raise fail("cells", expected, shown(cells))
    if len({cell.name for cell in listed}) < len(listed):
        raise fail("cells", "cells of different names", [cell.name for cell in listed])
    return listed


def _check_inits(inits: Sequence[str]) -> list[str]:
    expected = "a list of 'default', 'chrono' or both"
    listed = check_list("inits", expected, inits)
    if not listed or not all(isinstance(init, str) and init in INITS for init in listed):
        raise fail("inits", expected, shown(inits))
    return listed


def _jobs(
    cells: list[Cell], inputs: dict[str, Array], inits: Sequence[str], seeds: int, notes: list[str]
) -> Iterator[Job]:
    for cell in cells:
        if "chrono" in inits and not cell.horizon_option:
            notes.append(f"{cell.name} names no option of its `init` that sets a horizon: no chrono initialisation.")
        for init in inits:
            for name in inputs if cell.horizon_option or init == "default" else ():
                for seed in range(seeds):
                    yield Job(cell, name, init, seed)
