"""`gatedrnn diagnose`: why a training is on its plateau, above it or off it, and what to change."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from gatedrnn._check import fail
from gatedrnn._output import check_free, check_writable, whole_files, write_json
from gatedrnn._words import counted
from gatedrnn.cli._advice import Advice, advice
from gatedrnn.cli._app import app
from gatedrnn.cli._console import show
from gatedrnn.cli._fields import option, size, with_options
from gatedrnn.cli._measuring import measuring
from gatedrnn.cli._options import find_cell, in_words, path_of
from gatedrnn.cli._prepare import ask_for_devices, can_be_writable, prepare
from gatedrnn.cli._settings import END_OF_SEEDS
from gatedrnn.cli._trained import Trained, read, settings_of

if TYPE_CHECKING:  # the library imports jax: only once a command runs
    from gatedrnn.train._evidence import Evidence, Finding
    from gatedrnn.train._measured import Measured

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
    """Say why a training is on its plateau, far above it, left it, diverged or stopped too early, and what to change.

    Reads the last whole checkpoint and the tests, and measures the first and the last weights on batches of the
    training's own task. The training may still be under way: it is not disturbed.
    """
    settings, race = settings_of(folder, cell)
    if of_seed is not None and of_seed not in settings.numbers:
        known = ", ".join(map(str, list(settings.numbers)[:8]))
        raise fail("of-seed", f"one of {known}", of_seed)
    if record is not None:
        if record.is_dir():
            raise fail("json", "a file that can be written to", f"the folder {str(record)!r}")
        if record.exists() and record.resolve().is_relative_to((race or folder).resolve()):
            raise fail("json", "apart from `folder`, which is only read", repr(str(record)))
        check_free("json", [record], settings.inputs, force)
        check_writable(record.parent, "json")
    ask_for_devices(dataclasses.replace(settings, devices=1))
    trained = read(folder, settings)
    from gatedrnn.train._diagnose import median_seed
    from gatedrnn.train._diagnosis import findings
    from gatedrnn.train._evidence import foretold, headline

    seed = of_seed if of_seed is not None else median_seed(trained.rows) if trained.rows else settings.first_seed
    evidence = _evidence(trained, seed)
    found = findings(evidence)
    told = advice(folder, race, settings, evidence, found)
    if record is not None:
        with whole_files(record.parent, "json") as draft:
            write_json(draft / record.name, _as_json(trained, seed, evidence, found, told))
    _print(trained, seed, " ".join(filter(None, (headline(evidence), foretold(evidence)))), evidence, found)
    _print_advice(told)
    if record is not None:
        print(f"wrote {record}")


def _evidence(trained: Trained, seed: int) -> "Evidence":
    import jax

    from gatedrnn.train._diagnose import evidence

    settings, place = trained.settings, trained.settings.numbers.index(seed)
    of_one = lambda state: jax.tree.map(lambda a: a[place : place + 1], state)
    others = (  # prepared one by one, where they are asked for
        (options, prepare(dataclasses.replace(settings, **options, devices=1)).setup) for options in _others(trained)
    )
    with measuring("diagnose") as on_measure:
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
            others=others,
            on_measure=on_measure,
        )


def _others(trained: Trained) -> list[dict[str, Any]]:
    """What else could be begun with: other initialisations, or another cell where this one has none for a horizon."""
    from gatedrnn.tasks._marks import MARKED

    settings, setup = trained.settings, trained.setup
    if settings.from_model is not None or (not setup.task.at_end and setup.task.ahead):
        return []
    width = settings.embedding if setup.task.symbols else setup.task.input_size
    base = {} if setup.cell.horizon_option else {"cell": INSTEAD}
    cell = find_cell(base.get("cell", settings.cell))
    inits = ["chrono"]
    if setup.task.name in MARKED and can_be_writable(cell) and width <= settings.hidden:
        inits.append("writable")
    return [base | {"init": init} for init in inits if base or init != settings.init]


def _print(trained: Trained, seed: int, headline: str, evidence: "Evidence", found: "list[Finding]") -> None:
    settings = trained.settings
    sizes = counted(settings.horizon, "step"), counted(settings.hidden, "unit")
    what = f"{settings.task}, {sizes[0]}: {settings.cell}, {settings.init} init, {sizes[1]}"
    show(what + (f"; seed {seed} of {settings.seeds}" if settings.seeds > 1 else ""))
    show(f"\n{headline}")
    if trained.setup.task.baselines:
        show(f"Test loss without a model: {in_words(trained.setup.task.baselines)}.")
    if settings.seeds > 1:
        show(_of_all(trained))
    for each in found:
        show(f"\n{each.says}")
    print()
    show(_table(evidence))


def _print_advice(told: list[Advice]) -> None:
    if told:
        show("\nWhat to change")
    for each in told:
        show(f"- {each.says}")
        if each.line:
            print(f"  {each.line}")  # in one piece, to be copied


def _of_all(trained: Trained) -> str:
    """The last test loss of every seed."""
    last = {row.seed: row.test_loss for row in trained.rows}
    losses = ", ".join(f"{seed}: {loss:.3g}" for seed, loss in list(last.items())[:16])
    return f"Last test losses by seed: {losses}{', ...' if len(last) > 16 else ''}."


def _table(e: "Evidence") -> Table:
    from gatedrnn.train._numbers import brief, power

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
    trained: Trained, seed: int, evidence: "Evidence", found: "list[Finding]", told: list[Advice]
) -> dict[str, Any]:
    known = {each.name: getattr(evidence, each.name) for each in dataclasses.fields(evidence)}
    known |= {name: one and one._asdict() for name, one in (("first", evidence.first), ("last", evidence.last))}
    known |= {"course": evidence.course._asdict(), "tried": [each._asdict() for each in evidence.tried]}
    if evidence.forecast is not None:
        known["forecast"] = evidence.forecast._asdict() | {"signs": evidence.forecast.signs._asdict()}
    return {
        "settings": dataclasses.asdict(trained.settings),
        "seed": seed,
        "findings": [{"name": each.name, "says": each.says} for each in found],
        "advice": [each._asdict() for each in told],
        "evidence": known,
        "rows": [row._asdict() for row in trained.rows],
    }
