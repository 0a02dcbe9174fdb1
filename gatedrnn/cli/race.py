"""`gatedrnn race`: all cells and initialisations on the same data; who learns, and when."""

import math
import shlex
import statistics
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.table import Table

from gatedrnn._check import fail
from gatedrnn._files import locked
from gatedrnn._output import check_free, whole_files, write_json
from gatedrnn._registry import CELLS, CLASSICS
from gatedrnn._words import counted
from gatedrnn.cli._app import INTERRUPTED, app, stop
from gatedrnn.cli._console import show
from gatedrnn.cli._entrants import DONE, FOLDER, RUN, Begun, done, keep, place_of, remove
from gatedrnn.cli._fields import option, typed, with_options
from gatedrnn.cli._fit import Unstable, fit
from gatedrnn.cli._options import complete_cells, find_cell, formatted, in_words, split_cells
from gatedrnn.cli._prepare import inits_of, prepare, shared
from gatedrnn.cli._settings import TASKS, Settings

LEFT_OUT = ("cell", "init", "from_model")  # settings that are no race's
FILES = ("race.json", "plateau.png", "plateau.svg")


@app.command()
@with_options(*LEFT_OUT)
def race(
    context: typer.Context,
    cells: str = option(
        ",".join(CLASSICS),
        f"Cells, separated by commas: {', '.join(CELLS)}, networks such as 'stack(gru, gru)', or MODULE:CELL.",
        autocompletion=complete_cells,
    ),
    settings: Settings = Settings(),
    out: Path = option(Path("race"), "Folder for race.json and the picture."),
    save_every: float = option(60.0, "Seconds between checkpoints.", metavar="S"),
    resume: Path | None = option(None, "Go on with the race in this folder, which was interrupted."),
    force: bool = option(False, "Replace what another race left in the folder."),
) -> None:
    """Train every cell from every initialisation on the same data, and draw their losses beside chance.

    Prints one table and writes race.json and plateau (PNG and SVG) to the out folder. Killed at any moment, `--resume`
    ends where it would have ended.
    """
    given = typed(context)
    begun = Begun(settings, split_cells(cells))
    if resume is not None:
        begun = _resumed(begun, Begun.load(resume), given)
    elif not settings.task:
        raise fail("task", f"one of {', '.join(TASKS)}, or `resume` given", "neither")
    begun.settings.check(given)
    if not save_every >= 0:
        raise fail("save-every", "a number of seconds of at least 0", save_every)
    folder = resume or out
    with locked(folder, "out" if resume is None else "resume"):
        _run(begun, folder, save_every, resume is not None, force)


def _resumed(now: Begun, then: Begun, given: list[str]) -> Begun:
    """What was begun; cells of the user's must be given as they were: what a file names is not imported."""
    own = any(":" in name for name in then.cells)
    for name in given:
        if name not in ("resume", "save_every", "force") and not (own and name == "cells"):
            raise fail(name.replace("_", "-"), "left out beside `resume`, which goes on with what was begun", "both")
    if own and now.cells != then.cells:
        got = repr(",".join(now.cells)) if "cells" in given else "nothing"
        raise fail("cells", f"given beside `resume` as when this race was begun, {','.join(then.cells)!r}", got)
    return then


def _run(begun: Begun, out: Path, save_every: float, resumed: bool, force: bool) -> None:
    settings, names = begun
    if not (resumed or force) and (out / FOLDER / RUN).exists():
        raise fail("out", "a new folder, or `resume` given to go on with its race", repr(str(out)))
    check_free("resume" if resumed else "out", [out / name for name in FILES], settings.inputs, force)
    settings = shared(settings, resumed)
    inits = {name: inits_of(find_cell(name, "cells")) for name in names}
    entrants = [replace(settings, cell=name, init=init) for name in names for init in inits[name]]
    if not resumed:
        remove(out)
    begun._replace(settings=settings).save(out)
    try:
        runs = [_one(each, place_of(out, i, each), save_every) for i, each in enumerate(entrants)]
        _write(settings, runs, out)
    except KeyboardInterrupt:
        own = ("--cells", ",".join(names)) if any(":" in name for name in names) else ()
        line = shlex.join(["gatedrnn", "race", "--resume", str(out), *own])
        stop(f"interrupted; go on with: {line}", INTERRUPTED)
    except ValueError as error:
        if not resumed and (isinstance(error, Unstable) or not any(place_of(out, 0, entrants[0]).glob(DONE))):
            remove(out)
        raise
    remove(out)
    _print(settings, runs)
    print(f"wrote {FILES[0]}, {FILES[1]} and {FILES[2]} to {out}/")


