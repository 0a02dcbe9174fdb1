"""A folder that `train` or an entrant of `race` has left or is writing: settings, last checkpoint, rows."""

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gatedrnn._check import fail
from gatedrnn._files import named, read_regular
from gatedrnn.cli._begun import check_begun
from gatedrnn.cli._entrants import FOLDER, RUN, Begun, entrant_at
from gatedrnn.cli._prepare import prepare
from gatedrnn.cli._settings import Settings

TRIES = 5  # of reading a checkpoint that the trainer may be taking away


@dataclass(frozen=True)
class Trained:
    """One training.

    Attributes:
        settings: its options.
        setup: a `gr.train.Setup`.
        first: the state before the first update, [S, ...].
        state: that of the last checkpoint.
        rows: all tests.
    """

    settings: Settings
    setup: Any
    first: Any
    state: Any
    rows: list[Any]


def settings_of(folder: Path, cell: str | None) -> tuple[Settings, Path | None]:
    """What was begun in a folder; and the race that it is an entrant of, or None.

    Args:
        folder: of a training, or of an entrant of a race that is under way.
        cell: MODULE:CELL as it was typed, where the cell is the user's: what a file names is not imported.

    Raises:
        ValueError: it is none, or the cell is not the one.
    """
    if not folder.is_dir():
        raise fail("folder", "the folder of a training", f"{named(folder)}, which is none")
    entrants, race = folder.absolute().parent, None
    if not (folder / "run.json").exists() and entrants.name == FOLDER and (entrants / RUN).exists():
        race = folder.parent.parent if folder.parent.name == FOLDER else entrants.parent
        settings = _entrant(folder.absolute(), Begun.load(race, "folder"))
    else:
        _check_no_race(folder)
        settings = Settings.load(folder, "folder")
    own = ":" in settings.cell
    if cell is not None and not own:
        raise fail("cell", f"left out: the cell is {settings.cell}", repr(cell))
    if own and cell != settings.cell:
        got = "nothing" if cell is None else repr(cell)
        raise fail("cell", f"given as it was when this training was begun, {settings.cell!r}", got)
    return settings, race


def _entrant(folder: Path, begun: Begun) -> Settings:
    """The race's settings with the cell and the initialisation of the entrant."""
    found = entrant_at(folder, begun)
    if found is None:
        raise fail("folder", f"that of an entrant of {', '.join(begun.cells)}", named(folder))
    return found


def _check_no_race(folder: Path) -> None:
    """Raises ValueError for that of a race, which has those of its entrants while it runs, and none at its end."""
    if (folder / "run.json").exists():
        return
    entrants = [folder / FOLDER / path.name for path in sorted((folder / FOLDER).glob("*/"))]
    if entrants:
        raise fail("folder", f"one of a race's entrants, such as {str(entrants[0])!r}", f"the race {named(folder)}")
    if (folder / "race.json").exists():
        got = f"that of a race that has ended, {named(folder)}, which keeps no weights"
        raise fail("folder", "the folder of a training", got)


def read(folder: Path, settings: Settings) -> Trained:
    """The training in a folder, whose settings are known. Takes no lock, and writes nothing.

    Raises:
        ValueError: there is no checkpoint, or it is damaged or of another version; a file of data has moved or changed.
    """
    one = replace(settings, devices=1)
    if settings.from_model is not None:
        _, begun = check_begun(one, ("cell",) if ":" in one.cell else ())
        run = prepare(one, begun)
    else:
        run = prepare(one)
    import jax
    import numpy as np

    import gatedrnn as gr
    from gatedrnn.train._about import digest
    from gatedrnn.train._checkpoints import Checkpoints

    first = gr.train.init(run.setup, settings.numbers, run.params)
    described = run.setup.describe() | {"seeds": list(settings.numbers)}
    del described["method"]  # which names the devices; numbers are the same but for rounding
    if run.params is not None:
        described["params"] = digest(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(run.params)))
    restored = None
    for left in reversed(range(TRIES)):
        try:
            checkpoints = Checkpoints(folder / "checkpoints", described, None)
            latest = checkpoints.latest
            restored = checkpoints.restore(first)
            break
        except ValueError:
            if not left or checkpoints.latest == latest:
                raise
    assert restored is not None
    return Trained(settings, run.setup, first, restored.state, _rows(folder, restored, settings.numbers))


def _rows(folder: Path, restored: Any, seeds: Iterable[int]) -> list[Any]:
    """Those of the checkpoint, and what the metrics have since then."""
    path = None if restored.metrics is None else folder / restored.metrics
    if path is None or not path.is_file():
        return list(restored.rows)
    try:
        text = read_regular(path, 2**31).decode()
        whole = text[: text.rfind("\n") + 1]  # the last may be half
        return _later(restored.rows, whole, path.suffix == ".csv", seeds)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error).removesuffix(".")
        raise fail("folder", "one whose metrics can be read", f"{named(path)}: {reason}") from None


def _later(rows: list[Any], text: str, table: bool, seeds: Iterable[int]) -> list[Any]:
    from gatedrnn.train import Row

    lines = list(csv.DictReader(io.StringIO(text))) if table else [json.loads(line) for line in text.splitlines()]
    number = lambda value: math.nan if value is None else float(value)
    found = [
        Row(int(line["step"]), int(line["seed"]), *(number(line[name]) for name in Row._fields[2:])) for line in lines
    ]
    if [(row.step, row.seed) for row in found[: len(rows)]] != [(row.step, row.seed) for row in rows]:
        return list(rows)  # those of another run
    later, last = [], dict.fromkeys(seeds, rows[-1].step if rows else 0)
    for row in found[len(rows) :]:
        if row.step > last.get(row.seed, math.inf):  # of a seed of this run, and no test of it twice
            last[row.seed] = row.step
            later.append(row)
    return [*rows, *later]
