"""`gatedrnn diagnose`: why a training is on its plateau, or off it, and what to change."""

import dataclasses
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from gatedrnn._check import fail
from gatedrnn._output import check_free, whole_files, write_json
from gatedrnn.cli._app import app
from gatedrnn.cli._console import show
from gatedrnn.cli._fields import option, size, with_options
from gatedrnn.cli._options import find_cell, path_of
from gatedrnn.cli._prepare import ask_for_devices, can_be_writable, prepare
from gatedrnn.cli._settings import END_OF_SEEDS, Settings
from gatedrnn.cli._trained import Trained, read, settings_of

if TYPE_CHECKING:  # the library imports jax: only once a command runs
    from gatedrnn.train._evidence import Evidence, Finding
    from gatedrnn.train._measured import Measured

OWN = ("run.json", "metrics.csv", "result.json", "model.json")  # files of a training, which are only read
INSTEAD = "gru"  # of a cell whose gates cannot be set for a horizon


@app.command()
@with_options()
def diagnose(
    folder: Annotated[
        Path, typer.Argument(parser=path_of, help="The folder of a training, or of an entrant of a race under way.")
    ],
    of_seed: int | None = option(
        None, "Which of several seeds (default: that of the median test loss).", check=size(least=0, most=END_OF_SEEDS)
    ),
    cell: str | None = option(None, "MODULE:CELL of the training's cell, if it is your own."),
    record: Path | None = option(None, "A JSON file for all that was measured.", word="json", metavar="FILE"),
    force: bool = option(False, "Replace the file that is there."),
) -> None:
    """Say why a training is on its plateau, left it, diverged or stopped too early, and what to change.

    Reads the last whole checkpoint and the tests, and measures the first and the last weights on batches of the
    training's own task. The training may still be under way: it is not disturbed.
    """
    settings = settings_of(folder, cell)
    if of_seed is not None and of_seed not in settings.numbers:
        known = ", ".join(map(str, list(settings.numbers)[:8]))
        raise fail("of-seed", f"one of {known}", of_seed)
    if record is not None:
        if record.is_dir():
            raise fail("json", "a file that can be written to", f"the folder {str(record)!r}")
        for name in OWN:
            check_free("json", [record], settings.inputs | {"folder": str(folder / name)}, force)
    ask_for_devices(dataclasses.replace(settings, devices=1))
    trained = read(folder, settings)
    from gatedrnn.train._diagnose import median_seed
    from gatedrnn.train._diagnosis import findings, headline

    seed = of_seed if of_seed is not None else median_seed(trained.rows) if trained.rows else settings.first_seed
    evidence = _evidence(trained, seed)
    found = findings(evidence)
    if record is not None:
        with whole_files(record.parent, "json") as draft:
            write_json(draft / record.name, _as_json(settings, seed, trained.rows, evidence, found))
    _print(folder, trained, seed, headline(evidence), evidence, found)
    if record is not None:
        print(f"wrote {record}")


def _evidence(trained: Trained, seed: int) -> "Evidence":
    import jax

    from gatedrnn.train._diagnose import evidence

    settings, place = trained.settings, trained.settings.numbers.index(seed)
    of_one = lambda state: jax.tree.map(lambda a: a[place : place + 1], state)
    return evidence(
        trained.setup,
        of_one(trained.first),
        of_one(trained.state),
        [row for row in trained.rows if row.seed == seed],
        seed,
        steps=settings.steps,
        target=settings.target,
        test_every=settings.test_every,
        test_batches=settings.test_batches,
        others=[
            (options, prepare(dataclasses.replace(settings, **options, devices=1)).setup)
            for options in _others(trained)
        ],
    )


def _others(trained: Trained) -> list[dict[str, Any]]:
    """What else could be begun with: other initialisations, or another cell where this one has none for a horizon."""
    settings, setup = trained.settings, trained.setup
    if settings.from_model is not None or (not setup.task.at_end and setup.task.ahead):
        return []
    width = settings.embedding if setup.task.symbols else setup.task.input_size
    base = {} if setup.cell.horizon_option else {"cell": INSTEAD}
    cell = find_cell(base.get("cell", settings.cell))
    inits = ["chrono"]
    if can_be_writable(cell) and width <= settings.hidden:
        inits.append("writable")
    return [base | {"init": init} for init in inits if base or init != settings.init]


def command(settings: Settings, folder: Path, options: Mapping[str, Any]) -> str:
    """The line that trains the same with other options, in a folder beside the first."""
    changed = dataclasses.replace(settings, **options)
    words = ["gatedrnn", "train", settings.task]
    for field in dataclasses.fields(changed):
        value = getattr(changed, field.name)
        if field.name == "task" or value == field.default:
            continue
        name = field.metadata["word"] or field.metadata["name"] or field.name
        words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    word = "-".join(str(value) if isinstance(value, str) else name for name, value in options.items())
    return shlex.join([*words, "--out", f"{folder}-{word}"])


