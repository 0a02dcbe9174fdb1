"""Any optax transformation as the optimiser: it trains like the `Optimiser` of its rule, and is told from others."""

import functools
from dataclasses import replace

import chex
import jax
import numpy as np
import optax
import pytest

import gatedrnn as gr
from gatedrnn.train._optimiser import Master

SETUP = gr.train.Setup(gr.tasks.adding, gr.rnn, horizon=6, hidden_size=4, batch=2)


@pytest.mark.slow
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


@pytest.mark.slow
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


WANTING = {
    "reduce_on_plateau": lambda: optax.chain(optax.adam(1e-2), optax.contrib.reduce_on_plateau(patience=1)),
    "polyak_sgd": lambda: optax.polyak_sgd(),
    "lbfgs": lambda: optax.lbfgs(memory_size=3),
    "backtracking": lambda: optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(5)),
    "backtracking, store_grad": lambda: optax.chain(
        optax.sgd(1.0), optax.scale_by_backtracking_linesearch(5, store_grad=True)
    ),
    "momo": lambda: optax.contrib.momo(0.1),
    "sam": lambda: optax.contrib.sam(optax.sgd(0.1), optax.sgd(0.01), sync_period=2),
    "sam, opaque": lambda: optax.contrib.sam(optax.sgd(0.1), optax.sgd(0.01), opaque_mode=True),
    "schedule_free": lambda: optax.contrib.schedule_free_sgd(0.1),
    "lbfgs behind a clip": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.lbfgs(memory_size=3)),
    "every second": lambda: optax.MultiSteps(optax.chain(optax.polyak_sgd()), 2),
    "a rule": lambda: gr.train.Optimiser(lambda rate: optax.polyak_sgd(scaling=rate), 0.5),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * ("lbfgs" in n)) for n in WANTING])
def test_optimisers_that_want_the_loss(name):
    """Each trains in `fit` as optax does when it is given value, gradient and function of the same batch by hand."""
    setup = replace(SETUP, optimiser=WANTING[name]())
    steps = 3
    got = gr.train.fit(setup, steps=steps, test_every=steps).state

    state = gr.train.init(setup)
    params, keys = jax.tree.map(lambda a: a[0], state.params), state.key[0]
    rule = setup.optimiser.transformation if isinstance(setup.optimiser, gr.train.Optimiser) else setup.optimiser

    @jax.jit
    def update(params, inner, batch):
        loss = lambda p: gr.train.evaluate(setup.model, setup.task, p, batch, gr.Autodiff()).loss
        value, grad = jax.value_and_grad(loss)(params)
        given = {"value": value, "grad": grad, "value_fn": loss}
        if name == "sam, opaque":
            given = {"grad_fn": lambda p, _: jax.grad(loss)(p)}
        given = {} if name in ("sam", "schedule_free") else given
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            updates, inner = rule.update(grad, inner, params, **given)
            return optax.apply_updates(params, updates), inner

    inner = rule.init(params)
    for n in range(steps):
        batch = setup.task(jax.random.fold_in(keys, n), setup.batch, setup.horizon)
        params, inner = update(params, inner, batch)
    chex.assert_trees_all_close(jax.tree.map(lambda a: a[0], got.params), params, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "wrong", [None, "adam", optax.adam, 0.1, {"init": 1}], ids=["None", "adam", "rule", "0.1", "dict"]
)
def test_what_is_no_optimiser(wrong):
    with pytest.raises(ValueError, match="^`optimiser` must be an Optimiser or an optax transformation"):
        replace(SETUP, optimiser=wrong)


@pytest.mark.parametrize("chained", [False, True], ids=["alone", "in a chain"])
def test_what_is_not_known_of_a_batch(chained):
    """An argument that only the caller could give is named; an error of the rule's own stays as it is."""

    def update(updates, state, params=None, *, noise, **_):
        return updates, state

    def broken(updates, state, params=None, **_):
        raise TypeError("mine")

    for of, kind, sentence in (
        (update, ValueError, r"^`optimiser` must be .* grad_fn; got one that wants 'noise'"),
        (broken, TypeError, "^mine"),
    ):
        rule = optax.GradientTransformationExtraArgs(lambda params: (), of)
        setup = replace(SETUP, optimiser=optax.chain(optax.scale(0.1), rule) if chained else rule)
        with pytest.raises(kind, match=sentence):
            gr.train.fit(setup, steps=1, test_every=1)


@pytest.mark.slow
@pytest.mark.thinned(3)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("rule", [gr.train.Optimiser(), optax.adamw(1e-2)], ids=["adam", "adamw"])
def test_narrow_weights_train(dtype, rule):
    """Adam, whose eps is zero in float16, learns as with float32 weights; the state is float32."""
    setup = replace(SETUP, cell=gr.gru, hidden_size=8, batch=8, optimiser=rule)
    narrow = replace(setup, cell_options={"dtype": dtype})
    assert gr.train.fit(narrow, steps=150, test_every=150).rows[-1].test_loss < 0.14  # chance: 1/6
    state = gr.train.init(narrow)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state.params)} == {dtype}
    floats = [leaf.dtype.name for leaf in jax.tree.leaves(state.optimiser) if leaf.dtype.kind != "i"]
    assert set(floats) == {"float32"} and isinstance(state.optimiser, Master)


@pytest.mark.slow
def test_updates_too_small_for_float16_add_up():
    """Each is a tenth of the spacing of float16 at 1: rounded away one by one, and 100 of them not lost."""
    rule = optax.stateless(lambda updates, params: jax.tree.map(lambda a: jax.numpy.full_like(a, 1e-4), updates))
    setup = replace(SETUP, optimiser=rule, cell_options={"dtype": "float16"})
    before = gr.train.init(setup).params.readout["b"] + 0
    after = gr.train.fit(setup, steps=100, test_every=100).state
    np.testing.assert_allclose(after.params.readout["b"] - before, 1e-2, rtol=1e-2)
    wide = jax.tree.map(lambda a, b: a.astype(b.dtype), after.optimiser.params, after.params)
    chex.assert_trees_all_equal(wide, after.params)


def test_float32_states_are_as_they_were():
    """No copy beside weights that need none: the optimiser's own state, which older checkpoints hold."""
    state = gr.train.init(SETUP)
    params = jax.tree.map(lambda a: a[0], state.params)
    chex.assert_trees_all_equal_structs(state.optimiser, SETUP.optimiser.transformation.init(params))
