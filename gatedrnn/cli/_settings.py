"""The settings of a training, each declared once, for the options of `train` and `race` and for `run.json`."""

import dataclasses
import json
import math
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from gatedrnn._check import fail
from gatedrnn._files import read_regular
from gatedrnn._output import whole_files, write_json
from gatedrnn._registry import CELLS
from gatedrnn.cli._fields import check_fields, one_of, option, restored, size
from gatedrnn.cli._options import check_cell, complete_cell, complete_devices, name_of_file, path_of, split_column

GENERATED = (
    *("adding", "adding-1997", "anbn", "copy", "delayed-recall", "noisy-latch", "parity"),
    *("temporal-order", "temporal-order-3", "variable-copy"),
)
TASKS = sorted([*GENERATED, "agreement", "digits", "permuted-digits", "series", "text"])
COUNTED = END_OF_SEEDS = 2**31 - 1  # int32, in which steps are counted
LARGEST_JSON = 1_000_000  # bytes
SMALLEST, LARGEST = 2.0**-126, 2.0**128 - 2.0**104  # of float32, below which XLA has zero


DELIMITER = "Between a CSV file's fields, where it is in doubt: a character, or comma, semicolon, tab, space or pipe."
DECIMAL = "Its decimal mark: . or ,"
HEADER = "Its lines in front of the first row of numbers."
COLUMNS = "FILE[:COLUMN[,...]]"
Init = Literal["default", "chrono", "writable"]


