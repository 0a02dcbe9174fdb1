"""Who learns over long horizons: the records, each with its whole configuration and its curves.

python benchmarks/records.py                    lists them
python benchmarks/records.py adding-10000 ...   trains those; benchmarks/results/records/NAME.json
python benchmarks/records.py --quick NAME       the same at a hundredth of the horizon, to see that it runs

--at-once N trains N entries at a time, each on its share of the cores; --devices N shares the seeds of an entry, or its
batch, over N devices. An entry that is in the record already is not trained again; a killed one goes on from its
checkpoint in benchmarks/runs/, and so does one that lacks a test.
"""

import argparse
import json
import os
import queue
import resource
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from provenance import described, write_whole
from setups import RECORDS, Entry

import gatedrnn as gr

FOLDER = Path(__file__).resolve().parent
RESULTS, RUNS = FOLDER / "results" / "records", FOLDER / "runs"
FINAL_BATCHES = 20
VERSIONS = ("jax", "jaxlib", "optax", "numpy")


def train(entry: Entry, folder: Path) -> dict[str, Any]:
    """Trains an entry in `folder`, and says what came of it."""
    made = described(VERSIONS)  # what runs now: the tree may change meanwhile
    setup, mesh = entry.setup, None
    if jax.device_count() > 1:
        mesh = jax.sharding.Mesh(np.array(jax.devices()), ("devices",))
        if len(entry.seeds) % mesh.size:
            setup, mesh = replace(setup, method=gr.Sharded(mesh)), None
    began, resumed = time.monotonic(), (folder / "checkpoints").exists()
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
    options = {name: max(horizon, 3) if name == "chrono" else value for name, value in setup.cell_options}
    small = replace(setup, horizon=horizon, cell_options=options)
    tests = tuple((name, task, max(t // 100, task.shortest)) for name, task, t in entry.tests)
    return replace(entry, setup=small, steps=4, test_every=2, test_batches=1, tests=tests)


def run(names: list[str], options: argparse.Namespace) -> None:
    """Every entry in a process of its own, so that its peak memory is its own, `options.at_once` of them at a time."""
    options.results.mkdir(parents=True, exist_ok=True)
    groups = np.array_split(cores(), options.at_once)
    free: queue.Queue[list[int]] = queue.Queue()
    for group in groups:
        free.put(group.tolist())
    writing = threading.Lock()

    def one(name: str, label: str) -> None:
        folder = options.runs / name / label.replace(" ", "-").replace(",", "")
        mine = free.get()
        arguments = ["--entry", name, label, str(folder), "--devices", str(options.devices)]
        arguments += ["--cores", *map(str, mine)]
        try:
            shown = subprocess.run(
                [sys.executable, __file__, *arguments, *(["--quick"] if options.quick else [])],
                check=True,
                stdout=subprocess.PIPE,
            )
        finally:
            free.put(mine)
        with writing:
            add(options.results / f"{name}.json", [entry.label for entry in RECORDS[name]()], shown.stdout)

    pool = ThreadPoolExecutor(options.at_once)
    try:
        running = [
            pool.submit(one, name, entry.label)
            for name in names
            for entry in RECORDS[name]()
            if not whole(entry, read(options.results / f"{name}.json"))
        ]
        for each in running:
            each.result()
    finally:
        pool.shutdown(cancel_futures=True)  # when one fails, no other begins


def cores() -> list[int]:
    """Those that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def whole(entry: Entry, found: list[dict[str, Any]]) -> bool:
    """Whether the entry is in the record with all its tests."""
    tests = {name for name, _, _ in entry.tests}
    return any(there["label"] == entry.label and set(there.get("tests", ())) == tests for there in found)


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of a record, each with what made it: those of old say it once, for all."""
    record = json.loads(path.read_text()) if path.exists() else {"entries": []}
    entries = record.pop("entries")
    return [{"made": record} | entry for entry in entries]


def add(path: Path, labels: list[str], shown: bytes) -> None:
    """Adds an entry to the record at `path`, which is whole at every moment.

    Where it is there already, and the new one comes from its last checkpoint, only tests and analysis are new.
    """
    found = {entry["label"]: entry for entry in read(path)}
    new = json.loads(shown.splitlines()[-1])
    old = found.get(new["label"])
    if old is not None and new["resumed"] and new["updates"] == old["updates"]:
        new = old | {"tests": new["tests"], "analysis": new["analysis"]}
    found[new["label"]] = new
    places = {label: place for place, label in enumerate(labels)}
    entries = sorted(found.values(), key=lambda entry: places.get(entry["label"], len(places)))
    write_whole(path, {"entries": entries})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="records to train")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the horizon")
    parser.add_argument("--results", type=Path, help="folder of the records; with --quick, runs/quick")
    parser.add_argument("--runs", type=Path, help="folder of checkpoints")
    parser.add_argument("--entry", nargs=3, metavar=("NAME", "LABEL", "FOLDER"), help="one entry, told as JSON")
    parser.add_argument("--at-once", type=int, default=1, help="entries at a time, each on its share of the cores")
    parser.add_argument("--devices", type=int, default=1, help="devices (on a CPU: cores) per entry")
    parser.add_argument("--cores", nargs="+", type=int, help="run on these alone")
    options = parser.parse_args()
    if options.devices < 1:
        parser.error(f"--devices must be at least 1; got {options.devices}")
    if options.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, options.cores)  # before the backend starts its threads
    jax.config.update("jax_num_cpu_devices", options.devices)
    if options.entry:
        name, label, folder = options.entry
        entry = next(entry for entry in RECORDS[name]() if entry.label == label)
        shown, sys.stdout = sys.stdout, sys.stderr
        found = train(quick(entry) if options.quick else entry, Path(folder))
        print(json.dumps(found), file=shown)
        return
    options.results = options.results or (RUNS / "quick" if options.quick else RESULTS)
    options.runs = options.runs or (RUNS / "quick" if options.quick else RUNS)
    if not 1 <= options.at_once <= len(cores()):
        parser.error(f"--at-once must be between 1 and {len(cores())}, the number of cores; got {options.at_once}")
    unknown = set(options.names) - set(RECORDS)
    if unknown:
        parser.error(f"no record named {min(unknown)}; there are {', '.join(RECORDS)}")
    if not options.names:
        for name, entries in RECORDS.items():
            print(f"{name:20} {(entries.__doc__ or '').strip()}")
        return
    run(options.names, options)


if __name__ == "__main__":
    main()
