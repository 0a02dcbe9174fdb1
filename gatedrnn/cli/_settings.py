"""The settings of a training as the command line and `run.json` know them, and what is made of them."""

import contextlib
import dataclasses
import json
import math
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args

import typer

from gatedrnn._check import check_size, fail
from gatedrnn._memory import machine_bytes, readable
from gatedrnn._output import whole_files, write_json
from gatedrnn.cli._options import find_cells, number, split_column, whole

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
Text = Annotated[Path | None, typer.Option(help="The text task's UTF-8 file (default: Python's help text).")]
Series = Annotated[str | None, typer.Option(help="The series task's column of a CSV or NPY file: FILE[:COLUMN].")]
Embedding = Annotated[int, _size("Width of the embedding of symbols.")]
Attractors = Annotated[int, _size("Nouns between subject and verb, in the agreement task.")]
Differ = Annotated[
    float, typer.Option(parser=number, metavar="X", help="Share of those that differ from the subject in number.")
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


class Run(NamedTuple):
    """What `gr.train.fit` needs.

    Attributes:
        setup: a `gr.train.Setup`.
        mesh: devices that share the seeds; None for one device, or where they share the batch.
    """

    setup: Any
    mesh: Any


def prepare(settings: Settings) -> Run:
    """Loads the library, asks for the devices, and makes the task and the setup."""
    import jax

    if settings.devices > 1:
        with contextlib.suppress(RuntimeError):  # it is under way, with the devices that it has
            jax.config.update("jax_num_cpu_devices", min(settings.devices, os.cpu_count() or 1))
    import optax

    import gatedrnn as gr

    mesh = _mesh(settings.devices) if settings.devices > 1 else None
    (cell,) = find_cells(settings.cell)
    method: Any = {"segmented": gr.Segmented(), "checkpointed": gr.Checkpointed(), "autodiff": gr.Autodiff()}[
        settings.backward
    ]
    if settings.window is not None:
        method = gr.Truncated(settings.window)
    share_seeds = mesh is not None and settings.seeds % mesh.size == 0
    if mesh is not None and not share_seeds:
        if settings.backward == Backward.CHECKPOINTED or settings.window is not None:
            raise fail("seeds", f"a number that {mesh.size} devices divide evenly, for this method", settings.seeds)
        if settings.batch % mesh.size:
            raise fail("batch", f"a number that {mesh.size} devices divide evenly", settings.batch)
        method = gr.Sharded(mesh, method=method)
    clip = settings.clip or None
    setup = gr.train.Setup(
        task=_task(settings),
        cell=cell,
        horizon=settings.horizon,
        hidden_size=settings.hidden,
        batch=settings.batch,
        optimiser=gr.train.Optimiser(getattr(optax, settings.rule), settings.rate, clip),
        method=method,
        embedding_size=settings.embedding,
        cell_options={"chrono": max(settings.horizon, 3)} if settings.init == Init.CHRONO else {},
    )
    _check_memory(settings, setup.task)
    return Run(setup, mesh if share_seeds else None)


def _check_memory(settings: Settings, task: Any) -> None:
    """Raises ValueError where not even the weights, with gradients and two moments, and the inputs fit in memory."""
    width = settings.embedding if task.symbols else task.input_size
    weights = settings.hidden * (settings.hidden + width) + (task.input_size * width if task.symbols else 0)
    need = 4 * settings.seeds * (4 * weights + settings.horizon * settings.batch * width)
    if need > machine_bytes():
        got = f"more than {readable(min(need, 10**100))}, on a machine with {readable(machine_bytes())}"
        raise ValueError(f"`hidden`, `horizon`, `batch` and `seeds` must fit in memory; got {got}.")


def on_file(series: str | None) -> str | None:
    """FILE[:COLUMN] with the file's whole path, so that a training can be resumed from any folder."""
    if series is None:
        return None
    path, column = split_column(series)
    return os.path.abspath(path) + ("" if column is None else f":{column}")


def _mesh(count: int) -> Any:
    import jax
    import numpy as np

    devices = jax.devices()
    if len(devices) < count:
        raise fail("devices", f"at most {len(devices)}, as many as there are", count)
    return jax.sharding.Mesh(np.array(devices[:count]), ("devices",))


def _task(settings: Settings) -> Any:
    from gatedrnn import tasks

    if settings.task in GENERATED:
        return getattr(tasks, GENERATED[settings.task])
    if settings.task == "agreement":
        return tasks.agreement_with(settings.attractors, settings.differ)
    if settings.task == "series":
        path, column = split_column(str(settings.series))
        return tasks.series.prediction(tasks.series.read_series(path, column))
    if settings.task == "text":
        data = tasks.text.help_text() if settings.text is None else tasks.text.read_text(settings.text)
        return tasks.text.prediction(data)
    return tasks.digits(permuted=settings.task == "permuted-digits")
