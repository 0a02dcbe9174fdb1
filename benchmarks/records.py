"""Who learns over long horizons: the records, each with its whole configuration and its curves.

python benchmarks/records.py                    lists them
python benchmarks/records.py adding-10000 ...   trains those; benchmarks/results/records/NAME.json
python benchmarks/records.py --quick NAME       the same at a hundredth of the horizon, to see that it runs

--at-once N trains N entries at a time, each on its share of the cores; --devices N shares the seeds of an entry, or its
batch, over N devices. An entry that is in the record already is not
trained again; a killed one goes on from its checkpoint in benchmarks/runs/, and so does one that lacks a test.
"""

import argparse
import json
import os
import platform
import queue
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

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
    tests: tuple[tuple[str, gr.tasks.Task, int], ...] = ()  # after training: name, task, T
    test_batch: int | None = None  # B of those, where it is not the training's
    analysis: Callable[[gr.train.Setup, Any], dict[str, Any]] | None = None  # of the trained weights [S, ...]
    seconds: float | None = None  # a limit on training


def chrono(horizon: int) -> dict[str, Any]:
    return {"chrono": horizon}


def adding(horizon: int, cell: gr.Cell, options: dict[str, Any], **sizes: Any) -> gr.train.Setup:
    """Adam 1e-2, clipping 1, 32 units, 16 sequences."""
    return gr.train.Setup(gr.tasks.adding, cell, horizon, cell_options=options, **sizes)


def larger(horizon: int) -> tuple[tuple[str, gr.tasks.Task, int], ...]:
    """20 batches that no training saw, for a test at the end."""
    return (("20 batches", gr.tasks.adding, horizon),)


def adding_10000() -> list[Entry]:
    """Four cells and initialisations in the same budget, five seeds each."""
    kinds = {
        "lstm chrono": (gr.lstm, chrono(10_000)),
        "gru chrono": (gr.gru, chrono(10_000)),
        "lstm bias 1": (gr.lstm, {}),
        "rnn": (gr.rnn, {}),
    }
    return [
        Entry(name, adding(10_000, cell, options), 1_000, tuple(range(5)), 0.01, tests=larger(10_000))
        for name, (cell, options) in kinds.items()
    ]


def adding_100000() -> list[Entry]:
    """Three seeds, one after the other."""
    setup = adding(100_000, gr.lstm, chrono(100_000))
    return [
        Entry(f"lstm chrono, seed {seed}", setup, 2_000, (seed,), 0.01, 25, 2, larger(100_000)) for seed in range(3)
    ]


def adding_1000000() -> list[Entry]:
    """As far as an hour allows, in little memory."""
    setup = adding(1_000_000, gr.lstm, chrono(1_000_000), method=gr.Checkpointed())
    return [Entry("lstm chrono", setup, 1_000, (0,), 0.01, 10, 1, seconds=3_600)]


def sized(cell: gr.Cell, task: gr.tasks.Task, weights: int) -> int:
    return gr.models.hidden_size_for(cell, task.input_size, task.output_size, weights)


def kinds(horizon: int, cells: str = "rnn gru lstm") -> Iterator[tuple[str, gr.Cell, dict[str, Any]]]:
    """Every cell from every initialisation."""
    for name in cells.split():
        yield f"{name} default", gr.models.CELLS[name], {}
        if name != "rnn":
            yield f"{name} chrono", gr.models.CELLS[name], chrono(horizon)


def copy_1000() -> list[Entry]:
    """16,000 weights, where Bai 2018 reports chance for the LSTM."""
    rule = gr.train.Optimiser(optax.adam, 3e-3, 1.0)
    entries = []
    for label, cell, options in kinds(1_020):
        hidden = sized(cell, gr.tasks.copy, 16_000)
        setup = gr.train.Setup(gr.tasks.copy, cell, 1_000, hidden, 32, rule, cell_options=options)
        entries.append(Entry(label, setup, 2_000, (0, 1, 2), 0.001, 100, 2))
    return entries


