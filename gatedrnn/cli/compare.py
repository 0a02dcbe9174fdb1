"""`gatedrnn compare`: how gradient flows back through cells over a long horizon."""

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich import box
from rich.table import Table

from gatedrnn._check import fail
from gatedrnn._files import locked
from gatedrnn._output import check_free
from gatedrnn._registry import CELLS, CLASSICS
from gatedrnn.cli._app import app
from gatedrnn.cli._console import show
from gatedrnn.cli._fields import option, size, with_options
from gatedrnn.cli._measuring import measuring
from gatedrnn.cli._options import (
    complete_cells,
    files_read,
    find_cell,
    formatted,
    name_of_file,
    split_cells,
    split_column,
)
from gatedrnn.cli._prepare import read_series
from gatedrnn.cli._settings import COLUMNS, DECIMAL, DELIMITER, HEADER

if TYPE_CHECKING:  # the library imports jax: only once a command runs
    from gatedrnn.flow import Comparison

LONGEST = 1_000_000
FILES = ("comparison.json", "report.html", "waterfall.png", "waterfall.svg", "gates.png", "gates.svg")
FEATURES = 32  # width of embedded bytes and of noise


@dataclass(frozen=True)
class Drive:
    """What the command line says of the input."""

    text: Path | None = option(None, "Drive with a UTF-8 text file (default: Python's help text).", metavar="FILE")
    encoding: Literal["embedded", "one-hot"] = option("embedded", "How text's bytes enter.")
    series: str | None = option(
        None,
        "Drive with columns of a CSV, NPY, NPZ or Parquet file; quotes around a name with a comma.",
        parser=name_of_file,
        metavar=COLUMNS,
    )
    delimiter: str | None = option(None, DELIMITER, metavar="MARK")
    decimal: str | None = option(None, DECIMAL, metavar="MARK")
    header: int | None = option(None, HEADER, check=size(least=0))
    noise: float | None = option(None, "Drive with Gaussian noise of this deviation.", metavar="STD")
    silent: bool = option(False, "Zero input only.")

    @property
    def files(self) -> dict[str, str]:
        """Those that are read, by their options."""
        return files_read(self.text, self.series)


@app.command()
@with_options()
def compare(
    cells: str = option(
        ",".join(CLASSICS),
        f"Cells, separated by commas: {', '.join(CELLS)}, networks such as 'stack(gru, gru)', or MODULE:CELL.",
        autocompletion=complete_cells,
    ),
    horizon: int = option(10_000, f"Time steps, 1 to {LONGEST:,}.", check=size(most=LONGEST, unit=" steps")),
    hidden: int = option(128, "Hidden units.", check=size()),
    batch: int = option(1, "Sequences, whose log norms are averaged.", check=size()),
    seeds: int = option(3, "Seeds of the weights; tables give medians.", check=size(most=1_000)),
    dtype: Literal["float32", "float64", "bfloat16"] = option("float32", "Dtype of the weights."),
    drive: Drive = Drive(),
    out: Path = option(Path("gradient-flow"), "Folder for the report, the pictures and the numbers."),
    quick: bool = option(False, "A small run: at most 1,000 steps, 32 units, 1 seed."),
    force: bool = option(False, "Replace what another comparison left in the folder."),
) -> None:
    """Compare how gradient flows back through cells over a long horizon, at rest and driven by input.

    Prints a table and writes comparison.json, report.html, waterfall and gates (PNG and SVG) to the out folder.
    """
    if quick:
        horizon, hidden, seeds = min(horizon, 1_000), min(hidden, 32), min(seeds, 1)
    import jax

    jax.config.update("jax_enable_x64", dtype == "float64")
    import gatedrnn
    from gatedrnn import report

    chosen = [find_cell(name, "cells") for name in split_cells(cells)]
    with locked(out, "out"):
        check_free("out", [out / name for name in FILES], drive.files, force)
        inputs, notes = _read_inputs(drive, (horizon, batch), hidden, dtype)
        with measuring("compare") as on_run:
            result = gatedrnn.flow.compare(chosen, inputs, hidden_size=hidden, seeds=seeds, dtype=dtype, on_run=on_run)
        command = shlex.join(["gatedrnn", *sys.argv[1:]])
        result = replace(result, notes=(*notes, *result.notes), command=command)
        written = report.save(result, out)
    _print(result, written)


