"""What is trained: a task, a model and an optimiser, as one value."""

import functools
import reprlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any

import jax
import numpy as np

from gatedrnn._cell import Cell
from gatedrnn._check import LARGEST, check_size, fail, shown
from gatedrnn._method import Method, check_method_value
from gatedrnn.methods.auto import Auto
from gatedrnn.models import Model
from gatedrnn.tasks import Task
from gatedrnn.train._described import transformation_in_words, words
from gatedrnn.train._optimiser import Optimiser, transformation_of

SIZES = ("batch", "hidden_size", "embedding_size")


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["task"],
    meta_fields=["cell", "horizon", "hidden_size", "batch", "optimiser", "method", "embedding_size", "cell_options"],
)
@dataclass(frozen=True)
class Setup:
    """A model, its task and its optimiser.

    Attributes:
        task: what is learned, one of `gr.tasks`.
        cell: the recurrence.
        horizon: T.
        hidden_size: H.
        batch: B, sequences per step.
        optimiser: an `Optimiser`, or any optax transformation. One object for equal setups: another is another program
            to the compiler. A checkpoint knows it by the names of its functions and the values they were made with;
            what is not compared is their code, and what they read from their modules.
        method: how gradients are computed; `Checkpointed()` for long horizons in little memory, `Sharded(mesh)` to
            split the batch over devices.
        embedding_size: width of the embedding where the task's inputs are symbols.
        cell_options: options of the cell's `init`, such as `{"chrono": 10_000}`. Arrays become tuples of numbers, so
            that equal setups are one to the compiler. With `{"dtype": "bfloat16"}` or `"float16"` the optimiser keeps
            the weights in float32 beside them.

    Raises:
        ValueError: a size is not a whole number of at least 1, the task cannot have that length, or a value cannot be
            hashed; the cell reads backwards, and the answers of the task are its later inputs.

    Example:
        >>> import gatedrnn as gr
        >>> setup = gr.train.Setup(gr.tasks.parity, gr.lstm, horizon=8, hidden_size=8, batch=4)
        >>> state, metrics = gr.train.step(setup, gr.train.init(setup, seeds=(0,)))
        >>> state.step.tolist(), metrics.loss.shape
        ([1], (1,))
    """

    task: Task
    cell: Cell
    horizon: int
    hidden_size: int = 32
    batch: int = 16
    optimiser: Any = Optimiser()
    method: Method = Auto()
    embedding_size: int = 32
    cell_options: Any = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.cell, Cell):
            raise fail("cell", "a `gatedrnn.Cell`, such as `gr.lstm`", reprlib.repr(self.cell))
        if not isinstance(self.task, Task):
            if isinstance(self.task, str) or callable(self.task):
                raise fail("task", "a `gatedrnn.tasks.Task`, such as `gr.tasks.adding`", reprlib.repr(self.task))
            return  # a transformation of pytrees puts what it likes in the place of data
        if self.task.ahead and not self.cell.causal:
            expected = (
                f"one that does not read backwards: the answers of the task {self.task.name!r} are its later inputs"
            )
            raise fail("cell", expected, repr(self.cell.name))
        found = {name: check_size(name, getattr(self, name), most=LARGEST) for name in SIZES}
        found["horizon"] = self.task.check_steps(check_size("horizon", self.horizon, most=LARGEST), "horizon")
        found["cell_options"] = _options(self.cell_options)
        transformation_of(self.optimiser)
        check_method_value(self.method)
        for name, value in found.items():
            object.__setattr__(self, name, value)

    @property
    def model(self) -> Model:
        """The model that the task asks for."""
        embedding = self.embedding_size if self.task.symbols else None
        return Model(self.cell, self.task.input_size, self.hidden_size, self.task.output_size, embedding)

    def describe(self) -> dict[str, Any]:
        """Everything that the numbers depend on, as JSON."""
        data = jax.tree.leaves((self.task.data, self.task.held_out_data))
        return {
            "task": self.task.name,
            "sample": repr(self.task.sample) if is_dataclass(self.task.sample) else None,
            "data": [f"{a.dtype}{list(a.shape)} {zlib.crc32(np.ascontiguousarray(a).tobytes()):08x}" for a in data],
            "cell": self.cell.name,
            "horizon": self.horizon,
            "hidden_size": self.hidden_size,
            "embedding_size": self.embedding_size if self.task.symbols else None,
            "batch": self.batch,
            "cell_options": {name: words(value) for name, value in self.cell_options},
            "optimiser": self._describe_optimiser(),
            "method": repr(self.method),
        }

    def _describe_optimiser(self) -> Any:
        if isinstance(self.optimiser, Optimiser):
            return {name: words(getattr(self.optimiser, name)) for name in ("rule", "learning_rate", "clip")}
        return transformation_in_words(self.optimiser)


def _options(options: Any) -> Any:
    """Sorted by name and hashable, the same however they were written."""
    pairs = options.items() if isinstance(options, Mapping) else options
    try:
        found = tuple(sorted((str(name), _plain(value)) for name, value in dict(pairs).items()))
        hash(found)
    except (TypeError, ValueError):
        raise fail("cell_options", "options of `init` by name, of values that can be hashed", shown(options)) from None
    return found


def _plain(value: Any) -> Any:
    """NumPy's and JAX's numbers as Python's own, their arrays and lists of numbers as tuples."""
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        value = np.asarray(value).tolist()
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value