def adding_600() -> list[Entry]:
    """70,000 weights, as Bai 2018."""
    rule = gr.train.Optimiser(optax.adam, 5e-3, 1.0)
    entries = []
    for label, cell, options in kinds(600):
        hidden = sized(cell, gr.tasks.adding, 70_000)
        setup = gr.train.Setup(gr.tasks.adding, cell, 600, hidden, 32, rule, cell_options=options)
        entries.append(Entry(label, setup, 1_500, (0, 1, 2), 0.001, 50, 4))
    return entries


def adding_750() -> list[Entry]:
    """LSTM of 128 units, RMSProp 1e-3, no clipping: chrono and bias 1, as Tallec and Ollivier 2018."""
    rule = gr.train.Optimiser(optax.rmsprop, 1e-3, None)
    entries = []
    for label, cell, options in kinds(750, "lstm"):
        setup = gr.train.Setup(gr.tasks.adding, cell, 750, 128, 32, rule, cell_options=options)
        entries.append(Entry(label, setup, 1_500, (0, 1, 2), 0.01, 100, 4))
    return entries


def temporal_order() -> list[Entry]:
    """Tasks 6a and 6b of Hochreiter and Schmidhuber 1997 at T = 100, and 6a at T = 1,000."""
    two, three = gr.tasks.temporal_order, gr.tasks.temporal_order_3
    entries = []
    for task, horizon in ((two, 100), (three, 100), (two, 1_000)):
        for label, cell, options in kinds(horizon):
            setup = gr.train.Setup(task, cell, horizon, 32, 16, cell_options=options)
            entries.append(Entry(f"{task.name} {horizon} {label}", setup, 2_000, (0, 1, 2), 0.01))
    return entries


def digits() -> list[Entry]:
    """8 x 8 digits pixel by pixel, in order and permuted."""
    rule = gr.train.Optimiser(optax.adam, 2e-3, 1.0)
    entries = []
    for task in (gr.tasks.digits(), gr.tasks.digits(permuted=True)):
        for label, cell, options in kinds(64):
            setup = gr.train.Setup(task, cell, 64, 128, 64, rule, cell_options=options)
            entries.append(Entry(f"{task.name} {label}", setup, 2_000, (0, 1, 2), None, 200, 6))
    return entries


ATTRACTORS = range(6)
DIFFER, FRONTED = 0.5, 0.5


def agreement() -> list[Entry]:
    """Sentences of 10 to 10,000 words with 0 to 5 attractors, tested by their number; those of 30, by length too."""
    by_number = {k: gr.tasks.agreement_with(k, DIFFER, FRONTED) for k in ATTRACTORS}
    longer = tuple((f"T = {steps:,}", by_number[2], steps) for steps in (100, 1_000, 10_000))
    entries = []
    for steps in (10, 30, 100, 1_000, 10_000):
        tests = tuple((str(k), task, steps) for k, task in by_number.items() if task.shortest <= steps)
        task = gr.tasks.mixture(*(task for _, task, _ in tests))
        for label, cell, options in kinds(steps):
            setup = gr.train.Setup(task, cell, steps, 32, 18, cell_options=options)
            tested = (*tests, *(longer if steps == 30 else ()))
            entries.append(Entry(f"{steps} {label}", setup, 1_000, (0, 1, 2), 0.01, 50, 4, tested))
    return entries


