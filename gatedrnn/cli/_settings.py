"""The settings of a training as the command line and `run.json` know them."""

import dataclasses
import json
import math
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from gatedrnn._check import check_size, fail
from gatedrnn._output import whole_files, write_json
from gatedrnn.cli._options import name_of_file, number, path_of, split_column, whole

GENERATED = {
    "adding": "adding",
    "adding-1997": "adding_1997",
    "anbn": "anbn",
    "copy": "copy",
    "delayed-recall": "delayed_recall",
    "noisy-latch": "noisy_latch",
    "parity": "parity",
    "temporal-order": "temporal_order",
    "temporal-order-3": "temporal_order_3",
    "variable-copy": "variable_copy",
}
TASKS = sorted([*GENERATED, "agreement", "digits", "permuted-digits", "series", "text"])
STEPS = 1_000
MOST_SEEDS = 1_000
MOST_BATCHES = 1_000_000  # per test
END_OF_SEEDS = 2**31 - 1
SMALLEST, LARGEST = 2.0**-126, 2.0**128 - 2.0**104  # of float32, below which XLA has zero
ATTRACTORS, DIFFER = 2, 0.5  # of the agreement task, where nothing is said


class Init(StrEnum):
    """How the cell's biases begin."""

    DEFAULT = "default"
    CHRONO = "chrono"


class Rule(StrEnum):
    """The optax rule."""

    ADAM = "adam"
    RMSPROP = "rmsprop"
    SGD = "sgd"


class Backward(StrEnum):
    """How gradients are computed."""

    SEGMENTED = "segmented"
    CHECKPOINTED = "checkpointed"
    AUTODIFF = "autodiff"


def _size(text: str) -> Any:
    return typer.Option(parser=whole, metavar="N", help=text)


Task = Annotated[str | None, typer.Argument(help=f"One of {', '.join(TASKS)}.")]
Horizon = Annotated[int, _size("Time steps, T.")]
Hidden = Annotated[int, _size("Hidden units.")]
Batch = Annotated[int, _size("Sequences per update.")]
Steps = Annotated[int | None, _size("Updates in all (1000).")]
Seeds = Annotated[int, _size("Models trained at once, from different seeds.")]
FirstSeed = Annotated[int, _size("The first seed.")]
RuleOption = Annotated[Rule, typer.Option(help="The optimiser.")]
Rate = Annotated[float, typer.Option(parser=number, metavar="X", help="Learning rate.")]
Clip = Annotated[float, typer.Option(parser=number, metavar="X", help="Largest norm of a gradient; 0: no clipping.")]
Target = Annotated[
    float | None, typer.Option(parser=number, metavar="X", help="Stop when every seed's test loss is this low.")
]
TestEvery = Annotated[int, _size("Updates between tests.")]
TestBatches = Annotated[int, _size("Batches of held-out data per test.")]
BackwardOption = Annotated[Backward, typer.Option(help="How gradients are computed.")]
Window = Annotated[int | None, _size("Truncate the backward pass to windows of N steps.")]
Devices = Annotated[int, _size("Devices (on a CPU: cores) that share the seeds, or else the batch.")]
Text = Annotated[
    Path | None,
    typer.Option(parser=path_of, metavar="FILE", help="The text task's UTF-8 file (default: Python's help text)."),
]
Series = Annotated[
    str | None,
    typer.Option(parser=name_of_file, metavar="FILE[:COLUMN]", help="The series task's column of a CSV or NPY file."),
]
Embedding = Annotated[int, _size("Width of the embedding of symbols.")]
Attractors = Annotated[int | None, _size(f"Nouns between subject and verb, in the agreement task ({ATTRACTORS}).")]
Differ = Annotated[
    float | None,
    typer.Option(parser=number, metavar="X", help=f"Share of those that differ from the subject in number ({DIFFER})."),
]


