"""Training that begins with given weights: what they are at first, the way from there by hand, and resumption."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gatedrnn as gr
from gatedrnn.models import ModelParams


@pytest.fixture(scope="module")
def params(adding_setup, drawn):
    """Weights of the setup's model."""
    return drawn(adding_setup.model, seed=3)


def test_at_first_they_are_as_given(adding_setup, params):
    """Every seed, and the test of them."""
    state = gr.train.init(adding_setup, (0, 7), params)
    for i in range(2):
        jax.tree.map(lambda got, want, i=i: np.testing.assert_array_equal(got[i], want), state.params, params)
    found = gr.train.measure(adding_setup, state.params, 2)
    keys = jax.random.split(jax.random.key(gr.train._state.TEST_SEED), 2)
    losses = [
        gr.train.evaluate(
            adding_setup.model, adding_setup.task, params, adding_setup.task.draw(key, 2, 8), adding_setup.method
        ).loss
        for key in keys
    ]
    np.testing.assert_allclose(found.loss, [np.mean(losses)] * 2, rtol=1e-5)


@pytest.mark.slow
def test_from_there_on_by_hand(adding_setup, params):
    """A loop of one's own with optax, fresh, on the same batches."""
    got = gr.train.fit(adding_setup, steps=3, params=params, test_every=3, test_batches=1).params()
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))
    key = gr.train.init(adding_setup).key[0]
    found, state = params, optimiser.init(params)

    def loss(params, batch):
        last = adding_setup.model(params, batch.xs)[1][-1, :, 0]
        return jnp.square(last - batch.targets[-1]).mean()

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for step in range(3):
            batch = adding_setup.task.draw(jax.random.fold_in(key, step), 2, 8)
            updates, state = optimiser.update(jax.grad(loss)(found, batch), state, found)
            found = optax.apply_updates(found, updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), got, found)


def test_the_callers_weights_stay(adding_setup, params):
    before = jax.tree.map(np.array, params)
    gr.train.fit(adding_setup, steps=2, params=params, test_every=2, test_batches=1)
    jax.tree.map(np.testing.assert_array_equal, params, before)


def test_resumed(tmp_path, fit, params, plain):
    """With the same weights, or none: bit for bit the uninterrupted run. With others, or where none were: refused."""
    whole = plain(fit(tmp_path / "whole", 12, params=params).state)
    fit(tmp_path / "run", 4, params=params)
    fit(tmp_path / "run", 8, resume=True)
    same = lambda found: jax.tree.map(np.testing.assert_array_equal, plain(found.state), whole)
    other = jax.tree.map(lambda a: a + 1, params)
    with pytest.raises(ValueError, match="^`folder` must be one of a run with params"):
        fit(tmp_path / "run", 12, resume=True, params=other)
    same(fit(tmp_path / "run", 12, resume=True, params=params))
    fit(tmp_path / "drawn", 4)
    with pytest.raises(ValueError, match="^`folder` must be one of a run with params .*; got one with None"):
        fit(tmp_path / "drawn", 8, resume=True, params=params)


def test_refused(adding_setup, params, drawn):
    """Weights of another cell, size, type or task; no weights at all."""
    make = lambda cell, hidden, outputs=1: drawn(gr.models.Model(cell, 2, hidden, outputs))
    for wrong in (
        *(make(gr.gru, 4), make(gr.lstm, 5), make(gr.lstm, 4, 2), None.__class__, params._asdict(), params.cell),
        *(jax.tree.map(lambda a: a.astype("bfloat16"), params), params._replace(embedding=jnp.ones((2, 2)))),
        *(ModelParams(None, None, None), jax.tree.map(lambda a: a[None], params), jax.tree.map(str, params)),
    ):
        with pytest.raises(ValueError, match=r"^`params` must be [^\n]*; got [^\n]*\.$"):
            gr.train.fit(adding_setup, steps=1, params=wrong)
