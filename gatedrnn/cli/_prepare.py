"""What is made of the settings of a training: its task, its setup and the devices that share it."""

import contextlib
import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from gatedrnn._check import fail
from gatedrnn._cores import schedulable_cores
from gatedrnn._memory import machine_bytes, readable
from gatedrnn.cli._options import find_cell, split_column
from gatedrnn.cli._settings import GENERATED, Init, Settings

if TYPE_CHECKING:
    from gatedrnn import Cell
    from gatedrnn.tasks._units import Units


MOST = 64  # devices of a run that goes on, whatever cores there are
ROWS = 8  # of a batch that a device takes at least: with fewer, two can be slower than one


class Run(NamedTuple):
    """What `gr.train.fit` needs.

    Attributes:
        setup: a `gr.train.Setup`.
        mesh: devices that share the seeds; None for one device, or where they share the batch.
        params: weights to begin with; None for those that are drawn.
        about: what is said of the model beside the settings, as JSON.
    """

    setup: Any
    mesh: Any
    params: Any
    about: dict[str, Any]


def ask_for_devices(settings: Settings, begun: bool = False) -> None:
    """Loads JAX; before anything else does, a user's module for instance, which may put JAX to work."""
    import jax

    cores = schedulable_cores()
    wanted = _devices(settings, cores)
    if wanted > 1:
        with contextlib.suppress(RuntimeError):  # it is under way, with the devices that it has
            jax.config.update("jax_num_cpu_devices", min(wanted, max(cores, MOST) if begun else cores))


def shared(settings: Settings, begun: bool) -> Settings:
    """The settings with the number of devices that share the work, so that a run goes on elsewhere as it was begun.

    Where there are fewer cores than it was `begun` with, some serve several devices.
    """
    ask_for_devices(settings, begun)
    import jax

    return replace(settings, devices=_devices(settings, len(jax.devices())))


def _devices(settings: Settings, most: int) -> int:
    """How many share the work: as many as were asked for, or by default as many as gain by it."""
    if settings.devices is not None:
        return settings.devices
    return max(n for n in range(1, most + 1) if settings.seeds % n == 0 or _batch_gains(settings, n))


def _batch_gains(settings: Settings, count: int) -> bool:
    """Whether the batch can be split over devices, in parts that are worth it."""
    splits = settings.backward != "checkpointed" and settings.window is None and settings.batch % count == 0
    return splits and settings.batch // count >= ROWS


def inits_of(cell: "Cell") -> tuple[Init, ...]:
    """How its biases can begin, in a race."""
    return ("default", "chrono") if cell.horizon_option else ("default",)


def can_be_writable(cell: "Cell") -> bool:
    """Whether its `init` can make units writable."""
    return "writable" in inspect.signature(cell.init).parameters


