"""`gatedrnn forecast`: how a series goes on, by a model that was trained on one."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from gatedrnn._check import fail
from gatedrnn._output import check_free, check_writable, whole_files
from gatedrnn.cli._app import app
from gatedrnn.cli._console import show
from gatedrnn.cli._fields import option, size, with_options
from gatedrnn.cli._models import one_model
from gatedrnn.cli._options import find_cell, name_of_file, path_of, split_column
from gatedrnn.cli._prepare import read_standardised
from gatedrnn.cli._settings import COLUMNS, DECIMAL, DELIMITER, END_OF_SEEDS, HEADER

SHOWN = 20  # rows of a table


@dataclass(frozen=True)
class _Past:
    """The series that goes on."""

    series: str | None = option(
        None,
        "The series that goes on, with the columns of the training (default) or others in their place.",
        parser=name_of_file,
        metavar=COLUMNS,
    )
    delimiter: str | None = option(None, DELIMITER, metavar="MARK")
    decimal: str | None = option(None, DECIMAL, metavar="MARK")
    header: int | None = option(None, HEADER, check=size(least=0))


@app.command()
@with_options()
def forecast(
    model: Annotated[
        Path, typer.Argument(parser=path_of, help="A model trained on a series: its .safetensors file or its folder.")
    ],
    past: _Past = _Past(),
    length: int = option(20, "Steps to add.", check=size(most=10_000_000, unit=" steps")),
    out: Path | None = option(None, "A CSV file for all of them (default: shown as a table).", metavar="FILE"),
    of_seed: int | None = option(
        None, "Whose model, in a folder with those of several seeds.", check=size(least=0, most=END_OF_SEEDS)
    ),
    cell: str | None = option(None, "MODULE:CELL of the model's cell, if it is your own."),
    force: bool = option(False, "Replace the file that is there."),
) -> None:
    """Let a model trained on a series say how it goes on, in the series's own units.

    The state is warmed up on all values of the file; from there on, what is predicted is read.
    """
    if past.series is None:
        raise fail("series", "given: FILE, or FILE:COLUMN", "nothing")
    path, _ = split_column(past.series)
    weights = one_model(model, seed=of_seed)
    if out is not None:
        if out.is_dir():
            raise fail("out", "a file that can be written to", f"the folder {str(out)!r}")
        inputs = {"series": path, "model": str(weights / "model.safetensors" if weights.is_dir() else weights)}
        check_free("out", [out], inputs, force)
        check_writable(out.parent)
    import jax.numpy as jnp
    import numpy as np

    import gatedrnn as gr
    from gatedrnn.tasks._units import Units

    loaded = gr.load(weights, () if cell is None else (find_cell(cell),))
    units = Units.read(loaded.about)
    if len(units.predicted) < len(units.names):
        got = f"{', '.join(units.names[i] for i in units.predicted)} alone"
        raise fail("model", f"one that predicts every column that it reads, {', '.join(units.names)}", got)
    values = read_standardised(past, units)
    found = units.unscaled(gr.models.forecast(loaded.model, loaded.params, jnp.asarray(values), length))
    if not np.isfinite(found).all():
        raise fail(
            "model", "one whose forecast stays finite", f"others after {np.isfinite(found).all(1).sum():,} steps"
        )
    if out is None:
        _print(units.names, found, len(values))
        return
    with whole_files(out.parent, "out") as draft, (draft / out.name).open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["step", *units.names])
        lines.writerows([step, *map(float, row)] for step, row in enumerate(found, 1))
    print(f"wrote {length:,} steps after the {len(values):,} of {os.path.basename(path)} to {out}")


def _print(names: Sequence[str], found: Any, before: int) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("step", *names):
        table.add_column(name, justify="right", no_wrap=True)
    kept = (
        range(len(found)) if len(found) <= SHOWN else [*range(SHOWN // 2), *range(len(found) - SHOWN // 2, len(found))]
    )
    for row in kept:
        table.add_row(f"{row + 1:,}", *(f"{value:.6g}" for value in found[row]))
    show(table)
    show(f"\nsteps after the {before:,} of the file")
    if len(kept) < len(found):
        show(f"{len(found) - SHOWN:,} in the middle are not shown; `--out` writes all of them")
