"""What is trained, and how one step does it: pure functions over a state.

state = init(setup, seeds)                  one leading axis [S] on everything, one row per seed
state, metrics = step(setup, state)         a fresh batch, its gradient, one update
"""

import functools
import reprlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._check import check_size, fail
from gatedrnn._method import Method
from gatedrnn.methods.segmented import Segmented
from gatedrnn.models import Model, ModelParams
from gatedrnn.tasks import Task
from gatedrnn.train._described import transformation_in_words, words
from gatedrnn.train._losses import Metrics, evaluate

TEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Optimiser:
    """An optax rule behind clipping by the global norm; equal values are one optimiser to the compiler.

    Attributes:
        rule: an optax function of the learning rate, such as `optax.adam` or `optax.rmsprop`.
        learning_rate: a number, or an optax schedule.
        clip: the largest norm of a gradient; None for no clipping.

    Raises:
        ValueError: a number is not positive and finite.
    """

    rule: Callable[..., optax.GradientTransformation] = optax.adam
    learning_rate: float | Callable[[Any], Any] = 1e-2
    clip: float | None = 1.0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "clip"):
            value = getattr(self, name)
            if value is not None and not callable(value) and not 0 < value < float("inf"):
                raise fail(name, "a positive finite number", value)

    @property
    def transformation(self) -> optax.GradientTransformation:
        """The optax transformation."""
        rule = self.rule(self.learning_rate)
        return rule if self.clip is None else optax.chain(optax.clip_by_global_norm(self.clip), rule)

    def init(self, params: Any) -> Any:
        return self.transformation.init(params)

    def update(self, gradients: Any, state: Any, params: Any) -> tuple[Any, Any]:
        return self.transformation.update(gradients, state, params)


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
        cell_options: options of the cell's `init`, such as `{"chrono": 10_000}`.

    Raises:
        ValueError: a size is not a whole number of at least 1, or the task cannot have that length.

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
    method: Method = Segmented()
    embedding_size: int = 32
    cell_options: Any = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.cell, Cell):
            raise fail("cell", "a `gatedrnn.Cell`, such as `gr.lstm`", reprlib.repr(self.cell))
        if not isinstance(self.task, Task):
            if isinstance(self.task, str) or callable(self.task):
                raise fail("task", "a `gatedrnn.tasks.Task`, such as `gr.tasks.adding`", reprlib.repr(self.task))
            return  # a transformation of pytrees puts what it likes in the place of data
        self.task.check_steps(self.horizon, "horizon")
        for name in ("batch", "hidden_size", "embedding_size"):
            check_size(name, getattr(self, name))
        if isinstance(self.cell_options, Mapping):  # hashable, and the same however it was written
            object.__setattr__(self, "cell_options", tuple(sorted(self.cell_options.items())))

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


class TrainState(NamedTuple):
    """Everything that a training goes on from; [S, ...], one row per seed.

    Attributes:
        step: updates made, int32.
        key: of the training data; the batch of step n is drawn with `fold_in(key, n)`.
        params: the model's weights.
        optimiser: the optimiser's own state.
        loss: sum of the training losses since the last test.
    """

    step: Array
    key: Array
    params: ModelParams
    optimiser: Any
    loss: Array


def init(setup: Setup, seeds: Sequence[int] = (0,)) -> TrainState:
    """The state before the first step, one row per seed.

    A seed gives the same training data to every cell and initialisation.

    Raises:
        ValueError: there is no seed, one is given twice or is no whole number of at least 0, or the task's `sample`
            makes no batch.
    """
    seeds = [check_size("seeds", seed, least=0) for seed in seeds]
    if not seeds or len(set(seeds)) < len(seeds) or max(seeds) >= TEST_SEED:
        raise fail("seeds", f"different whole numbers below {TEST_SEED:,}, at least one", seeds)
    setup.task.check_shapes(setup.batch, setup.horizon)
    return _init(setup, jnp.array(seeds, jnp.uint32))


@jax.jit
def _init(setup: Setup, seeds: Array) -> TrainState:
    def one(seed: Array) -> TrainState:
        key_params, key_data = jax.random.split(jax.random.key(seed))
        params = setup.model.init(key_params, **dict(setup.cell_options))
        return TrainState(jnp.zeros((), jnp.int32), key_data, params, setup.optimiser.init(params), jnp.zeros(()))

    return jax.vmap(one)(seeds)


@functools.partial(jax.jit, donate_argnums=1)
def step(setup: Setup, state: TrainState) -> tuple[TrainState, Metrics]:
    """One update of every seed; `state` is used up."""
    return jax.vmap(lambda one: _update(setup, one))(state)


def _update(setup: Setup, state: TrainState) -> tuple[TrainState, Metrics]:
    """One update of one seed."""
    batch = setup.task.draw(jax.random.fold_in(state.key, state.step), setup.batch, setup.horizon)

    def loss(params: ModelParams) -> tuple[Array, Metrics]:
        metrics = evaluate(setup.model, setup.task, params, batch, setup.method)
        return metrics.loss, metrics

    gradients, metrics = jax.grad(loss, has_aux=True)(state.params)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # optax counts on both
        updates, optimiser = setup.optimiser.update(gradients, state.optimiser, state.params)
        params = optax.apply_updates(state.params, updates)
    return TrainState(state.step + 1, state.key, params, optimiser, state.loss + metrics.loss), metrics


def advance(setup: Setup, state: TrainState, count: Array) -> TrainState:
    """`count` updates of every seed in one call; `count` is an array, so that any number is the same program."""
    return jax.vmap(lambda one: lax.fori_loop(0, count, lambda _, s: _update(setup, s)[0], one))(state)


@functools.partial(jax.jit, static_argnums=2)
def measure(setup: Setup, params: ModelParams, batches: int) -> Metrics:
    """Tests on held-out data, the same at every call.

    Args:
        setup: the task, T and B may differ from those of the training.
        params: weights with an axis of seeds, [S, ...], such as `state.params`.
        batches: how many batches of B sequences.

    Returns:
        Means, [S] each.
    """
    keys = jax.random.split(jax.random.key(TEST_SEED), batches)

    def one(params: ModelParams) -> Metrics:
        def on(key: Array) -> Metrics:
            batch = setup.task.held_out.draw(key, setup.batch, setup.horizon)
            return evaluate(setup.model, setup.task, params, batch, setup.method)

        return jax.tree.map(lambda a: a.mean(0), lax.map(on, keys))

    return jax.vmap(one)(params)
