"""Any optax transformation as the optimiser: it trains like the `Optimiser` of its rule, and is told from others."""

import functools
from dataclasses import replace

import chex
import jax
import numpy as np
import optax
import pytest

import gatedrnn as gr

SETUP = gr.train.Setup(gr.tasks.adding, gr.rnn, horizon=6, hidden_size=4, batch=2)


def test_trains_as_the_optimiser_of_the_same_rule(plain):
    """The same chain, written out: state and rows to the last bit."""
    raw = optax.chain(optax.clip_by_global_norm(0.1), optax.rmsprop(3e-3))
    options = {"steps": 9, "test_every": 3, "test_batches": 1}
    want = gr.train.fit(replace(SETUP, optimiser=gr.train.Optimiser(optax.rmsprop, 3e-3, clip=0.1)), **options)
    got = gr.train.fit(replace(SETUP, optimiser=raw), **options)
    chex.assert_trees_all_equal(plain(got.state), plain(want.state))
    assert got.rows == want.rows
    unclipped = gr.train.fit(replace(SETUP, optimiser=optax.rmsprop(3e-3)), **options)
    assert unclipped.rows != want.rows


def recursive(power):
    """A schedule that holds itself, and a value."""

    def rate(count, left=2):
        return 1e-2 if left == 0 else rate(count, left - 1) ** power

    return rate


MADE = {
    "adam": lambda: optax.adam(1e-2),
    "adam faster": lambda: optax.adam(2e-2),
    "adam b1": lambda: optax.adam(1e-2, b1=0.8),
    "adam nesterov": lambda: optax.nadam(1e-2),
    "rmsprop": lambda: optax.rmsprop(1e-2),
    "clipped": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2)),
    "clipped after": lambda: optax.chain(optax.adam(1e-2), optax.clip_by_global_norm(1.0)),
    "schedule": lambda: optax.adam(optax.cosine_decay_schedule(1e-2, 100)),
    "longer schedule": lambda: optax.adam(optax.cosine_decay_schedule(1e-2, 101)),
    "recursive schedule": lambda: optax.adam(recursive(1.0)),
    "recursive schedule, squared": lambda: optax.adam(recursive(2.0)),
    "in steps": lambda: optax.sgd(optax.piecewise_constant_schedule(0.1, {10: 0.1, 20: 0.2})),
    "in other steps": lambda: optax.sgd(optax.piecewise_constant_schedule(0.1, {10: 0.1, 21: 0.2})),
    "injected": lambda: optax.inject_hyperparams(optax.adam)(1e-2),
    "injected faster": lambda: optax.inject_hyperparams(optax.adam)(2e-2),
    "every second": lambda: optax.MultiSteps(optax.adam(1e-2), 2),
    "every third": lambda: optax.MultiSteps(optax.adam(1e-2), 3),
    "noise": lambda: optax.noisy_sgd(0.1, key=jax.random.key(0)),
    "other noise": lambda: optax.noisy_sgd(0.1, key=jax.random.key(1)),
    "masked": lambda: optax.masked(optax.sgd(0.1), {"w": True, "b": np.array([1, 2])}),
    "masked elsewhere": lambda: optax.masked(optax.sgd(0.1), {"w": True, "b": np.array([1, 3])}),
    "value": lambda: gr.train.Optimiser(optax.adam, 1e-2, None),
    "value, schedule": lambda: gr.train.Optimiser(optax.adam, optax.cosine_decay_schedule(1e-2, 100)),
    "value, longer schedule": lambda: gr.train.Optimiser(optax.adam, optax.cosine_decay_schedule(1e-2, 101)),
    "value, b1": lambda: gr.train.Optimiser(functools.partial(optax.adam, b1=0.8)),
    "value, b2": lambda: gr.train.Optimiser(functools.partial(optax.adam, b2=0.8)),
}


def test_described():
    """Made again by the same call it is called the same, and otherwise than any other."""
    described = {}
    for name, make in MADE.items():
        first, second = (str(replace(SETUP, optimiser=make()).describe()["optimiser"]) for _ in range(2))
        assert first == second and " at 0x" not in first, name
        described[name] = first
    assert len(set(described.values())) == len(MADE)
    assert SETUP.describe()["optimiser"] == {"rule": "adam", "learning_rate": 1e-2, "clip": 1.0}


def test_a_checkpoint_of_another_transformation_is_refused(tmp_path):
    """Its state has the same shapes; what is compared is how it was made. The same, made anew, goes on."""
    fit = lambda rule, **more: gr.train.fit(
        replace(SETUP, optimiser=rule), steps=6, test_every=3, test_batches=1, folder=tmp_path, **more
    )
    rule = lambda b1: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2, b1=b1))
    fit(rule(0.9))
    message = "`folder` must be one of a run with optimiser 'chain [0-9a-f]{8}'; got one with 'chain [0-9a-f]{8}' in "
    with pytest.raises(ValueError, match=message):
        fit(rule(0.8), resume=True)
    with pytest.raises(ValueError, match="`folder` must be one of a run with optimiser {'rule': 'adam', "):
        fit(gr.train.Optimiser(), resume=True)
    assert int(fit(rule(0.9), resume=True).state.step[0]) == 6