@dataclass(frozen=True)
class Settings:
    """One training, in words and numbers."""

    task: str
    cell: str
    init: str
    horizon: int
    hidden: int
    batch: int
    steps: int
    seeds: int
    first_seed: int
    rule: str
    rate: float
    clip: float
    target: float | None
    test_every: int
    test_batches: int
    backward: str
    window: int | None
    devices: int
    text: str | None
    series: str | None
    embedding: int
    attractors: int
    differ: float

    @property
    def numbers(self) -> range:
        """The seeds."""
        return range(self.first_seed, self.first_seed + self.seeds)

    def check(self) -> None:
        """Raises ValueError for what can be refused before anything is loaded."""
        from gatedrnn.models import CELLS

        choices = {"task": TASKS, "cell": CELLS, "init": Init, "rule": Rule, "backward": Backward}
        for name, known in choices.items():
            if getattr(self, name) not in list(known):
                raise fail(name, f"one of {', '.join(known)}", repr(getattr(self, name)))
        sizes = ("horizon", "hidden", "batch", "steps", "seeds", "test_every", "test_batches", "devices", "embedding")
        for name in sizes:
            check_size(name.replace("_", "-"), getattr(self, name))
        if self.window is not None:
            check_size("window", self.window)
        check_size("seed", self.first_seed, least=0)
        if self.seeds > MOST_SEEDS:
            raise fail("seeds", f"at most {MOST_SEEDS:,}", f"{self.seeds:,}")
        if self.test_batches > MOST_BATCHES:
            raise fail("test-batches", f"at most {MOST_BATCHES:,}", f"{self.test_batches:,}")
        if self.first_seed + self.seeds > END_OF_SEEDS:
            raise fail("seed", f"at most {END_OF_SEEDS - self.seeds:,}", f"{self.first_seed:,}")
        if not 0 < self.rate < math.inf:
            raise fail("rate", "a positive finite number", self.rate)
        if not 0 <= self.clip < math.inf:
            raise fail("clip", "a finite number of at least 0", self.clip)
        for name in ("rate", "clip"):
            if getattr(self, name) and not SMALLEST <= getattr(self, name) <= LARGEST:
                holds = f"a number that float32 holds, from {SMALLEST:.2g} to {LARGEST:.2g}"
                raise fail(name, holds, getattr(self, name))
        if self.target is not None and not math.isfinite(self.target):
            raise fail("target", "a finite number", self.target)
        for option, task in (("text", "text"), ("series", "series")):
            if getattr(self, option) is not None and self.task != task:
                raise fail(option, f"left out: the task {self.task!r} reads no file", getattr(self, option))
        if self.task == "series" and self.series is None:
            raise fail("series", "given for the task 'series': FILE[:COLUMN]", "nothing")
        if self.cell == "rnn" and self.init == Init.CHRONO:
            raise fail("init", "default for the cell rnn, which has no gate", repr(str(self.init)))

    def save(self, folder: Path) -> None:
        """Writes `run.json`."""
        with whole_files(folder) as draft:
            write_json(draft / "run.json", dataclasses.asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "Settings":
        """Reads `run.json`.

        Raises:
            ValueError: it is missing or is not what `save` wrote.
        """
        path = folder / "run.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(found, dict) or set(found) != {field.name for field in dataclasses.fields(cls)}:
                raise ValueError("other settings than those of a training")
            settings = cls(**found)
            settings._check_types()
            settings.check()
        except OSError as error:
            raise fail("resume", "the folder of a training", f"{str(path)!r}: {error.strerror}") from None
        except (TypeError, ValueError, RecursionError) as error:
            raise fail("resume", "the folder of a training", f"{str(path)!r}: {str(error).removesuffix('.')}") from None
        return settings

    def _check_types(self) -> None:
        """Raises TypeError where a value is not of its field's type, as it cannot be on the command line."""
        for field in dataclasses.fields(self):
            value, kinds = getattr(self, field.name), get_args(field.type) or (field.type,)
            if isinstance(value, bool) or not isinstance(value, (*kinds, int) if float in kinds else kinds):
                raise TypeError(f"`{field.name}` must be {' or '.join(kind.__name__ for kind in kinds)}; got {value!r}")


def on_file(series: str | None) -> str | None:
    """FILE[:COLUMN] with the file's whole path, so that a training can be resumed from any folder."""
    if series is None:
        return None
    path, column = split_column(series)
    return os.path.abspath(path) + ("" if column is None else f":{column}")


def of_agreement(task: str, attractors: int | None, differ: float | None) -> tuple[int, float]:
    """The two options of the agreement task, filled in where they are left out, as they must be for other tasks."""
    for name, value in (("attractors", attractors), ("differ", differ)):
        if value is not None and task != "agreement" and task in TASKS:
            raise fail(name, f"left out: the task {task!r} has no sentences", value)
    return ATTRACTORS if attractors is None else attractors, DIFFER if differ is None else differ
