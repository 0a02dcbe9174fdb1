"""`gatedrnn train`: one cell on one task, with checkpoints, and `--resume`."""

import contextlib
import functools
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.table import Table

from gatedrnn._check import fail
from gatedrnn._files import locked
from gatedrnn._output import check_writable, whole_files, write_json
from gatedrnn.cli._app import INTERRUPTED, app, stop
from gatedrnn.cli._begun import check_begun
from gatedrnn.cli._console import show
from gatedrnn.cli._fields import option, typed, with_options
from gatedrnn.cli._fit import check_last, fit, freeing
from gatedrnn.cli._options import formatted, in_words
from gatedrnn.cli._outputs import check_outputs, model_name
from gatedrnn.cli._prepare import Run, prepare, shared
from gatedrnn.cli._settings import TASKS, Settings

CHANGEABLE = ("resume", "steps", "target", "metrics", "save_every", "force")


@app.command()
@with_options()
def train(
    context: typer.Context,
    settings: Settings = Settings(),
    out: Path = option(Path("training"), "Folder for checkpoints, metrics and the trained model."),
    metrics: Path | None = option(
        None, "A .csv or .jsonl file for the metrics (default: metrics.csv in the folder).", metavar="FILE"
    ),
    save_every: float = option(60.0, "Seconds between checkpoints.", metavar="S"),
    resume: Path | None = option(None, "Go on with the training in this folder; steps may be raised."),
    force: bool = option(False, "Replace what other runs left in the folder, and the file for the metrics."),
) -> None:
    """Train a cell on a long-horizon task; killed at any moment, `--resume` ends where it would have ended.

    Writes run.json, metrics.csv, checkpoints/ and, at the end, result.json and the model: model.safetensors with
    model.json, one pair per seed.
    """
    given = typed(context)
    folder = resume or out
    if resume is not None:
        settings = _resumed(settings, Settings.load(resume), given)
    elif not settings.task:
        raise fail("task", f"one of {', '.join(TASKS)}, or `resume` given", "neither")
    settings.check(given)
    if not save_every >= 0:
        raise fail("save-every", "a number of seconds of at least 0", save_every)
    if metrics is not None:
        from gatedrnn.train._metrics import check_name

        check_name(metrics)
        check_writable(metrics.parent, "metrics")
        if metrics.is_dir():
            raise fail("metrics", "a file that can be written to", f"the folder {str(metrics)!r}")
    with locked(folder, "out" if resume is None else "resume"):
        _run(settings, folder, metrics, save_every, resume is not None, force, given)


def _resumed(settings: Settings, begun: Settings, given: list[str]) -> Settings:
    """What was begun, with what may change: nothing that its numbers depend on may be given anew.

    But a cell of the user's must be, as it was: what a file names is not imported.
    """
    own = ":" in begun.cell
    for name in given:
        if name not in CHANGEABLE and not (own and name == "cell"):
            name = "from" if name == "from_model" else name.replace("_", "-")
            raise fail(name, "left out beside `resume`, which goes on with what was begun", "both")
    if own and settings.cell != begun.cell:
        got = repr(settings.cell) if "cell" in given else "nothing"
        raise fail("cell", f"given beside `resume` as it was when this training was begun, {begun.cell!r}", got)
    return replace(begun, **{name: getattr(settings, name) for name in ("steps", "target") if name in given})


def _run(
    settings: Settings,
    folder: Path,
    metrics: Path | None,
    save_every: float,
    resumed: bool,
    force: bool,
    given: list[str],
) -> None:
    settings = shared(settings, resumed)
    from gatedrnn.train._checkpoints import steps

    done, begun = steps(folder / "checkpoints"), None
    if settings.from_model is not None and not (done and resumed):  # else its weights are in the checkpoint
        settings, begun = check_begun(settings, given)
    run = prepare(settings, begun)
    if done and not (resumed or force):
        raise fail("out", "a new folder, or `resume` given to go on with its training", repr(str(folder)))
    if done and resumed and settings.steps < max(done):
        raise fail("steps", f"at least {max(done):,}, as many as were made", f"{settings.steps:,}")
    goes_on = bool(done) and resumed  # one killed before its first checkpoint begins again
    check_outputs(settings, folder, metrics, resumed, force)
    save = functools.partial(settings.save, folder)
    if not goes_on:
        save()  # what is killed from here on can be resumed
    try:
        with contextlib.nullcontext() if goes_on else freeing(settings, folder, metrics or folder / "metrics.csv"):
            fitted = fit(
                settings,
                run,
                f"{settings.cell} {settings.task}",
                begun=save,
                folder=folder,
                resume=goes_on,
                force=force,
                save_every=save_every,
                metrics=metrics,
                params=run.params,
            )
            check_last(settings, fitted)
        save()
        _finish(settings, folder, run, fitted)
    except KeyboardInterrupt:
        own = ("--cell", settings.cell) if ":" in settings.cell else ()
        line = shlex.join(["gatedrnn", "train", "--resume", str(folder), *own])
        stop(f"interrupted; go on with: {line}", INTERRUPTED)


def _finish(settings: Settings, folder: Path, run: Run, fitted: Any) -> None:
    """Writes the models and `result.json`, and prints one line per seed."""
    import gatedrnn as gr

    setup, task = run.setup, run.setup.task
    chance = task.chance(settings.horizon)
    last = {row.seed: row for row in fitted.rows}
    weights = gr.models.count(fitted.params())
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("seed", "updates", "test loss", "accuracy", "at target"):
        table.add_column(name, justify="right")
    for i, (seed, row) in enumerate(last.items()):
        name = model_name(settings, seed)
        about = asdict(settings) | {"seed": seed, "test_loss": row.test_loss, "test_accuracy": row.test_accuracy}
        gr.models.save(folder, setup.model, fitted.params(i), about | {"step": row.step} | run.about, name)
        at = fitted.reached[seed]
        table.add_row(
            str(seed), f"{row.step:,}", f"{row.test_loss:.5g}", f"{row.test_accuracy:.2%}", formatted(at, ",.0f")
        )
    with whole_files(folder) as draft:
        record = asdict(settings) | {
            "weights": weights,
            "chance": chance,
            "baselines": [each._asdict() for each in task.baselines],
            "reached": fitted.reached,
            "seconds": fitted.seconds,
            "compile_seconds": fitted.compile_seconds,
            "last": [row._asdict() for row in last.values()],
        }
        write_json(draft / "result.json", record)
    what = f"{settings.cell}, {settings.init} init, {settings.hidden} units"
    print(f"{settings.task}, {settings.horizon:,} steps: {what}\n")
    show(table)
    times = f"{fitted.seconds:,.1f} s in this run, {fitted.compile_seconds:.1f} s to compile"
    print(f"\n{weights:,} weights; chance loss {chance:.5g}; {times}")
    if task.baselines:
        show(f"test loss without a model: {in_words(task.baselines)}")
    print(f"wrote {'model' if settings.seeds == 1 else 'models'}, metrics and result.json to {folder}/")
