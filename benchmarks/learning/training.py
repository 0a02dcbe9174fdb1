"""One entry of a record, trained in a process of its own, so that its peak memory is its own.

python -m benchmarks.learning.training adding-10000 rnn FOLDER    told as JSON; checkpoints in FOLDER
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

import gatedrnn as gr
from benchmarks.learning.entries import Entry
from benchmarks.learning.setups import RECORDS
from benchmarks.shared import Row, described

FINAL_BATCHES = 20
VERSIONS = ("jax", "jaxlib", "optax", "numpy")


def train(entry: Entry, folder: Path) -> Row:
    """Trains an entry in `folder`, and says what came of it."""
    made = described(VERSIONS)  # what runs now: the tree may change meanwhile
    setup, mesh = entry.setup, None
    if jax.device_count() > 1:
        mesh = jax.sharding.Mesh(np.array(jax.devices()), ("devices",))
        if len(entry.seeds) % mesh.size:
            setup, mesh = replace(setup, method=gr.Sharded(mesh)), None
    began, resumed = time.monotonic(), any((folder / "checkpoints").glob("[0-9]*"))
    fitted = gr.train.fit(
        setup,
        steps=entry.steps,
        seeds=entry.seeds,
        target=entry.target,
        test_every=entry.test_every,
        test_batches=entry.test_batches,
        seconds=entry.seconds,
        folder=folder,
        resume=resumed,
        mesh=mesh,
        on_progress=lambda progress: tell(entry.label, progress),
    )
    tests = {}
    for name, task, horizon in entry.tests:
        batch = entry.test_batch or setup.batch
        there = replace(setup, task=task, horizon=horizon, batch=batch, method=gr.Segmented())
        found = gr.train.measure(there, fitted.state.params, FINAL_BATCHES)
        tests[name] = {kind: np.asarray(values).tolist() for kind, values in found._asdict().items()}
        tests[name] |= {"task": task.name, "T": horizon, "B": batch, "batches": FINAL_BATCHES}
    last = {row.seed: row for row in fitted.rows}.values()
    return {
        "label": entry.label,
        "made": made,
        "setup": setup.describe(),
        "budget": entry.steps,
        "target": entry.target,
        "test_every": entry.test_every,
        "test_batches": entry.test_batches,
        "chance": setup.task.chance(setup.horizon),
        "weights": gr.models.count(fitted.params()),
        "updates": int(fitted.state.step[0]),
        "reached": {str(seed): step for seed, step in fitted.reached.items()},
        "test_loss": [row.test_loss for row in last],
        "test_accuracy": [row.test_accuracy for row in last],
        "tests": tests,
        "analysis": entry.analysis(setup, fitted.state.params) if entry.analysis else None,
        "resumed": resumed,  # then the seconds are those since
        "seconds": fitted.seconds,
        "cores": len(cores()),
        "compile_seconds": fitted.compile_seconds,
        "wall_seconds": time.monotonic() - began,
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "rows": [row._asdict() for row in fitted.rows],
    }


def tell(label: str, progress: gr.train.Progress) -> None:
    """Prints the test losses as soon as they are there."""
    if progress.rows and progress.rows[0].step == progress.step:
        losses = [row.test_loss for row in progress.rows]
        print(
            f"{label:24} {progress.step:6,} of {progress.steps:,}   test loss {statistics.median(losses):.4g} "
            f"({min(losses):.4g} to {max(losses):.4g})   {progress.steps_per_second:.3g} updates/s",
            flush=True,
        )


def quick(entry: Entry) -> Entry:
    """A hundredth of the horizon, a few updates."""
    setup = entry.setup
    horizon = max(setup.horizon // 100, setup.task.shortest)
    options = {
        name: max(horizon, 3) if name == setup.cell.horizon_option else value for name, value in setup.cell_options
    }
    small = replace(setup, horizon=horizon, cell_options=options)
    tests = tuple((name, task, max(t // 100, task.shortest)) for name, task, t in entry.tests)
    return replace(entry, setup=small, steps=4, test_every=2, test_batches=1, tests=tests)


def cores() -> list[int]:
    """Those that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=list(RECORDS))
    parser.add_argument("label")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the horizon")
    parser.add_argument("--devices", type=int, default=1, help="devices (on a CPU: cores)")
    parser.add_argument("--cores", nargs="+", type=int, help="run on these alone")
    options = parser.parse_args()
    if options.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, options.cores)  # before the backend starts its threads
    jax.config.update("jax_num_cpu_devices", options.devices)
    entry = next(entry for entry in RECORDS[options.name]() if entry.label == options.label)
    shown, sys.stdout = sys.stdout, sys.stderr
    found = train(quick(entry) if options.quick else entry, options.folder)
    print(json.dumps(found), file=shown)


if __name__ == "__main__":
    main()
