"""Trainings with any optimiser, any type of weights and any batches.

Of the kinds of faults that were found from outside, these would have shown: optimisers that want the loss; weights of
16 bits under Adam; means over an empty set; labels that are another class, or none; batches that are not time first.
"""

import random
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fuzz_settings import attempted, bounded
from hypothesis import strategies as st

import gatedrnn as gr
from gatedrnn.tasks import Batch, Task
from gatedrnn.tasks._task import Constant, one_less

RULES = [
    gr.train.Optimiser(),
    optax.adamw(1e-2),
    optax.lion(1e-3),
    optax.adafactor(1e-2),
    optax.sgd(optax.cosine_decay_schedule(0.1, 5), momentum=0.9),
    optax.inject_hyperparams(optax.rmsprop)(1e-2),
    optax.polyak_sgd(),
    optax.chain(optax.adam(1e-2), optax.contrib.reduce_on_plateau(patience=1)),
    optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(3)),
    optax.contrib.momo(0.1),
    optax.contrib.schedule_free_sgd(0.1),
    optax.apply_if_finite(optax.adam(1e-2), 2),
    optax.MultiSteps(optax.polyak_sgd(), 2),
]
SETUP = gr.train.Setup(gr.tasks.adding, gr.rnn, horizon=4, hidden_size=2, batch=2)


@pytest.mark.slow
@bounded(6)
def test_every_optimiser(data):
    """It trains weights of every type, which stay finite and of their type."""
    choose = random.Random(data.draw(st.integers(0, 2**64 - 1))).choice
    rule, dtype = choose(RULES), choose(["float32", "bfloat16", "float16"])
    setup = replace(SETUP, optimiser=rule, cell_options={"dtype": dtype})
    state = gr.train.init(setup, (choose(range(99)),))
    begun = jax.device_get(state.params)
    for _ in range(2):
        state, metrics = gr.train.step(setup, state)
    leaves = jax.tree.leaves(jax.device_get(state.params))
    assert {leaf.dtype.name for leaf in leaves} == {dtype} and np.isfinite(np.asarray(metrics.loss)).all()
    assert all(np.isfinite(leaf.astype("float32")).all() for leaf in leaves)
    assert any((a != b).any() for a, b in zip(leaves, jax.tree.leaves(begun), strict=True))


@dataclass(frozen=True)
class Sample:
    """A batch with flaws.

    Attributes:
        classes: whether targets are classes.
        asked: the share of steps where the loss counts.
        empty: the share of batches in which none does.
        label: at one step of every sequence, in place of its target.
        counts: whether that step counts.
        first: the axis of the batch in each part.
    """

    classes: bool
    asked: float
    empty: float
    label: int
    counts: bool
    first: tuple[int, int, int]

    def __call__(self, key, batch, steps, data):
        keys = jax.random.split(key, 4)
        xs = jax.random.normal(keys[0], (steps, batch, 2))
        targets = jax.random.randint(keys[1], (steps, batch), 0, 3).at[1].set(self.label)
        mask = jax.random.bernoulli(keys[2], self.asked, (steps, batch)).at[1].set(self.counts)
        mask &= jax.random.uniform(keys[3]) >= self.empty
        parts = xs, targets if self.classes else targets.astype("float32"), mask
        return Batch(*(jnp.swapaxes(part, 0, axis) for part, axis in zip(parts, self.first, strict=True)))


def task_of(sample):
    shared = {"chance": Constant(1.0), "memory": one_less, "input_size": 2, "at_end": False}
    return Task("drawn", sample, output_size=3 if sample.classes else 1, classes=sample.classes, **shared)


@pytest.mark.slow
@bounded(12)
def test_every_batch(data):
    """Only what counts is learned from; what is no batch, and what is no class, is refused or has no loss."""
    choose = random.Random(data.draw(st.integers(0, 2**64 - 1))).choice
    first = choose([(1, 1, 1)] * 5 + [(0, 0, 0), (0, 1, 1), (1, 0, 0)])
    sample = Sample(
        classes=choose([False, True]),
        asked=choose([0.0, 0.3, 1.0]),
        empty=choose([0.0, 0.5]),
        label=choose([-100, -1, 0, 2, 3]),
        counts=choose([False, True]),
        first=tuple(1 - axis for axis in first),
    )
    setup = replace(SETUP, task=task_of(sample), horizon=choose([3, 4]), batch=3)
    run = lambda setup: gr.train.fit(setup, steps=6, test_every=6)
    found, refused = attempted(lambda: run(setup))
    wrong = sample.classes and sample.counts and sample.label not in (0, 1, 2)
    assert refused or first == (1, 1, 1)
    assert refused is None or first != (1, 1, 1) or wrong, refused
    if refused is not None:
        return
    (row,) = found.rows
    assert np.isfinite(row.train_loss) and not (wrong and sample.empty == 0)
    if not sample.counts:  # what stands there is nobody's business
        other = run(replace(setup, task=task_of(replace(sample, label=1)))).rows[0]
        assert other.train_loss == row.train_loss