def costs(setup: gr.train.Setup, params: Any) -> dict[str, Any]:
    """What a step costs, forward and back: 32 sequences of 1,000 steps, as many inputs as the task has."""
    cell, steps, batch = setup.cell, 1_000, 32
    weights = jax.tree.map(lambda a: a[0], params.cell)
    xs = jax.random.normal(jax.random.key(0), (steps, batch, setup.task.input_size))
    loss = lambda weights, xs: jax.numpy.mean(gr.unroll(cell, weights, xs)[1] ** 2)
    gradient = jax.jit(jax.grad(loss)).lower(weights, xs).compile()
    jax.block_until_ready(gradient(weights, xs))
    taken = []
    for _ in range(9):
        began = time.perf_counter()
        jax.block_until_ready(gradient(weights, xs))
        taken.append(time.perf_counter() - began)
    memory: Any = gradient.memory_analysis()
    equations = sys.modules[cell.initial_carry.__module__].__doc__ or ""
    return {
        "equations": sum(" = " in line for line in equations.splitlines()),
        "multiplications_per_step": sum(leaf.size for leaf in jax.tree.leaves(weights) if leaf.ndim == 2),
        "microseconds_per_step": statistics.median(taken) / steps * 1e6,
        "bytes": memory.temp_size_in_bytes,
        "sizes": {"B": batch, "T": steps, "D": setup.task.input_size},
    }


SIZES: dict[str, Callable[[gr.Cell, gr.tasks.Task], int]] = {
    "64 units": lambda cell, task: 64,
    "12,000 weights": lambda cell, task: sized(cell, task, 12_000),
}


def gru_or_lstm() -> list[Entry]:
    """Equal units and equal weights: adding, copy, agreement, counting and parity."""
    counting = tuple((f"n <= {n:,}", gr.tasks.anbn, 2 * n) for n in (100, 200, 500, 1_000))
    longer = tuple((f"T = {steps}", gr.tasks.parity, steps) for steps in (32, 64, 256))
    distances = tuple(
        (f"T = {steps:,}", gr.tasks.agreement_with(2, DIFFER, FRONTED), steps) for steps in (30, 100, 1_000)
    )
    problems: dict[str, tuple[gr.tasks.Task, int, tuple[Any, ...]]] = {
        "adding": (gr.tasks.adding, 200, ()),
        "copy": (gr.tasks.copy, 100, ()),
        "agreement": (gr.tasks.agreement_with(2, DIFFER, FRONTED), 30, distances),
        "anbn": (gr.tasks.anbn, 200, counting),
        "parity": (gr.tasks.parity, 32, longer),
    }
    rule = gr.train.Optimiser(optax.adam, 3e-3, 1.0)
    entries = []
    for name, (task, horizon, tests) in problems.items():
        for size, hidden in SIZES.items():
            for cell, options in ((gr.rnn, {}), (gr.gru, chrono(horizon)), (gr.lstm, chrono(horizon))):
                setup = gr.train.Setup(task, cell, horizon, hidden(cell, task), 32, rule, cell_options=options)
                entry = Entry(f"{name}, {size}, {cell.name}", setup, 2_000, (0, 1, 2), None, 200, 4, tests)
                entries.append(replace(entry, analysis=costs) if name == "adding" else entry)
    return entries


def reach(setup: gr.train.Setup, params: Any) -> dict[str, Any]:
    """How far back the gradient of the last prediction reaches in held-out text, per seed."""
    batch = setup.task.held_out(jax.random.key(0), 4, 2_000)
    found = []
    leaves, structure = jax.tree.flatten(params)
    for seed in range(len(leaves[0])):
        one = jax.tree.unflatten(structure, [leaf[seed] for leaf in leaves])
        profile = gr.flow.adjoint(setup.cell, one.cell, setup.model.features(one, batch.xs))
        decay = gr.flow.decay(profile.log10_norm["state"])
        found.append({"lag_below_1e3": decay.lag_below_1e3, "half_life": decay.half_life})
    return {"reach": found}


