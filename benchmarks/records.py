"""Who learns over long horizons: the records, each with its whole configuration and its curves.

python benchmarks/records.py                    lists them
python benchmarks/records.py adding-10000 ...   trains those; benchmarks/results/records/NAME.json
python benchmarks/records.py --quick NAME       the same at a hundredth of the horizon, to see that it runs

--devices N shares the seeds of an entry, or its batch, over N devices. An entry that is in the record already is not
trained again; a killed one goes on from its checkpoint in benchmarks/runs/.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

import gatedrnn as gr

FOLDER = Path(__file__).resolve().parent
RESULTS, RUNS = FOLDER / "results" / "records", FOLDER / "runs"


@dataclass(frozen=True)
class Entry:
    """One line of a record: a setup, its budget and its seeds."""

    label: str
    setup: gr.train.Setup
    steps: int
    seeds: tuple[int, ...]
    target: float | None = None
    test_every: int = 50
    test_batches: int = 4


def chrono(horizon: int) -> dict[str, Any]:
    return {"chrono": horizon}


def adding(horizon: int, cell: gr.Cell, options: dict[str, Any], **sizes: Any) -> gr.train.Setup:
    """Adam 1e-2, clipping 1, 32 units, 16 sequences."""
    return gr.train.Setup(gr.tasks.adding, cell, horizon, cell_options=options, **sizes)


def adding_10000() -> list[Entry]:
    """Four cells and initialisations in the same budget, five seeds each."""
    kinds = {
        "lstm chrono": (gr.lstm, chrono(10_000)),
        "gru chrono": (gr.gru, chrono(10_000)),
        "lstm bias 1": (gr.lstm, {}),
        "rnn": (gr.rnn, {}),
    }
    return [
        Entry(name, adding(10_000, cell, options), 1_000, tuple(range(5)), 0.01)
        for name, (cell, options) in kinds.items()
    ]


def adding_100000() -> list[Entry]:
    """Three seeds, one after the other."""
    setup = adding(100_000, gr.lstm, chrono(100_000))
    return [Entry(f"lstm chrono, seed {seed}", setup, 2_000, (seed,), 0.01, 25, 2) for seed in range(3)]


RECORDS: dict[str, Callable[[], list[Entry]]] = {
    "adding-10000": adding_10000,
    "adding-100000": adding_100000,
}


def train(entry: Entry, folder: Path) -> dict[str, Any]:
    """Trains an entry in `folder`, and says what came of it."""
    setup, mesh = entry.setup, None
    if jax.device_count() > 1:
        mesh = jax.sharding.Mesh(np.array(jax.devices()), ("devices",))
        if len(entry.seeds) % mesh.size:
            setup, mesh = replace(setup, method=gr.Sharded(mesh)), None
    began = time.monotonic()
    fitted = gr.train.fit(
        setup,
        steps=entry.steps,
        seeds=entry.seeds,
        target=entry.target,
        test_every=entry.test_every,
        test_batches=entry.test_batches,
        folder=folder,
        resume=(folder / "checkpoints").exists(),
        mesh=mesh,
        on_progress=lambda progress: tell(entry.label, progress),
    )
    last = {row.seed: row for row in fitted.rows}.values()
    return {
        "label": entry.label,
        "setup": setup.describe(),
        "budget": entry.steps,
        "target": entry.target,
        "chance": setup.task.chance(setup.horizon),
        "weights": gr.models.count(fitted.params()),
        "updates": int(fitted.state.step[0]),
        "reached": {str(seed): step for seed, step in fitted.reached.items()},
        "test_loss": [row.test_loss for row in last],
        "test_accuracy": [row.test_accuracy for row in last],
        "seconds": fitted.seconds,
        "compile_seconds": fitted.compile_seconds,
        "wall_seconds": time.monotonic() - began,
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "rows": [row._asdict() for row in fitted.rows],
    }


def tell(label: str, progress: gr.train.Progress) -> None:
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
    options = {name: horizon if name == "chrono" else value for name, value in setup.cell_options}
    small = replace(setup, horizon=horizon, cell_options=options)
    return replace(entry, setup=small, steps=4, test_every=2, test_batches=1)


def run(name: str, options: argparse.Namespace) -> None:
    results, runs = options.results, options.runs
    path = results / f"{name}.json"
    results.mkdir(parents=True, exist_ok=True)
    done = json.loads(path.read_text())["entries"] if path.exists() else []
    for entry in RECORDS[name]():
        if entry.label in [found["label"] for found in done]:
            continue
        # each in a process of its own: its peak memory is its own
        folder = runs / name / entry.label.replace(" ", "-").replace(",", "")
        command = [
            sys.executable,
            __file__,
            "--entry",
            name,
            entry.label,
            str(folder),
            "--devices",
            str(options.devices),
        ]
        shown = subprocess.run([*command, *(["--quick"] if options.quick else [])], check=True, stdout=subprocess.PIPE)
        done.append(json.loads(shown.stdout.splitlines()[-1]))
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(described() | {"entries": done}, indent=1) + "\n")
        draft.replace(path)


def described() -> dict[str, Any]:
    names = ("jax", "jaxlib", "optax", "numpy")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return {
        "versions": {"gatedrnn": gr.__version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in names},
        "commit": commit,
        "device": {"platform": jax.default_backend(), "machine": platform.machine(), "cores": os.cpu_count()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="records to train")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the horizon")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--entry", nargs=3, metavar=("NAME", "LABEL", "FOLDER"), help="one entry, told as JSON")
    parser.add_argument("--devices", type=int, default=1, help="devices (on a CPU: cores) per entry")
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", options.devices)
    if options.entry:
        name, label, folder = options.entry
        entry = next(entry for entry in RECORDS[name]() if entry.label == label)
        shown, sys.stdout = sys.stdout, sys.stderr
        found = train(quick(entry) if options.quick else entry, Path(folder))
        print(json.dumps(found), file=shown)
        return
    unknown = set(options.names) - set(RECORDS)
    if unknown:
        parser.error(f"no record named {min(unknown)}; there are {', '.join(RECORDS)}")
    if not options.names:
        for name, entries in RECORDS.items():
            print(f"{name:20} {(entries.__doc__ or '').strip()}")
    for name in options.names:
        run(name, options)


if __name__ == "__main__":
    main()
