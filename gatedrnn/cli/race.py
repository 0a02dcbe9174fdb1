"""`gatedrnn race`: all cells and initialisations on the same data; who learns, and when."""

import math
import statistics
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.table import Table

from gatedrnn._files import locked
from gatedrnn._output import check_free, whole_files, write_json
from gatedrnn._registry import CELLS
from gatedrnn.cli._app import app
from gatedrnn.cli._console import show
from gatedrnn.cli._fields import option, typed, with_options
from gatedrnn.cli._fit import fit
from gatedrnn.cli._options import complete_cells, find_cell, formatted, split_cells
from gatedrnn.cli._prepare import ask_for_devices, inits_of, prepare
from gatedrnn.cli._settings import Settings

FILES = ("race.json", "plateau.png", "plateau.svg")


@app.command()
@with_options("cell", "init")
def race(
    context: typer.Context,
    cells: str = option(
        ",".join(CELLS),
        f"Cells, separated by commas: {', '.join(CELLS)}, or MODULE:CELL.",
        autocompletion=complete_cells,
    ),
    settings: Settings = Settings(),
    out: Path = option(Path("race"), "Folder for race.json and the picture."),
    force: bool = option(False, "Replace what another race left in the folder."),
) -> None:
    """Train every cell from every initialisation on the same data, and draw their losses beside chance.

    Prints one table and writes race.json and plateau (PNG and SVG) to the out folder.
    """
    settings.check(typed(context))
    names = split_cells(cells)
    with locked(out, "out"):
        check_free("out", [out / name for name in FILES], settings.inputs, force)
        ask_for_devices(settings)
        cells_of = {name: inits_of(find_cell(name, "cells")) for name in names}
        runs = [_one(replace(settings, cell=name, init=init)) for name in names for init in cells_of[name]]
        _write(settings, runs, out)
    _print(settings, runs)
    print(f"wrote {FILES[0]}, {FILES[1]} and {FILES[2]} to {out}/")


def _one(settings: Settings) -> dict[str, Any]:
    """Trains one entry: its numbers, with the curve of every seed."""
    run = prepare(settings)
    import gatedrnn as gr

    fitted = fit(settings, run, f"{settings.cell} {settings.init}")
    last = {row.seed: row for row in fitted.rows}.values()
    return {
        "cell": settings.cell,
        "init": settings.init,
        "weights": gr.models.count(fitted.params()),
        "chance": run.setup.task.chance(settings.horizon),
        "test_loss": [row.test_loss for row in last],
        "test_accuracy": [row.test_accuracy for row in last],
        "reached": list(fitted.reached.values()),
        "updates": int(fitted.state.step[0]),
        "seconds": fitted.seconds,
        "compile_seconds": fitted.compile_seconds,
        "rows": [row._asdict() for row in fitted.rows],
    }


def _write(settings: Settings, runs: list[dict[str, Any]], out: Path) -> None:
    from gatedrnn import plots

    named = {name: value for name, value in asdict(settings).items() if name not in ("cell", "init")}
    with whole_files(out) as draft:
        write_json(draft / "race.json", named | {"runs": runs})
        title = f"{settings.task}, {settings.horizon:,} steps"
        plots.save(plots.plateau_clock(runs, title=title, target=settings.target), draft / "plateau")


def _print(settings: Settings, runs: list[dict[str, Any]]) -> None:
    chance = runs[0]["chance"]
    seeds = "1 seed" if settings.seeds == 1 else f"{settings.seeds} seeds"
    title = f"{settings.task}, {settings.horizon:,} steps, {seeds}; chance {chance:.4g}"
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
            f"{1e3 * run['seconds'] / run['updates']:,.1f}",
        )
    show(table)
    show("\nloss, right: test loss and accuracy, medians over seeds. at target: updates until then.")
