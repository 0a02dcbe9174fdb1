"""`gatedrnn inspect`: what a trained model looks back at in a file of one's own, by which units, and by which path."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from gatedrnn._check import fail
from gatedrnn._files import locked
from gatedrnn._output import check_free
from gatedrnn.cli._app import app
from gatedrnn.cli._console import show
from gatedrnn.cli._fields import option, size, with_options
from gatedrnn.cli._measuring import measuring
from gatedrnn.cli._models import one_model
from gatedrnn.cli._options import files_read, find_cell, name_of_file, path_of
from gatedrnn.cli._settings import COLUMNS, DECIMAL, DELIMITER, END_OF_SEEDS, HEADER

LONGEST, MOST_SHOWN = 1_000_000, 400
PICTURES = ("strip", "gradient", "audits", "spectrum", "gates")
FILES = ("inspection.json", "report.html", *(f"{name}.{kind}" for name in PICTURES for kind in ("png", "svg")))


@dataclass(frozen=True)
class What:
    """What the model reads, and which answer is looked at."""

    text: Path | None = option(None, "A UTF-8 text file, for a model of text.", metavar="FILE")
    series: str | None = option(
        None,
        "A series, for a model of one: the columns of its training (default) or others in their place.",
        parser=name_of_file,
        metavar=COLUMNS,
    )
    delimiter: str | None = option(None, DELIMITER, metavar="MARK")
    decimal: str | None = option(None, DECIMAL, metavar="MARK")
    header: int | None = option(None, HEADER, check=size(least=0))
    predict: str | None = option(None, "The predicted column that is looked at (default: the first).", metavar="COLUMN")
    at: int | None = option(None, "The byte or row whose prediction is looked at, from 0 (default: the last).")

    @property
    def files(self) -> dict[str, str]:
        """Those that are read, by their options."""
        return files_read(self.text, self.series)


@app.command()
@with_options()
def inspect(
    model: Annotated[
        Path, typer.Argument(parser=path_of, help="A trained model: its .safetensors file or its folder.")
    ],
    what: What = What(),
    horizon: int = option(
        1_000, "Steps of a stretch that is read; fewer in a shorter file.", check=size(most=LONGEST, unit=" steps")
    ),
    batch: int = option(4, "Stretches: one up to the answer, the others spread over the file.", check=size(most=1_000)),
    shown: int = option(60, "Steps that are shown one by one.", check=size(most=MOST_SHOWN, unit=" steps")),
    back: int = option(0, "Steps between the last that is shown and the answer.", check=size(least=0)),
    of_seed: int | None = option(
        None, "Whose model, in a folder with those of several seeds.", check=size(least=0, most=END_OF_SEEDS)
    ),
    cell: str | None = option(None, "MODULE:CELL of the model's cell, if it is your own."),
    out: Path = option(Path("inspection"), "Folder for the report, the pictures and the numbers."),
    force: bool = option(False, "Replace what another inspection left in the folder."),
) -> None:
    """Show what a trained model looks back at in a text or a series, and how its gradient comes from there.

    Prints what was found and writes inspection.json, report.html and pictures (PNG and SVG) to the out folder.
    """
    _check_what(what)
    weights = one_model(model, seed=of_seed)
    inputs = what.files | {"model": str(weights / "model.safetensors" if weights.is_dir() else weights)}
    with locked(out, "out"):
        check_free("out", [out / name for name in FILES], inputs, force)
        import gatedrnn as gr
        from gatedrnn import report
        from gatedrnn.cli._asked import asked_of
        from gatedrnn.flow._provenance import device, versions

        loaded = gr.load(weights, () if cell is None else (find_cell(cell),))
        asked = asked_of(loaded, what, horizon, batch, shown, back)
        with measuring("inspect") as on_part:
            found = gr.flow.inspect(
                loaded.model.cell,
                asked.params.cell,
                asked.question.xs,
                dys=asked.question.dys,
                loss=asked.question.loss,
                along=asked.question.along,
                shown=shown,
                back=back,
                longer=asked.longer,
                trained=asked.trained,
                on_part=on_part,
            )
        record = found.record()
        record["left_out"]["forecast"] = "it is for tasks of which some steps matter, and here every one does"
        record |= {
            "reading": asked.reading | {"model": os.path.basename(os.path.abspath(weights))},
            "notes": asked.notes,
            "versions": versions(),
            "device": device(),
            "command": shlex.join(["gatedrnn", *sys.argv[1:]]),
        }
        written = report.save_inspection(found, record, out)
    _print(record, written)


def _check_what(what: What) -> None:
    """Raises ValueError where it is not one file that is read, or an option is for the other kind."""
    if what.text is not None and what.series is not None:
        raise fail("series", "left out beside `text`: one file is read", "both")
    if what.text is None and what.series is None:
        raise fail("text", "given, or `series` for a model of a series", "neither")
    for name in ("delimiter", "decimal", "header", "predict"):
        if what.text is not None and getattr(what, name) is not None:
            raise fail(name, "left out: it is for `series`", getattr(what, name))


def _print(record: dict[str, Any], written: list[Path]) -> None:
    from gatedrnn import report

    reading = record["reading"]
    show(f"{reading['cell']} reading {reading['source']}: {reading['answer']}\n")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, show_header=False)
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    for line in report.lines(record):
        table.add_row(line.name, line.text)
    show(table, wraps=True)
    show("")
    for name, reason in record["left_out"].items():
        show(f"left out: {name}, since {reason}.")
    for note in record["notes"]:
        show(f"note: {note}")
    show(f"wrote {', '.join(path.name for path in written)} to {written[0].parent}/")
