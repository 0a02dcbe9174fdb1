"""`gatedrnn train`: one cell on one task, with checkpoints, and `--resume`."""

import contextlib
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from gatedrnn._check import fail
from gatedrnn._output import check_writable, whole_files, write_json
from gatedrnn.cli import _settings as given
from gatedrnn.cli._app import INTERRUPTED, app, stop
from gatedrnn.cli._fit import check_last, checkpoints, fit, freeing
from gatedrnn.cli._options import formatted, number, path_of
from gatedrnn.cli._prepare import prepare
from gatedrnn.cli._settings import STEPS, Backward, Init, Rule, Settings, of_agreement, on_file

CHANGEABLE = ("resume", "steps", "target", "metrics", "save_every")


@app.command()
def train(
    context: typer.Context,
    task: given.Task = None,
    cell: Annotated[str, typer.Option(help="rnn, gru or lstm.")] = "lstm",
    init: Annotated[Init, typer.Option(help="chrono: gate biases drawn for the horizon.")] = Init.DEFAULT,
    horizon: given.Horizon = 1_000,
    hidden: given.Hidden = 32,
    batch: given.Batch = 16,
    steps: given.Steps = None,
    seeds: given.Seeds = 1,
    seed: given.FirstSeed = 0,
    rule: given.RuleOption = Rule.ADAM,
    rate: given.Rate = 1e-2,
    clip: given.Clip = 1.0,
    target: given.Target = None,
    test_every: given.TestEvery = 50,
    test_batches: given.TestBatches = 4,
    method: given.BackwardOption = Backward.SEGMENTED,
    window: given.Window = None,
    devices: given.Devices = 1,
    text: given.Text = None,
    series: given.Series = None,
    embedding: given.Embedding = 32,
    attractors: given.Attractors = None,
    differ: given.Differ = None,
    out: Annotated[
        Path, typer.Option(parser=path_of, metavar="DIR", help="Folder for checkpoints, metrics and the trained model.")
    ] = Path("training"),
    metrics: Annotated[
        Path | None,
        typer.Option(
            parser=path_of,
            metavar="FILE",
            help="A .csv or .jsonl file for the metrics (default: metrics.csv in the folder).",
        ),
    ] = None,
    save_every: Annotated[float, typer.Option(parser=number, metavar="S", help="Seconds between checkpoints.")] = 60.0,
    resume: Annotated[
        Path | None,
        typer.Option(
            parser=path_of, metavar="DIR", help="Go on with the training in this folder; steps may be raised."
        ),
    ] = None,
) -> None:
    """Train a cell on a long-horizon task; killed at any moment, `--resume` ends where it would have ended.

    Writes run.json, metrics.csv, checkpoints/ and, at the end, result.json and the model: model.safetensors with
    model.json, one pair per seed.
    """
    if resume is not None:
        _check_untouched(context)
        folder, settings = resume, Settings.load(resume)
        settings = replace(
            settings,
            steps=settings.steps if steps is None else steps,
            target=settings.target if target is None else target,
        )
    else:
        if task is None:
            raise fail("task", f"one of {', '.join(given.TASKS)}, or `resume` given", "neither")
        folder = out
        settings = Settings(
            *(task, cell, init.value, horizon, hidden, batch, STEPS if steps is None else steps, seeds, seed),
            *(rule.value, rate, clip, target, test_every, test_batches, method.value, window, devices),
            *(None if text is None else str(text.absolute()), on_file(series), embedding),
            *of_agreement(task, attractors, differ),
        )
    settings.check()
    if not save_every >= 0:
        raise fail("save-every", "a number of seconds of at least 0", save_every)
    if metrics is not None:
        from gatedrnn.train._metrics import check_name

        check_name(metrics)
        check_writable(metrics.parent, "metrics")
        if metrics.is_dir():
            raise fail("metrics", "a file that can be written to", f"the folder {str(metrics)!r}")
    check_writable(folder)
    _run(settings, folder, metrics, save_every, resume is not None)


def _check_untouched(context: typer.Context) -> None:
    """A resumed training is the one that was begun: nothing that its numbers depend on may be given anew."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in CHANGEABLE and source is not None and source.name == "COMMANDLINE":
            raise fail(name.replace("_", "-"), "left out beside `resume`, which goes on with what was begun", "both")


def _run(settings: Settings, folder: Path, metrics: Path | None, save_every: float, resumed: bool) -> None:
    run = prepare(settings)
    done = checkpoints(folder)
    if done and not resumed:
        raise fail("out", "a new folder, or `resume` given to go on with its training", repr(str(folder)))
    if done and settings.steps < max(done):
        raise fail("steps", f"at least {max(done):,}, as many as were made", f"{settings.steps:,}")
    begun = contextlib.nullcontext() if done else freeing(settings, folder, metrics or folder / "metrics.csv")
    try:
        with begun:
            settings.save(folder)
            fitted = fit(
                settings,
                run,
                f"{settings.cell} {settings.task}",
                folder=folder,
                resume=bool(done),  # one killed before its first checkpoint begins again
                save_every=save_every,
                metrics=metrics,
            )
            check_last(settings, fitted)
        _finish(settings, folder, run.setup, fitted)
    except KeyboardInterrupt:
        stop(f"interrupted; go on with: gatedrnn train --resume {shlex.quote(str(folder))}", INTERRUPTED)


def _finish(settings: Settings, folder: Path, setup: Any, fitted: Any) -> None:
    """Writes the models and `result.json`, and prints one line per seed."""
    import gatedrnn as gr

    chance = setup.task.chance(settings.horizon)
    last = {row.seed: row for row in fitted.rows}
    weights = gr.models.count(fitted.params())
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("seed", "updates", "test loss", "accuracy", "at target"):
        table.add_column(name, justify="right")
    for i, (seed, row) in enumerate(last.items()):
        name = "model" if settings.seeds == 1 else f"model-{seed}"
        about = asdict(settings) | {"seed": seed, "test_loss": row.test_loss, "test_accuracy": row.test_accuracy}
        gr.models.save(folder, setup.model, fitted.params(i), about | {"step": row.step}, name)
        at = fitted.reached[seed]
        table.add_row(
            str(seed), f"{row.step:,}", f"{row.test_loss:.5g}", f"{row.test_accuracy:.2%}", formatted(at, ",.0f")
        )
    with whole_files(folder) as draft:
        record = asdict(settings) | {
            "weights": weights,
            "chance": chance,
            "reached": fitted.reached,
            "seconds": fitted.seconds,
            "compile_seconds": fitted.compile_seconds,
            "last": [row._asdict() for row in last.values()],
        }
        write_json(draft / "result.json", record)
    console = Console(emoji=False, markup=False, highlight=False)
    what = f"{settings.cell}, {settings.init} init, {settings.hidden} units"
    print(f"{settings.task}, {settings.horizon:,} steps: {what}\n")
    console.print(table)
    times = f"{fitted.seconds:,.1f} s in this run, {fitted.compile_seconds:.1f} s to compile"
    print(f"\n{weights:,} weights; chance loss {chance:.5g}; {times}")
    print(f"wrote {'model' if settings.seeds == 1 else 'models'}, metrics and result.json to {folder}/")
