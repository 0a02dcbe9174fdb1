"""What a diagnosis says to change, as lines of the command."""

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gatedrnn.cli._entrants import word_of
from gatedrnn.cli._settings import Settings

if TYPE_CHECKING:  # it imports jax
    from gatedrnn.train._evidence import Change, Evidence, Finding


class Advice(NamedTuple):
    """What to do, and the line that does it; "" where there is none."""

    says: str
    line: str


def advice(
    folder: Path, race: Path | None, settings: Settings, evidence: "Evidence", found: "list[Finding]"
) -> list[Advice]:
    """Every change once; where several are of a new training, one line for the first of each finding, last.

    Args:
        folder: of the training.
        race: that it is an entrant of, or None.
        settings: of the training.
        evidence: of one seed.
        found: the findings.
    """
    changes = {change.says: change for each in found for change in each.changes}
    first = {each.changes[0].says: each.changes[0] for each in found if each.changes and each.changes[0].options}
    together: dict[str, Any] = {}
    for change in first.values():
        together |= {name: value for name, value in change.options.items() if name not in together}
    line = lambda change: _line(folder, race, settings, change) if len(first) < 2 or not change.options else ""
    told = [Advice(says, line(change)) for says, change in changes.items()]
    if len(first) > 1:
        told.append(Advice("All of it:", trained(settings, _beside(folder, race, settings), together)))
    if evidence.made < settings.steps and evidence.course.place in ("untested", "plateau", "left"):
        says = f"{evidence.made:,} of {settings.steps:,} updates are made; to go on, where it is not under way:"
        told.append(Advice(says, resumed(folder, race, settings)))
    return told


def _line(folder: Path, race: Path | None, settings: Settings, change: "Change") -> str:
    options = dict(change.options)
    if change.resume is not None:
        if race is None:
            return resumed(folder, race, settings, change.resume)
        options["steps"] = change.resume  # a race goes on as it was begun
    return trained(settings, _beside(folder, race, settings), options) if options else ""


def _beside(folder: Path, race: Path | None, settings: Settings) -> Path:
    """What the folders of new trainings are named after."""
    place = folder if race is None else race
    place = place.resolve() if place.name in ("", "..") else place
    return place if race is None else place.with_name(f"{place.name}-{word_of(settings.cell)}")


def trained(settings: Settings, beside: Path, options: Mapping[str, Any]) -> str:
    """The line that trains the same with other options, in a folder of its own."""
    changed = dataclasses.replace(settings, **options)
    words = ["gatedrnn", "train", settings.task]
    for field in dataclasses.fields(changed):
        value = getattr(changed, field.name)
        if field.name not in ("task", "devices") and value != field.default:
            name = field.metadata["word"] or field.metadata["name"] or field.name
            words += [f"--{name.replace('_', '-')}", _word(value)]
    suffix = "-".join(value if isinstance(value, str) else name for name, value in options.items())
    return shlex.join([*words, "--out", f"{beside}-{suffix}"])


def resumed(folder: Path, race: Path | None, settings: Settings, steps: int | None = None) -> str:
    """The line that goes on, up to `steps` updates."""
    if race is not None:
        return shlex.join(["gatedrnn", "race", "--resume", str(race)])
    own = ["--cell", settings.cell] if ":" in settings.cell else []
    return shlex.join(["gatedrnn", "train", "--resume", str(folder), *(["--steps", str(steps)] if steps else []), *own])


def _word(value: Any) -> str:
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)