def _cell_options(settings: Settings, cell: "Cell", width: int) -> dict[str, Any]:
    """What the initialisation is to `init`; of `writable`, a quarter of the units, shared by the inputs' features."""
    if settings.init == "chrono":
        return {cell.horizon_option: max(settings.horizon, 3)}
    if settings.init == "default":
        return {}
    from gatedrnn import initializers

    units = max(1, settings.hidden // (4 * width))
    if units * width > settings.hidden:
        got = f"{settings.hidden:,}, with {width:,} inputs for the init 'writable'"
        raise fail("hidden", "as many as there are inputs, at least", got)
    return {"writable": initializers.writable(units, max(settings.horizon, 3))}


def prepare(settings: Settings, begun: Any = None) -> Run:
    """Loads the library, asks for the devices, and makes the task and the setup.

    Args:
        settings: of the training.
        begun: the model whose weights it begins with, loaded.
    """
    ask_for_devices(settings)
    import jax
    import optax

    import gatedrnn as gr
    from gatedrnn.networks._layers import method_for

    devices = _devices(settings, len(jax.devices()))
    mesh = _mesh(devices) if devices > 1 else None
    cell = find_cell(settings.cell)
    if settings.init == "chrono" and not cell.horizon_option:
        raise fail("init", f"default for the cell {settings.cell}, which has no `horizon_option`", repr(settings.init))
    if settings.init == "writable" and not can_be_writable(cell):
        raise fail("init", f"{' or '.join(inits_of(cell))} for the cell {settings.cell}", repr(settings.init))
    methods = {"auto": gr.Auto, "segmented": gr.Segmented, "checkpointed": gr.Checkpointed, "autodiff": gr.Autodiff}
    method: Any = method_for(cell, methods[settings.backward]())
    if settings.window is not None:
        method = gr.Truncated(settings.window, method)
    share_seeds = mesh is not None and settings.seeds % mesh.size == 0
    if mesh is not None and not share_seeds:
        if settings.backward == "checkpointed" or settings.window is not None:
            raise fail("seeds", f"a number that {mesh.size} devices divide evenly, for this method", settings.seeds)
        if settings.batch % mesh.size:
            raise fail("batch", f"a number that {mesh.size} devices divide evenly", settings.batch)
        method = gr.Sharded(mesh, method=method)
    clip = settings.clip or None
    task, about = _task(settings)
    _check_memory(settings, task)
    setup = gr.train.Setup(
        task=task,
        cell=cell,
        horizon=settings.horizon,
        hidden_size=settings.hidden,
        batch=settings.batch,
        optimiser=gr.train.Optimiser(getattr(optax, settings.rule), settings.rate, clip),
        method=method,
        embedding_size=settings.embedding,
        cell_options=_cell_options(settings, cell, settings.embedding if task.symbols else task.input_size),
    )
    if begun is not None and begun.model != setup.model:
        sizes = lambda model: f"{model.input_size} inputs and {model.output_size} outputs"
        raise fail("from", f"a model with the {sizes(setup.model)} of the task {settings.task!r}", sizes(begun.model))
    return Run(setup, mesh if share_seeds else None, None if begun is None else begun.params, about)


def read_series(of: Any) -> Any:
    """The columns of an option `series`, by the options `delimiter`, `decimal` and `header` beside it, and their names.

    They are a pair of `values` and `names`.
    """
    from gatedrnn import tasks

    path, columns = split_column(str(of.series))
    return tasks.series.read_named(path, columns, delimiter=of.delimiter, decimal=of.decimal, header=of.header)


def read_standardised(of: Any, units: "Units") -> Any:
    """A model's columns as it reads them, float32 [N, C]: those that the option `series` names, or the training's.

    Raises:
        ValueError: there are not as many as the model has, a number is so large beside those of the training that it is
            no float32, or as `read_series` says.
    """
    import numpy as np

    values = np.asarray(_read_columns_of(of, units.names))
    with np.errstate(over="ignore"):
        found = units.scaled(values).astype(np.float32)
    lost = np.argwhere(~np.isfinite(found))
    if len(lost):
        row, column = map(int, lost[0])
        got = f"{values.reshape(found.shape)[row, column]:g} in {units.names[column]} at row {row:,}"
        raise fail("series", "numbers of the size of those that the model was trained on", got)
    return found


def _read_columns_of(of: Any, names: Sequence[str]) -> Any:
    """Their values, [N] or [N, C]."""
    path, columns = split_column(str(of.series))
    if columns is not None:
        values = read_series(of).values
        count = 1 if values.ndim == 1 else values.shape[1]
        if count != len(names):
            raise fail("series", f"{len(names)} columns, in the place of {', '.join(names)}", f"{count}")
        return values
    from gatedrnn import tasks

    return tasks.series.read_series(path, list(names), delimiter=of.delimiter, decimal=of.decimal, header=of.header)


def _check_memory(settings: Settings, task: Any) -> None:
    """Raises ValueError where not even the weights, with gradients and two moments, and the inputs fit in memory."""
    width = settings.embedding if task.symbols else task.input_size
    weights = settings.hidden * (settings.hidden + width) + (task.input_size * width if task.symbols else 0)
    need = 4 * settings.seeds * (4 * weights + settings.horizon * settings.batch * width)
    if need > machine_bytes():
        got = f"more than {readable(min(need, 10**100))}, on a machine with {readable(machine_bytes())}"
        raise ValueError(f"`hidden`, `horizon`, `batch` and `seeds` must fit in memory; got {got}.")


def _mesh(count: int) -> Any:
    import jax
    import numpy as np

    devices = jax.devices()
    if len(devices) < count:
        raise fail("devices", f"at most {len(devices)}, as many as there are", count)
    return jax.sharding.Mesh(np.array(devices[:count]), ("devices",))


def _task(settings: Settings) -> tuple[Any, dict[str, Any]]:
    """The task, and what is said of its data beside the weights."""
    from gatedrnn import tasks

    if settings.task in GENERATED:
        return getattr(tasks, settings.task.replace("-", "_")), {}
    if settings.task == "agreement":
        return tasks.agreement_with(settings.attractors, settings.differ), {}
    if settings.task == "series":
        return _series(settings)
    if settings.task == "text":
        data = tasks.text.help_text() if settings.text is None else tasks.text.read_text(settings.text)
        return tasks.text.prediction(data), {}
    return tasks.digits(permuted=settings.task == "permuted-digits"), {}


def _series(settings: Settings) -> tuple[Any, dict[str, Any]]:
    from gatedrnn import tasks
    from gatedrnn.tasks._columns import split_names

    values, names = read_series(settings)
    target = None if settings.predict is None else split_names(settings.predict, "predict")
    unknown = [name for name in target or () if name not in names]
    if unknown or len(set(target or ())) < len(target or ()):
        got = repr(unknown[0]) if unknown else f"{settings.predict!r}, with one twice"
        raise fail("predict", f"some of the columns {', '.join(map(repr, names[:20]))} of `series`", got)
    if settings.period is not None and settings.period > len(values) - len(values) // tasks.series.HELD_OUT:
        raise fail("period", "no longer than the part of the series that is not held out", f"{settings.period:,}")
    task = tasks.series.prediction(values, columns=names, target=target, period=settings.period)
    return task, {"columns": tasks.series.units(values, columns=names, target=target).described()}