def _lines(folder: Path, settings: Settings, found: "list[Finding]") -> list[tuple[str, list[str]]]:
    """What to do, and the commands for it; one for all that a new training changes, last."""
    own = ["--cell", settings.cell] if ":" in settings.cell else []
    lines: dict[str, list[str]] = {}
    merged: dict[str, Any] = {}
    alone = 0
    for each in found:
        for place, change in enumerate(each.changes):
            made = [command(settings, folder, change.options)] if change.options else []
            if change.resume is not None:
                line = ["gatedrnn", "train", "--resume", str(folder), "--steps", str(change.resume), *own]
                made = [shlex.join(line)]
            if change.options and place == 0:
                alone += change.says not in lines
                merged |= {name: value for name, value in change.options.items() if name not in merged}
            lines.setdefault(change.says, made)
    told = list(lines.items())
    if alone > 1:
        told = [(says, [] if any("--out" in line for line in made) else made) for says, made in told]
        told.append(("Together:", [command(settings, folder, merged)]))
    return told


def _print(
    folder: Path, trained: Trained, seed: int, headline: str, evidence: "Evidence", found: "list[Finding]"
) -> None:
    settings = trained.settings
    what = (
        f"{settings.task}, {settings.horizon:,} steps: {settings.cell}, {settings.init} init, {settings.hidden} units"
    )
    show(what + (f", seed {seed} of {settings.seeds}" if settings.seeds > 1 else ""))
    show(f"\n{headline}")
    if settings.seeds > 1:
        show(_of_all(trained))
    for each in found:
        show(f"\n{each.says}")
    print()
    show(_table(evidence))
    told = _lines(folder, settings, found)
    if evidence.made < settings.steps and evidence.course.place not in ("learned", "diverged"):
        own = ["--cell", settings.cell] if ":" in settings.cell else []
        line = shlex.join(["gatedrnn", "train", "--resume", str(folder), *own])
        told.append((f"{evidence.made:,} of {settings.steps:,} updates are made; unless it is under way:", [line]))
    if told:
        show("\nWhat to change")
    for says, commands in told:
        show(f"- {says}")
        for line in commands:
            print(f"  {line}")  # in one piece, to be copied


def _of_all(trained: Trained) -> str:
    """The last test loss of every seed."""
    last = {row.seed: row.test_loss for row in trained.rows}
    losses = ", ".join(f"{seed}: {loss:.3g}" for seed, loss in list(last.items())[:16])
    return f"Last test losses by seed: {losses}{', ...' if len(last) > 16 else ''}."


def _table(e: "Evidence") -> Table:
    from gatedrnn.train._numbers import brief, counted, power

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("measured of the weights", no_wrap=True)
    for name in ("first", "last"):
        table.add_column(name, justify="right", no_wrap=True)

    def row(name: str, value: Any, words: Any = brief, quiet: bool = False) -> None:
        values = [None if each is None else value(each) for each in (e.first, e.last)]
        if any(values) or (not quiet and any(each is not None for each in values)):
            table.add_row(name, *("-" if each is None else words(each) for each in values))

    lag = "" if e.lag is None else counted(e.lag, "step")
    row(f"gradient, {lag} back", lambda one: one.gradient, power)
    row("  to a thousandth, steps", lambda one: one.reach, lambda lag: brief(lag) if math.isfinite(lag) else "never")
    row("time scale, median", lambda one: one.scales and one.scales[0])
    row("  longest", lambda one: one.scales and one.scales[1])
    row("writable units", lambda one: one.units, str)
    row("  the best stands out by", lambda one: one.ratio)
    row("gradient norm", lambda one: one.norm)
    row("  above the clip", lambda one: None if e.clip is None else _share(one, e.clip), "{:.0%}".format)
    row("  mean / deviation, best", _best_signal)
    for name in e.first.saturated:
        row(f"{name} gate saturated", lambda one, name=name: one.saturated.get(name), "{:.0%}".format, quiet=True)
        row("  units at every step", lambda one, name=name: one.frozen.get(name), "{:.0%}".format, quiet=True)
    return table


def _share(one: "Measured", clip: float | None) -> float:
    return sum(clip is not None and norm > clip for norm in one.norms) / len(one.norms)


def _best_signal(one: "Measured") -> float | None:
    known = [value for value in one.signal.values() if value is not None]
    return max(known) if known else None


def _as_json(
    settings: Settings, seed: int, rows: list[Any], evidence: "Evidence", found: "list[Finding]"
) -> dict[str, Any]:
    measured = {name: one and one._asdict() for name, one in (("first", evidence.first), ("last", evidence.last))}
    known = {each.name: getattr(evidence, each.name) for each in dataclasses.fields(evidence)}
    return {
        "settings": dataclasses.asdict(settings),
        "seed": seed,
        "place": evidence.course.place,
        "findings": [each._asdict() | {"changes": [change._asdict() for change in each.changes]} for each in found],
        "evidence": known
        | measured
        | {"course": evidence.course._asdict(), "tried": [each._asdict() for each in evidence.tried]},
        "rows": [row._asdict() for row in rows],
    }