def _one(settings: Settings, place: Path, save_every: float) -> dict[str, Any]:
    """Trains one entrant, or goes on with it: its numbers, with the curve of every seed."""
    if (found := done(place)) is not None:
        return found
    run = prepare(settings)
    import gatedrnn as gr
    from gatedrnn.train._checkpoints import steps

    before = max(steps(place / "checkpoints"), default=None)
    label = f"{settings.cell} {settings.init}"
    resume = before is not None
    fitted = fit(settings, run, label, folder=place, resume=resume, force=not resume, save_every=save_every)
    last, updates = {row.seed: row for row in fitted.rows}.values(), int(fitted.state.step[0])
    found = {
        "cell": settings.cell,
        "init": settings.init,
        "weights": gr.models.count(fitted.params()),
        "chance": run.setup.task.chance(settings.horizon),
        "baselines": [each._asdict() for each in run.setup.task.baselines],
        "test_loss": [row.test_loss for row in last],
        "test_accuracy": [row.test_accuracy for row in last],
        "reached": list(fitted.reached.values()),
        "updates": updates,
        "timed": updates - (before or 0),
        "seconds": fitted.seconds,
        "compile_seconds": fitted.compile_seconds,
        "rows": [row._asdict() for row in fitted.rows],
    }
    keep(place, found)
    return found


def _write(settings: Settings, runs: list[dict[str, Any]], out: Path) -> None:
    from gatedrnn import plots

    named = {name: value for name, value in asdict(settings).items() if name not in LEFT_OUT}
    with whole_files(out) as draft:
        write_json(draft / "race.json", named | {"runs": runs})
        title = f"{settings.task}, {settings.horizon:,} steps"
        plots.save(plots.plateau_clock(runs, title=title, target=settings.target), draft / "plateau")


def _print(settings: Settings, runs: list[dict[str, Any]]) -> None:
    chance = runs[0]["chance"]
    title = f"{settings.task}, {settings.horizon:,} steps, {counted(settings.seeds, 'seed')}; chance {chance:.4g}"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left", show_edge=False)
    columns = ("cell", "init", "weights", "loss", "worst", "right", "at target", "ms/step")
    for name in columns:
        table.add_column(name, justify="left" if name in ("cell", "init") else "right", no_wrap=True)
    for run in runs:
        at = [step for step in run["reached"] if step is not None]
        losses = [loss if math.isfinite(loss) else math.inf for loss in run["test_loss"]]  # no number is the worst
        table.add_row(
            run["cell"],
            run["init"],
            f"{run['weights']:,}",
            f"{statistics.median(losses):.4g}",
            f"{max(losses):.4g}",
            f"{statistics.median(run['test_accuracy']):.1%}",
            formatted(statistics.median(at) if at else None, ",.0f")
            + ("" if len(at) in (0, settings.seeds) else f" {len(at)}/{settings.seeds}"),
            f"{1e3 * run['seconds'] / run['timed']:,.1f}" if run["timed"] else "-",
        )
    show(table)
    if runs[0]["baselines"]:
        show(f"\ntest loss without a model: {in_words(each.values() for each in runs[0]['baselines'])}")
    show("\nloss, right: test loss and accuracy, medians over seeds. at target: updates until then.")
