"""`gatedrnn compare`: how gradient flows back through cells over a long horizon."""

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gatedrnn._check import check_size, fail
from gatedrnn._output import check_writable
from gatedrnn.cli._app import app
from gatedrnn.cli._options import (
    Dtype,
    Encoding,
    find_cells,
    formatted,
    name_of_file,
    number,
    path_of,
    split_column,
    whole,
)

if TYPE_CHECKING:  # the library imports jax: only once a command runs
    from gatedrnn.flow import Comparison

LONGEST = 1_000_000
MOST_SEEDS = 1_000
FEATURES = 32  # width of embedded bytes and of noise


@app.command()
def compare(
    cells: Annotated[str, typer.Option(help="Cells, separated by commas: rnn, gru, lstm.")] = "rnn,gru,lstm",
    horizon: Annotated[int, typer.Option(parser=whole, metavar="N", help=f"Time steps, 1 to {LONGEST:,}.")] = 10_000,
    hidden: Annotated[int, typer.Option(parser=whole, metavar="N", help="Hidden units.")] = 128,
    batch: Annotated[int, typer.Option(parser=whole, metavar="N", help="Sequences, whose log norms are averaged.")] = 1,
    seeds: Annotated[
        int, typer.Option(parser=whole, metavar="N", help="Seeds of the weights; tables give medians.")
    ] = 3,
    dtype: Annotated[Dtype, typer.Option(help="Dtype of the weights.")] = Dtype.FLOAT32,
    text: Annotated[
        Path | None,
        typer.Option(
            parser=path_of, metavar="FILE", help="Drive with a UTF-8 text file (default: Python's help text)."
        ),
    ] = None,
    encoding: Annotated[Encoding, typer.Option(help="How text's bytes enter.")] = Encoding.EMBEDDED,
    series: Annotated[
        str | None,
        typer.Option(parser=name_of_file, metavar="FILE[:COLUMN]", help="Drive with a column of a CSV or NPY file."),
    ] = None,
    noise: Annotated[
        float | None, typer.Option(parser=number, metavar="STD", help="Drive with Gaussian noise of this deviation.")
    ] = None,
    silent: Annotated[bool, typer.Option("--silent", help="Zero input only.")] = False,
    out: Annotated[
        Path,
        typer.Option(parser=path_of, metavar="DIR", help="Folder for the report, the pictures and the numbers."),
    ] = Path("gradient-flow"),
    quick: Annotated[bool, typer.Option("--quick", help="A small run: at most 1,000 steps, 32 units, 1 seed.")] = False,
) -> None:
    """Compare how gradient flows back through cells over a long horizon, at rest and driven by input.

    Prints a table and writes comparison.json, report.html, waterfall and gates (PNG and SVG) to the out folder.
    """
    if quick:
        horizon, hidden, seeds = min(horizon, 1_000), min(hidden, 32), min(seeds, 1)
    for name, size in (("horizon", horizon), ("hidden", hidden), ("batch", batch), ("seeds", seeds)):
        check_size(name, size)
    for name, size, most, unit in (("horizon", horizon, LONGEST, " steps"), ("seeds", seeds, MOST_SEEDS, "")):
        if size > most:
            raise fail(name, f"at most {most:,}{unit}", f"{size:,}")
    import jax

    jax.config.update("jax_enable_x64", dtype is Dtype.FLOAT64)
    import gatedrnn
    from gatedrnn import report

    chosen = find_cells(cells)
    check_writable(out)
    drive = Drive(text, encoding, series, noise, silent)
    inputs, notes = _read_inputs(drive, (horizon, batch), hidden, dtype.value)
    with _progress() as on_run:
        result = gatedrnn.flow.compare(
            chosen, inputs, hidden_size=hidden, seeds=seeds, dtype=dtype.value, on_run=on_run
        )
    command = shlex.join(["gatedrnn", *sys.argv[1:]])
    result = replace(result, notes=(*notes, *result.notes), command=command)
    written = report.save(result, out)
    _print(result, written)


class Drive(NamedTuple):
    """What the command line says of the input."""

    text: Path | None
    encoding: Encoding
    series: str | None
    noise: float | None
    silent: bool


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
    width = {"series": 1, "text": 256 if drive.encoding is Encoding.ONE_HOT else FEATURES}.get(kind, FEATURES)
    check_memory(*shape, width, hidden, dtype)
    inputs = {"silent": jnp.zeros((*shape, width), dtype)}
    notes: list[str] = []
    if kind != "silent":
        read = {"text": _read_text, "series": _read_series, "noise": _make_noise}[kind]
        inputs[kind] = read(drive, shape, dtype, notes)
    return inputs, notes


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
    if drive.encoding is Encoding.ONE_HOT:
        return text.one_hot(symbols, dtype)
    return text.embed(symbols, FEATURES, dtype)


def _read_series(drive: Drive, shape: tuple[int, int], dtype: str, notes: list[str]) -> Any:
    import jax.numpy as jnp

    from gatedrnn.tasks import series

    path, column = split_column(str(drive.series))
    return jnp.asarray(series.standardised_windows(series.read_series(path, column), *shape), dtype)


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


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    """A bar on standard error; yields what `compare` calls after each run."""
    columns = (TextColumn("{task.description:40.40}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("compiling", total=None)
        yield lambda done, total, label: bar.update(task, completed=done, total=total, description=label)


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
    console = Console(emoji=False, markup=False, highlight=False)
    console.print(table)
    legend = ". ".join(f"{scalar.short}: {scalar.heading}" for scalar in columns)
    console.print(f"\n{legend}. -: never.")
    for note in result.notes:
        console.print(f"note: {note}")
    console.print(f"wrote {', '.join(path.name for path in written)} to {written[0].parent}/")
