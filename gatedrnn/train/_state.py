"""How what is trained changes: pure functions over a state.

state = init(setup, seeds)                  one leading axis [S] on everything, one row per seed
state, metrics = step(setup, state)         a fresh batch, its gradient, one update
"""

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gatedrnn._check import check_kind, check_list, check_size, fail, shown
from gatedrnn.models import ModelParams
from gatedrnn.train._losses import Metrics, counts_vary, evaluate, weighed
from gatedrnn.train._optimiser import start, update
from gatedrnn.train._setup import Setup

TEST_SEED = 2**31 - 1
NOISE = 1  # folded into the key of a batch


class TrainState(NamedTuple):
    """Everything that a training goes on from; [S, ...], one row per seed.

    Attributes:
        step: updates made, int32.
        key: of the training data; the batch of step n is drawn with `fold_in(key, n)`.
        params: the model's weights.
        optimiser: the optimiser's own state.
        loss: sum of the training losses since the last test, each times its batch's share of counted steps.
        share: sum of the shares, so that the mean loss is `loss / share`.
    """

    step: Array
    key: Array
    params: ModelParams
    optimiser: Any
    loss: Array
    share: Array

    @property
    def mean_loss(self) -> np.ndarray:
        """Over the updates since the last test, float64 [S], on the host; zero where no step counted."""
        loss, share = np.asarray(self.loss, np.float64), np.asarray(self.share, np.float64)
        return loss / np.where(share > 0, share, 1)

    def tested(self) -> Self:
        """The state from which the mean loss is taken anew."""
        return self._replace(loss=jnp.zeros_like(self.loss), share=jnp.zeros_like(self.share))


def init(setup: Setup, seeds: Iterable[int] = (0,), params: ModelParams | None = None) -> TrainState:
    """The state before the first step, one row per seed.

    A seed gives the same training data to every cell and initialisation.

    Args:
        setup: what is trained.
        seeds: of the weights and of the data.
        params: weights from which every seed begins, such as `gr.load(path).params`; drawn by default.

    Raises:
        ValueError: there is no seed, one is given twice or is no whole number of at least 0, the task's `sample` makes
            no batch, or `params` are no weights of the setup's model.
    """
    found = check_seeds(seeds)
    setup.task.check_shapes(setup.batch, setup.horizon)
    if params is not None:
        _check_params(setup, params)
    return _init(setup, jnp.array(found, jnp.uint32), params)


def _check_params(setup: Setup, params: Any) -> None:
    """Raises ValueError for what is no weights of the setup's model, in shapes and types."""
    check_kind("params", ModelParams, params, "gatedrnn.load(path).params")
    wanted = jax.eval_shape(lambda key: setup.model.init(key, **dict(setup.cell_options)), jax.random.key(0))
    shapes = [
        {jax.tree_util.keystr(path, simple=True, separator="."): _in_words(leaf) for path, leaf in leaves}
        for leaves in map(jax.tree.leaves_with_path, (wanted, params))
    ]
    for name in {**shapes[0], **shapes[1]}:
        want, got = (found.get(name, "none") for found in shapes)
        if want != got:
            raise fail("params", f"weights of the setup's {setup.cell.name}, {name} being {want}", got)
    structures: list[Any] = [jax.tree.structure(tree) for tree in (wanted, params)]
    if structures[0] != structures[1]:
        raise fail("params", f"weights of the setup's {setup.cell.name}", "a tree of another structure")


def _in_words(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "dtype") and hasattr(leaf, "shape") else shown(leaf)


def check_seeds(seeds: Iterable[Any]) -> list[int]:
    """Returns the seeds as a list, or raises ValueError."""
    expected = f"different whole numbers below {TEST_SEED:,}, at least one"
    found = [check_size("seeds", seed, least=0) for seed in check_list("seeds", expected, seeds)]
    if not found or len(set(found)) < len(found) or max(found) >= TEST_SEED:
        raise fail("seeds", expected, shown(found))
    return found


@jax.jit
def _init(setup: Setup, seeds: Array, given: ModelParams | None) -> TrainState:
    def one(seed: Array) -> TrainState:
        key_params, key_data = jax.random.split(jax.random.key(seed))
        params = setup.model.init(key_params, **dict(setup.cell_options)) if given is None else given
        optimiser, nothing = start(setup.optimiser, params), jnp.zeros(())
        return TrainState(jnp.zeros((), jnp.int32), key_data, params, optimiser, nothing, nothing)

    return jax.vmap(one)(seeds)


@jax.jit
def step(setup: Setup, state: TrainState) -> tuple[TrainState, Metrics]:
    """One update of every seed; a batch in which no step counts changes nothing but the step."""
    return jax.vmap(lambda one: updated(setup, one))(state)


def updated(setup: Setup, state: TrainState) -> tuple[TrainState, Metrics]:
    """One update of one seed."""
    key = jax.random.fold_in(state.key, state.step)
    batch = setup.task.draw(key, setup.batch, setup.horizon)

    def loss(params: ModelParams) -> tuple[Array, Metrics]:
        metrics = evaluate(setup.model, setup.task, params, batch, setup.method, jax.random.fold_in(key, NOISE))
        return metrics.loss, metrics

    gradients, metrics = jax.grad(loss, has_aux=True)(state.params)
    value = lambda params: loss(params)[0]
    changed = update(setup.optimiser, gradients, state.optimiser, state.params, metrics.loss, value)
    weight, share = metrics.loss, jnp.ones_like(state.share)
    if counts_vary(setup.task, setup.batch, setup.horizon):
        # Weights would move without a gradient, too: by momentum, by decay.
        kept = lambda new, old: jnp.where(metrics.share > 0, new, old)
        changed = jax.tree.map(kept, changed, (state.params, state.optimiser))
        weight, share = metrics.loss * metrics.share, metrics.share.astype(state.share.dtype)
    total = state.loss + weight.astype(state.loss.dtype)
    return TrainState(state.step + 1, state.key, *changed, total, state.share + share), metrics


def advance(setup: Setup, state: TrainState, count: Array) -> TrainState:
    """`count` updates of every seed in one call; `count` is an array, so that any number is the same program."""
    return jax.vmap(lambda one: lax.fori_loop(0, count, lambda _, s: updated(setup, s)[0], one))(state)


@functools.partial(jax.jit, static_argnums=2)
def measure(setup: Setup, params: ModelParams, batches: int) -> Metrics:
    """Tests on held-out data, the same at every call.

    Args:
        setup: the task, T and B may differ from those of the training.
        params: weights with an axis of seeds, [S, ...], such as `state.params`.
        batches: how many batches of B sequences.

    Returns:
        Means over the steps that count in all batches, [S] each.
    """
    keys = jax.random.split(jax.random.key(TEST_SEED), batches)

    def one(params: ModelParams) -> Metrics:
        def on(key: Array) -> Metrics:
            batch = setup.task.held_out.draw(key, setup.batch, setup.horizon)
            return evaluate(setup.model, setup.task, params, batch, setup.method)

        return weighed(lax.map(on, keys))

    return jax.vmap(one)(params)
