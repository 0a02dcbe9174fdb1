"""Means over what counts: batches that ask nothing change nothing, and each counted step weighs the same."""

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gatedrnn as gr
from gatedrnn.tasks import Batch
from gatedrnn.train._losses import counts_vary


def at_random(task, chance):
    """The task, of whose batches some ask nothing at all, and others of few rows and steps; NaN where nothing is."""

    def sample(key, batch, steps, data):
        xs, targets, mask = task.sample(key, batch, steps, data)
        key_any, key_each = jax.random.split(jax.random.fold_in(key, 1))
        some = jax.random.bernoulli(key_any, chance) & jax.random.bernoulli(key_each, 0.5, mask.shape)
        nothing = -100 if task.classes else jnp.nan
        return Batch(xs, jnp.where(mask & some, targets, nothing), mask & some)

    return replace(task, sample=sample)


TASKS = {"a value at the end": gr.tasks.adding, "classes at every step": gr.tasks.parity}
RULES = {"adam": gr.train.Optimiser(), "adamw": optax.adamw(1e-2), "momentum": optax.sgd(0.1, momentum=0.9)}


@pytest.mark.thinned(5)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("task", TASKS)
def test_a_batch_that_asks_nothing_changes_nothing(task, rule):
    """Weights and optimiser stay to the last bit, in spite of momentum and decay; means are over the others."""
    setup = gr.train.Setup(at_random(TASKS[task], 0.5), gr.gru, 6, 3, 2, RULES[rule])
    state, losses, shares = gr.train.init(setup), [], []
    for _ in range(12):
        before = state
        state, metrics = gr.train.step(setup, state)
        losses.append(float(metrics.loss[0]))
        shares.append(float(metrics.share[0]))
        if shares[-1] == 0:
            assert losses[-1] == 0 == float(metrics.accuracy[0])
            chex.assert_trees_all_equal((state.params, state.optimiser), (before.params, before.optimiser))
    assert 0 < np.count_nonzero(shares) < len(shares)
    np.testing.assert_allclose(state.mean_loss, np.average(losses, weights=shares), rtol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_tests_weigh_by_what_counts(task):
    """The mean over four batches is that over all their counted steps; of none it is zero."""
    setup = gr.train.Setup(at_random(TASKS[task], 0.7), gr.gru, 6, 3, 2)
    params = gr.train.init(setup).params
    one = jax.tree.map(lambda a: a[0], params)
    keys = jax.random.split(jax.random.key(2**31 - 1), 4)
    found = [
        gr.train.evaluate(setup.model, setup.task, one, setup.task(key, setup.batch, 6), setup.method) for key in keys
    ]
    shares = [float(each.share) for each in found]
    got = gr.train.measure(setup, params, 4)
    for name in ("loss", "accuracy"):
        want = np.average([float(getattr(each, name)) for each in found], weights=shares)
        np.testing.assert_allclose(getattr(got, name)[0], want, rtol=1e-5)
    nothing = replace(setup, task=at_random(TASKS[task], 0.0))
    assert jax.tree.leaves(gr.train.measure(nothing, params, 2)) == [0, 0, 0]
    fitted = gr.train.fit(nothing, steps=2, test_every=1, test_batches=2, target=1.0)
    assert [np.isnan(row.test_loss) for row in fitted.rows] == [True, True] and fitted.reached == {0: None}


def test_fit_goes_on():
    """A run over batches of which every second is empty ends with finite rows."""
    setup = gr.train.Setup(at_random(gr.tasks.adding, 0.5), gr.lstm, 6, 3, 2)
    rows = gr.train.fit(setup, steps=40, test_every=10).rows
    assert all(np.isfinite(row.train_loss) and row.train_loss > 0 for row in rows)


def test_a_mask_that_is_always_the_same_costs_nothing():
    """Where no random number reaches the mask, no update is chosen; every task of the house is of that kind."""
    for task in gr.tasks.TASKS.values() if hasattr(gr.tasks, "TASKS") else TASKS.values():
        assert not counts_vary(task, 2, max(task.shortest, 8))
    assert counts_vary(at_random(gr.tasks.adding, 0.5), 2, 8)
    assert counts_vary(replace(gr.tasks.adding, sample=jax.jit(gr.tasks.adding.sample, static_argnums=(1, 2))), 2, 8)
