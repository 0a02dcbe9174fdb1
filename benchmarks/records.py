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
from collections.abc import Callable, Iterator
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


def adding_1000000() -> list[Entry]:
    """As far as an hour allows, in little memory."""
    setup = adding(1_000_000, gr.lstm, chrono(1_000_000), batch=2, method=gr.Checkpointed())
    return [Entry("lstm chrono", setup, 1_000, (0,), 0.01, 5, 2)]


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
        entries.append(Entry(label, setup, 3_000, (0, 1, 2), 0.001, 100, 2))
    return entries


def adding_600() -> list[Entry]:
    """70,000 weights, as Bai 2018."""
    rule = gr.train.Optimiser(optax.adam, 2e-3, 1.0)
    entries = []
    for label, cell, options in kinds(600):
        hidden = sized(cell, gr.tasks.adding, 70_000)
        setup = gr.train.Setup(gr.tasks.adding, cell, 600, hidden, 32, rule, cell_options=options)
        entries.append(Entry(label, setup, 3_000, (0, 1, 2), 0.001, 100, 4))
    return entries


def adding_750() -> list[Entry]:
    """LSTM of 128 units, RMSProp 1e-3, no clipping: chrono and bias 1, as Tallec and Ollivier 2018."""
    rule = gr.train.Optimiser(optax.rmsprop, 1e-3, None)
    entries = []
    for label, cell, options in kinds(750, "lstm"):
        setup = gr.train.Setup(gr.tasks.adding, cell, 750, 128, 32, rule, cell_options=options)
        entries.append(Entry(label, setup, 5_000, (0, 1, 2), 0.01, 100, 4))
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
            entries.append(Entry(f"{task.name} {label}", setup, 3_000, (0, 1, 2), None, 300, 6))
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
            entries.append(Entry(f"{steps} {label}", setup, 1_000, (0, 1, 2), None, 100, 4, tested))
    return entries


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
                entries.append(Entry(f"{name}, {size}, {cell.name}", setup, 2_000, (0, 1, 2), None, 200, 4, tests))
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
    """Bytes of Python's help text, 128 units, windows of 100, 1,000 and 10,000 bytes of the same number in all."""
    task = gr.tasks.text.prediction(gr.tasks.text.help_text())
    rule = gr.train.Optimiser(optax.adam, 2e-3, 1.0)
    entries = []
    for window in (100, 1_000, 10_000):
        for label, cell, options in kinds(window):
            setup = gr.train.Setup(task, cell, window, 128, 20_000 // window, rule, cell_options=options)
            tests = (("10,000 bytes", task, 10_000),)
            entries.append(Entry(f"{window:,} {label}", setup, 2_000, (0, 1, 2), None, 500, 2, tests, 4, reach))
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
    options = {name: max(horizon, 3) if name == "chrono" else value for name, value in setup.cell_options}
    small = replace(setup, horizon=horizon, cell_options=options)
    tests = tuple((name, task, max(t // 100, task.shortest)) for name, task, t in entry.tests)
    return replace(entry, setup=small, steps=4, test_every=2, test_batches=1, tests=tests)


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