def text() -> list[Entry]:
    """Bytes of Python's help text, 64 units, windows of 100, 1,000 and 10,000 bytes, 10,000 bytes per update in all."""
    task = gr.tasks.text.prediction(gr.tasks.text.help_text())
    rule = gr.train.Optimiser(optax.adam, 3e-3, 1.0)
    entries = []
    for window in (100, 1_000, 10_000):
        for cell in gr.models.CELLS.values():
            setup = gr.train.Setup(task, cell, window, 64, 10_000 // window, rule)
            tests = (("10,000 bytes", task, 10_000),)
            entries.append(Entry(f"{window:,} {cell.name}", setup, 1_000, (0, 1, 2), None, 250, 2, tests, 4, reach))
    return entries


RECORDS: dict[str, Callable[[], list[Entry]]] = {
    "adding-10000": adding_10000,
    "adding-100000": adding_100000,
    "adding-1000000": adding_1000000,
    "copy-1000": copy_1000,
    "adding-600": adding_600,
    "adding-750": adding_750,
    "temporal-order": temporal_order,
    "digits": digits,
    "agreement": agreement,
    "gru-or-lstm": gru_or_lstm,
    "text": text,
}


def train(entry: Entry, folder: Path) -> dict[str, Any]:
    """Trains an entry in `folder`, and says what came of it."""
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
        found = gr.train.measure(there, fitted.state.params, 20)
        tests[name] = {kind: np.asarray(values).tolist() for kind, values in found._asdict().items()}
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
        "tests": tests,
        "analysis": entry.analysis(setup, fitted.state.params) if entry.analysis else None,
        "resumed": resumed,  # then the seconds are those since
        "seconds": fitted.seconds,
        "cores": len(os.sched_getaffinity(0)),
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
    groups = np.array_split(sorted(os.sched_getaffinity(0)), options.at_once)
    free: queue.Queue[list[int]] = queue.Queue()
    for group in groups:
        free.put(group.tolist())
    writing = threading.Lock()

    def one(name: str, label: str) -> None:
        folder = options.runs / name / label.replace(" ", "-").replace(",", "")
        cores = free.get()
        arguments = ["--entry", name, label, str(folder), "--devices", str(options.devices)]
        arguments += ["--cores", *map(str, cores)]
        try:
            shown = subprocess.run(
                [sys.executable, __file__, *arguments, *(["--quick"] if options.quick else [])],
                check=True,
                stdout=subprocess.PIPE,
            )
        finally:
            free.put(cores)
        with writing:
            add(options.results / f"{name}.json", [entry.label for entry in RECORDS[name]()], shown.stdout)

    with ThreadPoolExecutor(options.at_once) as pool:
        running = [
            pool.submit(one, name, entry.label)
            for name in names
            for entry in RECORDS[name]()
            if not whole(entry, read(options.results / f"{name}.json"))
        ]
        for each in running:
            each.result()


def whole(entry: Entry, found: list[dict[str, Any]]) -> bool:
    """Whether the entry is in the record with all its tests."""
    tests = {name for name, _, _ in entry.tests}
    return any(there["label"] == entry.label and set(there.get("tests", ())) == tests for there in found)


def read(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())["entries"] if path.exists() else []


def add(path: Path, labels: list[str], shown: bytes) -> None:
    """Adds an entry to the record at `path`, which is whole at every moment; only its tests, where it is there."""
    found = {entry["label"]: entry for entry in read(path)}
    new = json.loads(shown.splitlines()[-1])
    old = found.get(new["label"])
    found[new["label"]] = new if old is None else old | {"tests": new["tests"], "analysis": new["analysis"]}
    entries = sorted(found.values(), key=lambda entry: labels.index(entry["label"]))
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(described() | {"entries": entries}, indent=1) + "\n")
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
    parser.add_argument("--at-once", type=int, default=1, help="entries at a time, each on its share of the cores")
    parser.add_argument("--devices", type=int, default=1, help="devices (on a CPU: cores) per entry")
    parser.add_argument("--cores", nargs="+", type=int, help="run on these alone")
    options = parser.parse_args()
    if options.cores:
        os.sched_setaffinity(0, options.cores)  # before the backend starts its threads
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
    run(options.names, options)


if __name__ == "__main__":
    main()
