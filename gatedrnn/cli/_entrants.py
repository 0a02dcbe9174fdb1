"""What a race keeps while it runs, so that it can be gone on with: its settings, and a folder for each entrant.

entrants/run.json              the settings and the cells
entrants/2-gru-chrono/         checkpoints and metrics; entrant.json with the numbers, once it is done
"""

import contextlib
import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from gatedrnn._check import fail
from gatedrnn._files import LOCK, read_regular
from gatedrnn._output import whole_files, write_json
from gatedrnn.cli._fields import restored
from gatedrnn.cli._options import split_cells
from gatedrnn.cli._settings import LARGEST_JSON, Settings

FOLDER, RUN, DONE = "entrants", "run.json", "entrant.json"
NUMBERS = {"test_loss", "test_accuracy", "train_loss"}  # null where they are none


class Begun(NamedTuple):
    """A race: the settings that its entrants share, and the cells."""

    settings: Settings
    cells: list[str]

    def save(self, out: Path) -> None:
        """Writes it; what is killed from here on can be resumed."""
        with whole_files(out / FOLDER) as draft:
            write_json(draft / RUN, {"settings": asdict(self.settings), "cells": self.cells})

    @classmethod
    def load(cls, out: Path, argument: str = "resume") -> "Begun":
        """Reads it, from what the user calls `argument`.

        Raises:
            ValueError: it is missing, or is not what `save` wrote.
        """
        path = out / FOLDER / RUN
        try:
            record = json.loads(read_regular(path, LARGEST_JSON))
            if not isinstance(record, dict) or set(record) != {"settings", "cells"}:
                raise ValueError("other settings than those of a race")
            settings: Settings = restored(Settings, record["settings"])
            settings.check()
            cells = record["cells"]
            if not isinstance(cells, list) or not cells or split_cells(",".join(map(str, cells))) != cells:
                raise ValueError("other cells than those of a race")
        except OSError as error:
            raise fail(
                argument, "the folder of a race that was interrupted", f"{str(path)!r}: {error.strerror}"
            ) from None
        except (ValueError, RecursionError) as error:
            reason = str(error).removesuffix(".")
            raise fail(argument, "the folder of a race that was interrupted", f"{str(path)!r}: {reason}") from None
        return cls(settings, cells)


def place_of(out: Path, number: int, settings: Settings) -> Path:
    """The folder of an entrant; its number tells cells of one's own apart, whose names may be long."""
    return out / FOLDER / f"{number}-{word_of(settings.cell)}-{settings.init}"


def entrant_at(place: Path, begun: Begun) -> Settings | None:
    """The settings of the entrant whose folder that is, an absolute path; None where it is no entrant's.

    Entrants run one after another: those before it have their folders, which tell how many each cell has. So no cell
    of one's own is imported because a file names it.
    """
    number = 0
    for cell in begun.cells:
        for init in ("default", "chrono"):
            settings = replace(begun.settings, cell=cell, init=init)
            there = place_of(place.parent.parent, number, settings)
            if there == place:
                return settings
            number += init == "default" or there.is_dir()
    return None


def word_of(cell: str) -> str:
    """How a cell stands in the name of a folder."""
    return "".join(letter if letter.isalnum() else "-" for letter in cell)[:40]


def done(place: Path) -> dict[str, Any] | None:
    """The numbers of an entrant that is done.

    Raises:
        ValueError: they cannot be read.
    """
    path = place / DONE
    if not path.exists():
        return None
    try:
        found = json.loads(read_regular(path, 1000 * LARGEST_JSON))
        for row in found["rows"]:
            row |= {name: math.nan for name in NUMBERS if row[name] is None}
        for name in ("test_loss", "test_accuracy"):
            found[name] = [math.nan if value is None else value for value in found[name]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error).removesuffix(".")
        raise fail("resume", "the folder of a race whose entrants can be read", f"{str(path)!r}: {reason}") from None
    return found


def keep(place: Path, run: dict[str, Any]) -> None:
    """Writes the numbers of an entrant that is done."""
    with whole_files(place) as draft:
        write_json(draft / DONE, run)


def remove(out: Path) -> None:
    """Takes away what a race has kept, and nothing else that lies there."""
    from gatedrnn.train import _checkpoints

    for place in (out / FOLDER).glob("*/"):
        for step in _checkpoints.steps(place / "checkpoints"):
            _checkpoints.remove(place / "checkpoints", step)
        for unfinished in (place / "checkpoints").glob(".unfinished-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        for name in (DONE, "metrics.csv", LOCK):
            (place / name).unlink(missing_ok=True)
        for folder in (place / "checkpoints", place):
            with contextlib.suppress(OSError):  # something else is in it
                folder.rmdir()
    (out / FOLDER / RUN).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (out / FOLDER).rmdir()