def _rate(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise fail(name, "a positive finite number", value)
    _held(name, value)


def zero_or_held(name: str, value: float) -> None:
    """Refuses what is negative, infinite, or another number in float32."""
    if not 0 <= value < math.inf:
        raise fail(name, "a finite number of at least 0", value)
    if value:
        _held(name, value)


def _held(name: str, value: float) -> None:
    if not SMALLEST <= value <= LARGEST:
        raise fail(name, f"a number that float32 holds, from {SMALLEST:.2g} to {LARGEST:.2g}", value)


def _finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise fail(name, "a finite number", value)


def _on_file(text: str) -> str:
    """The whole path of a file, so that a training can be resumed from any folder."""
    return str(path_of(text).absolute())


def _column_on_file(text: str) -> str:
    """The same of FILE[:COLUMN]."""
    path, column = split_column(name_of_file(text))
    return os.path.abspath(path) + ("" if column is None else f":{column}")


@dataclass(frozen=True)
class Settings:
    """One training, in words and numbers."""

    task: str = option(
        "",
        f"One of {', '.join(TASKS)}.",
        make=typer.Argument,
        show_default=False,
        check=one_of(TASKS),
        autocompletion=lambda: TASKS,
    )
    cell: str = option(
        "lstm",
        f"{', '.join(CELLS)}, a network such as 'stack(gru, gru)', or MODULE:CELL of your own.",
        check=check_cell,
        autocompletion=complete_cell,
    )
    init: Init = option(
        "default", "chrono: gate biases drawn for the horizon; writable: units that single inputs write, and that last."
    )
    horizon: int = option(1_000, "Time steps, T.", check=size())
    hidden: int = option(32, "Hidden units.", check=size())
    batch: int = option(16, "Sequences per update.", check=size())
    steps: int = option(1_000, "Updates in all.", check=size(most=COUNTED))
    seeds: int = option(1, "Models trained at once, from different seeds.", check=size(most=1_000))
    first_seed: int = option(0, "The first seed.", name="seed", check=size(least=0))
    rule: Literal["adam", "rmsprop", "sgd"] = option("adam", "The optimiser.")
    rate: float = option(1e-2, "Learning rate.", check=_rate)
    clip: float = option(1.0, "Largest norm of a gradient; 0: no clipping.", check=zero_or_held)
    target: float | None = option(None, "Stop when every seed's test loss is this low.", check=_finite)
    test_every: int = option(50, "Updates between tests.", check=size(most=COUNTED))
    test_batches: int = option(4, "Batches of held-out data per test.", check=size(most=1_000_000))
    backward: Literal["auto", "segmented", "checkpointed", "autodiff"] = option(
        "auto", "How gradients are computed; segments need a cell in three functions.", name="method"
    )
    window: int | None = option(None, "Truncate the backward pass to windows of N steps.", check=size(most=COUNTED))
    devices: int | None = option(
        None,
        "Devices (on a CPU: cores) that share the seeds, or else the batch; by default all that gain by it.",
        check=size(),
        autocompletion=complete_devices,
    )
    text: str | None = option(
        None,
        "The text task's UTF-8 file (default: Python's help text).",
        only="text",
        parser=_on_file,
        metavar="FILE",
    )
    series: str | None = option(
        None,
        "The series task's columns of a CSV, NPY, NPZ or Parquet file; quotes around a name with a comma.",
        only="series",
        parser=_column_on_file,
        metavar=COLUMNS,
    )
    predict: str | None = option(
        None, "Those of its columns that are predicted (default: all).", only="series", metavar="COLUMN[,...]"
    )
    period: int | None = option(
        None, "Its period, for the seasonal baseline (default: found).", only="series", check=size(most=COUNTED)
    )
    delimiter: str | None = option(None, DELIMITER, only="series", metavar="MARK")
    decimal: str | None = option(None, DECIMAL, only="series", metavar="MARK")
    header: int | None = option(None, HEADER, only="series", check=size(0, COUNTED))
    embedding: int = option(32, "Width of the embedding of symbols.", check=size())
    from_model: str | None = option(
        None,
        "Begin with the weights of this model, a folder or .safetensors file; its cell and sizes follow.",
        word="from",
        parser=_on_file,
        metavar="MODEL",
    )
    attractors: int = option(
        2, "Nouns between subject and verb, in the agreement task.", only="agreement", check=size(0, COUNTED)
    )
    differ: float = option(0.5, "Share of those that differ from the subject in number.", only="agreement")

    @property
    def numbers(self) -> range:
        """The seeds."""
        return range(self.first_seed, self.first_seed + self.seeds)

    @property
    def inputs(self) -> dict[str, str]:
        """The files that are read, by their options."""
        series = None if self.series is None else split_column(self.series)[0]
        begun = self.from_model
        if begun is not None and os.path.isdir(begun):
            begun = os.path.join(begun, "model.safetensors")
        found = (("text", self.text), ("series", series), ("from", begun))
        return {name: path for name, path in found if path is not None}

    def check(self, given: Collection[str] = ()) -> None:
        """Raises ValueError for what can be refused before anything is loaded.

        Args:
            given: the options on the command line.
        """
        check_fields(self, self.task, given)
        if self.first_seed + self.seeds > END_OF_SEEDS:
            raise fail("seed", f"at most {END_OF_SEEDS - self.seeds:,}", f"{self.first_seed:,}")
        if self.window is not None and self.backward not in ("auto", "segmented"):
            got = f"{self.window}, beside the method {self.backward!r}"
            raise fail(
                "window", "left out, or the method be 'auto' or 'segmented', whose backward pass it truncates", got
            )
        if self.task == "series" and self.series is None:
            raise fail("series", "given for the task 'series': FILE[:COLUMN]", "nothing")

    def save(self, folder: Path) -> None:
        """Writes `run.json`."""
        with whole_files(folder) as draft:
            write_json(draft / "run.json", dataclasses.asdict(self))

    @classmethod
    def load(cls, folder: Path, argument: str = "resume") -> "Settings":
        """Reads `run.json`, from the folder that the user calls `argument`.

        Raises:
            ValueError: it is missing or is not what `save` wrote.
        """
        path = folder / "run.json"
        try:
            settings: Settings = restored(cls, json.loads(read_regular(path, LARGEST_JSON)))
            settings.check()
        except OSError as error:
            raise fail(argument, "the folder of a training", f"{str(path)!r}: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise fail(argument, "the folder of a training", f"{str(path)!r}: {str(error).removesuffix('.')}") from None
        return settings