def _read_inputs(drive: Drive, shape: tuple[int, int], hidden: int, dtype: str) -> tuple[dict[str, Any], list[str]]:
    """The inputs by name, [T, B, D] each, and notes about them; refuses what would not fit before it is made."""
    import jax.numpy as jnp

    from gatedrnn.flow.compare import check_memory

    given = [
        name
        for name in ("text", "series", "noise", "silent")
        if getattr(drive, name) is not None and getattr(drive, name) is not False
    ]
    if len(given) > 1:
        raise fail(given[1], f"left out beside `{given[0]}`: one input drives a comparison", "both")
    kind = given[0] if given else "text"
    for name in ("delimiter", "decimal", "header"):
        if getattr(drive, name) is not None and kind != "series":
            raise fail(name, "left out: it is for `series`", getattr(drive, name))
    width = {"series": _count_columns(drive), "text": 256 if drive.encoding == "one-hot" else FEATURES}.get(
        kind, FEATURES
    )
    check_memory(*shape, width, hidden, dtype)
    inputs = {"silent": jnp.zeros((*shape, width), dtype)}
    notes: list[str] = []
    if kind != "silent":
        read = {"text": _read_text, "series": _read_series, "noise": _make_noise}[kind]
        inputs[kind] = read(drive, shape, dtype, notes)
    return inputs, notes


def _count_columns(drive: Drive) -> int:
    from gatedrnn.tasks._columns import split_names

    columns = None if drive.series is None else split_column(drive.series)[1]
    return 1 if columns is None else len(split_names(columns))


def _read_text(drive: Drive, shape: tuple[int, int], dtype: str, notes: list[str]) -> Any:
    from gatedrnn.tasks import text

    horizon = shape[0]
    if drive.text is not None:
        data = text.read_text(drive.text)
    else:
        data = text.help_text()
        if len(data) < horizon:
            notes.append(
                f"Python's help text has {len(data):,} bytes; it is read again from its start to fill the horizon."
            )
            data *= -(-horizon // len(data))
    symbols = text.windows(data, *shape)
    if drive.encoding == "one-hot":
        return text.one_hot(symbols, dtype)
    return text.embed(symbols, FEATURES, dtype)


def _read_series(drive: Drive, shape: tuple[int, int], dtype: str, notes: list[str]) -> Any:
    import jax.numpy as jnp

    from gatedrnn.tasks import series

    return jnp.asarray(series.standardised_windows(read_series(drive).values, *shape), dtype)


def _make_noise(drive: Drive, shape: tuple[int, int], dtype: str, notes: list[str]) -> Any:
    import jax
    import jax.numpy as jnp

    deviation, held = drive.noise, jnp.finfo(dtype)
    if deviation is None or not 0 < deviation < float("inf"):
        raise fail("noise", "a positive standard deviation", deviation)
    if not float(held.tiny) <= deviation <= float(held.max):
        holds = f"a standard deviation that {dtype} holds, from {float(held.tiny):.2g} to {float(held.max):.2g}"
        raise fail("noise", holds, deviation)
    return deviation * jax.random.normal(jax.random.key(0), (*shape, FEATURES), dtype)


def _print(result: "Comparison", written: list[Path]) -> None:
    from gatedrnn.flow import SCALARS

    first, columns = result.runs[0], [scalar for scalar in SCALARS.values() if scalar.short]
    title = f"{first.horizon:,} steps, {first.hidden_size} units: gradient of the last output, medians over seeds"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left", show_edge=False)
    for name in ("cell", "init", "input"):
        table.add_column(name, no_wrap=True)
    for scalar in columns:
        table.add_column(scalar.short, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in result.summary():
        values = [formatted(row[scalar.name], scalar.form) for scalar in columns]
        table.add_row(row["cell"], row["init"], row["input"], *values, row["verdict"])
    show(table)
    legend = ". ".join(f"{scalar.short}: {scalar.heading}" for scalar in columns)
    show(f"\n{legend}. -: never.")
    for note in result.notes:
        show(f"note: {note}")
    show(f"wrote {', '.join(path.name for path in written)} to {written[0].parent}/")
