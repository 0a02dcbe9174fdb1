"""Arguments of the public functions: a number in any form is taken as Python's own; all else is one sentence."""

import math
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

import gatedrnn as gr
from gatedrnn.models import Model, hidden_size_for
from gatedrnn.tasks import sentences

D, H, T, B = 2, 3, 4, 2
KEY = jax.random.key(0)
PARAMS = gr.lstm.init(KEY, D, H)
XS = jnp.ones((T, B, D))
MESH = Mesh(np.array(jax.devices()), ("batch",))
SETUP = gr.train.Setup(gr.tasks.adding, gr.lstm, horizon=4, hidden_size=2, batch=2)

NO_NUMBER = [None, "3", b"3", True, np.True_, math.nan, math.inf, -math.inf, 3j, np.complex64(3), [3.0], np.ones(1)]
NO_NUMBER += [jnp.ones((2, 2)), 10**400, object(), {}, jnp.array(True), np.array("3"), np.datetime64(3, "s")]
NO_SIZE = [*NO_NUMBER[1:], 0, -1, 2.0, 2.5, np.float32(2), jnp.array(2.0), 2**31]

SIZES = {
    "input_size": lambda v: gr.lstm.init(KEY, v, H),
    "hidden_size": lambda v: gr.gru.init(KEY, D, v),
    "horizon": lambda v: replace(SETUP, horizon=v),
    "batch": lambda v: replace(SETUP, batch=v),
    "embedding_size": lambda v: replace(SETUP, embedding_size=v),
    "output_size": lambda v: Model(gr.gru, D, H, v),
    "window": gr.Truncated,
    "length": gr.Segmented,
    "unroll": gr.Autodiff,
    "k": lambda v: gr.flow.lyapunov(gr.lstm, PARAMS, XS, k=v),
    "seeds": lambda v: gr.flow.compare([gr.rnn], XS, seeds=v),
    "test_every": lambda v: gr.train.fit(SETUP, steps=1, test_every=v),
    "steps": lambda v: gr.train.fit(SETUP, steps=v),
}
NUMBERS = {  # with one more value that is out of range
    "gain": (gr.initializers.gaussian, -1),
    "chrono": (lambda v: gr.lstm.init(KEY, D, H, chrono=v) if v is not None else gr.initializers.chrono(v), 1e39),
    "learning_rate": (lambda v: gr.train.Optimiser(learning_rate=v), 0),
    "clip": (lambda v: gr.train.Optimiser(clip=math.nan if v is None else v), -1),
    "target": (lambda v: gr.train.fit(SETUP, steps=1, target=math.nan if v is None else v), math.nan),
    "seconds": (lambda v: gr.train.fit(SETUP, steps=1, seconds=0 if v is None else v), 0),
    "save_every": (lambda v: gr.train.fit(SETUP, steps=1, save_every=v), -1),
    "differ": (lambda v: sentences.agreement_with(differ=v), 2),
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("value", NO_SIZE, ids=lambda value: repr(value)[:20])
def test_sizes(name, value):
    """Whatever is no whole number of at least 1 is refused under the argument's name."""
    with pytest.raises(ValueError, match=f"^`{name}` must be .*; got .*\\.$") as caught:
        SIZES[name](value)
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [*NO_NUMBER, "out of range"], ids=lambda value: repr(value)[:20])
def test_numbers(name, value):
    """Whatever is no finite number in range is refused under the argument's name."""
    make, beyond = NUMBERS[name]
    with pytest.raises(ValueError, match=f"^`{name}` must be .*; got .*\\.$"):
        make(beyond if isinstance(value, str) and value == "out of range" else value)


@pytest.mark.parametrize(
    "of",
    [np.int64, np.uint8, np.array, jnp.array, jnp.int32],
    ids=["np.int64", "np.uint8", "np.array", "jnp.array", "jnp.int32"],
)
def test_whole_numbers_become_pythons_own(of):
    """In settings, methods and models they are equal to those made of ints, and hash alike."""
    for make in (
        lambda v: replace(SETUP, horizon=v, hidden_size=v, batch=v, embedding_size=v),
        lambda v: Model(gr.gru, v, v, v, v),
        lambda v: (gr.Segmented(v), gr.Autodiff(v), gr.Truncated(v), gr.Checkpointed(v)),
        lambda v: sentences.agreement_with(v).sample,
    ):
        assert make(of(3)) == make(3)
        assert hash(make(of(3))) == hash(make(3)) if not isinstance(make(3), gr.train.Setup) else True
    assert gr.lstm.init(KEY, of(2), of(3)).input["w"].shape == (2, 12)
    assert hidden_size_for(gr.gru, 2, 1, of(100)) == hidden_size_for(gr.gru, 2, 1, 100)
    assert gr.flow.lyapunov(gr.lstm, PARAMS, XS, k=of(2), burn_in=of(1)).shape == (B, 2)


@pytest.mark.parametrize(
    "of", [np.float32, np.float64, np.array, jnp.array], ids=["np.float32", "np.float64", "np.array", "jnp.array"]
)
def test_numbers_become_pythons_own(of):
    made = gr.train.Optimiser(learning_rate=of(0.5), clip=of(0.25))
    assert made == gr.train.Optimiser(learning_rate=0.5, clip=0.25)
    assert type(made.learning_rate) is type(made.clip) is float
    options = {"chrono": of(8.0)}
    assert replace(SETUP, cell_options=options).cell_options == (("chrono", 8.0),)
    assert replace(SETUP, cell_options=options).describe() == replace(SETUP, cell_options={"chrono": 8.0}).describe()
    jax.tree.map(
        np.testing.assert_array_equal, gr.gru.init(KEY, D, H, chrono=of(8.0)), gr.gru.init(KEY, D, H, chrono=8)
    )


def test_seeds_in_any_form(tmp_path):
    """A range, a generator, arrays of both kinds: one run, which any of them resumes."""
    forms = [range(2), (seed for seed in (0, 1)), np.arange(2), jnp.arange(2), (np.int64(0), 1)]
    rows = [gr.train.fit(SETUP, steps=2, test_every=2, seeds=seeds).rows for seeds in forms]
    assert all(found == rows[0] for found in rows)
    gr.train.fit(SETUP, steps=2, test_every=2, seeds=np.arange(2), folder=tmp_path)
    gr.train.fit(SETUP, steps=4, test_every=2, seeds=(seed for seed in (0, 1)), folder=tmp_path, resume=True)
    for wrong in (3, None, "01", [0, 0], [-1], [0.5], [True], np.array(3), [2**31]):
        with pytest.raises(ValueError, match="^`seeds` must be "):
            gr.train.init(SETUP, wrong)


@pytest.mark.parametrize("of", [tuple, list, np.array, jnp.array], ids=["tuple", "list", "np.array", "jnp.array"])
def test_a_bias_per_unit(of):
    """`forget_bias` [H] in any form: in `init`, and in the options of a setup, which stays one to the compiler."""
    bias = [0.5, 2.0]
    got = gr.lstm.init(KEY, D, 2, forget_bias=of(bias)).input["b"].reshape(4, 2)
    assert got.tolist() == [[0, 0], bias, [0, 0], [0, 0]]
    setup = replace(SETUP, cell_options={"forget_bias": of(bias)})
    assert setup.cell_options == (("forget_bias", (0.5, 2.0)),)
    assert gr.train.init(setup).params.cell.input["b"][0].reshape(4, 2)[1].tolist() == bias
    setup.describe()
    for wrong in ([1.0] * 3, "1", None, [np.nan, 0], 1j, True, np.inf, [1e39, 0]):
        with pytest.raises(ValueError, match="^`forget_bias` must be a finite number of float32, or "):
            gr.lstm.init(KEY, D, 2, forget_bias=wrong)
    with pytest.raises(ValueError, match="^`update_bias` must be a finite number of float16"):
        gr.gru.init(KEY, D, 2, update_bias=1e5, dtype="float16")
    drawn = jax.vmap(lambda bias: gr.lstm.init(KEY, D, 2, forget_bias=bias).input["b"])(jnp.array([1.0, 2.0]))
    assert drawn[:, 2].tolist() == [1, 2]


SEQUENCES = {
    "xs": [None, "xs", 1.0, XS * 1j, XS.astype(int), XS[0, 0], XS[..., :1], [[["a"]]], object()],
    "mask": ["mask", XS[..., 0], jnp.ones((T, B), int), jnp.ones((T,), bool), jnp.ones((T, B)) * 1j, object()],
    "carry": [
        "carry",
        (1, 2),
        gr.LSTMState("h", "c"),
        gr.GRUState(jnp.zeros((B, H))),
        gr.LSTMState(jnp.zeros((B, H)) * 1j, jnp.zeros((B, H))),
        gr.LSTMState(jnp.zeros((B, H)), None),
    ],
    "reverse": ["no", None, 1, jnp.ones(2, bool)],
    "params": [
        None,
        3,
        PARAMS._asdict(),
        jax.tree.map(lambda a: a * 1j, PARAMS),
        jax.tree.map(lambda a: a.astype(int), PARAMS),
        jax.tree.map(str, PARAMS),
    ],
    "method": ["segmented", gr.Segmented, [1]],
    "outputs": [None, "first", 3, object()],
    "cell": [None, "lstm", 3],
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences(name):
    """unroll and the analyses refuse what is no sequence, carry, flag or weights, under the argument's name."""
    for value in SEQUENCES[name]:
        given = {"cell": gr.lstm, "params": PARAMS, "xs": XS, name: value}
        if (name, value) == ("carry", None):
            continue
        runs = [gr.unroll]
        if name in ("xs", "carry", "params", "cell", "mask"):
            runs += [gr.flow.adjoint, gr.flow.lyapunov, gr.flow.timescales, gr.gate_activations]
        for run in runs:
            with pytest.raises((TypeError, ValueError), match=f"^`{name}[^`]*` must be ") as caught:
                run(**given)
            assert "\n" not in str(caught.value)


REFUSED = {
    "dys": lambda v: gr.flow.adjoint(gr.lstm, PARAMS, XS, dys=v),
    "dcarry": lambda v: gr.flow.adjoint(gr.lstm, PARAMS, XS, dcarry=v),
    "log10_norm": gr.flow.decay,
    "values": lambda v: gr.flow.selectivity(v, jnp.array([0, 1])),
    "labels": lambda v: gr.flow.selectivity(jnp.ones((2, 3)), v),
    "key": lambda v: gr.lstm.init(v, D, H),
    "dtype": lambda v: gr.rnn.init(KEY, D, H, dtype=v),
    "axes": lambda v: gr.Sharded(MESH, axes=v),
    "mesh": gr.Sharded,
    "batch_size": lambda v: gr.lstm.initial_carry(PARAMS, v),
    "cells": lambda v: gr.flow.compare(v, XS),
    "inits": lambda v: gr.flow.compare([gr.rnn], XS, inits=v),
    "input_init": lambda v: gr.rnn.init(KEY, D, H, input_init=v),
    "cell_options": lambda v: replace(SETUP, cell_options=v),
    "budget": lambda v: gr.plan(gr.lstm, PARAMS, XS, budget=v),
    "burn_in": lambda v: gr.flow.lyapunov(gr.lstm, PARAMS, XS, burn_in=v),
    "rule": lambda v: gr.train.Optimiser(rule=v),
    "loss": gr.streamed,
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("value", ["text", 3.5, 1j, (None,), [["b"]], object()], ids=lambda value: repr(value)[:12])
def test_other_arguments(name, value):
    with pytest.raises((TypeError, ValueError), match=f"^`{name}` must be "):
        REFUSED[name](value)


def test_selectivity_refuses_what_is_no_pair_of_classes():
    values = jnp.arange(6.0).reshape(3, 2)
    for labels, name in (
        (jnp.array([0, 1, 2]), "labels"),
        (jnp.array([0.5, 0, 1]), "labels"),
        (jnp.zeros(3), "labels"),
    ):
        with pytest.raises(ValueError, match=f"^`{name}` must be "):
            gr.flow.selectivity(values, labels)
    with pytest.raises(ValueError, match="^`values` must be "):
        gr.flow.selectivity(values.at[0, 0].set(jnp.nan), jnp.array([0, 1, 1]))


@pytest.mark.parametrize("method", [gr.Segmented(2), gr.Autodiff(), gr.Checkpointed(2)], ids=lambda m: type(m).__name__)
def test_inputs_beyond_float16(method):
    """Float32 inputs of 1e5 on float16 weights are multiplied as they are: the result of the same float32 weights."""
    params = jax.tree.map(lambda a: a.astype("float16"), gr.rnn.init(KEY, D, H))
    params = params._replace(input={"w": params.input["w"] * jnp.float16(1e-4), "b": params.input["b"]})
    wide = jax.tree.map(lambda a: a.astype("float32"), params)
    xs = 1e5 * jax.random.normal(KEY, (T, B, D))
    run = lambda params: gr.unroll(gr.rnn, params, xs, method=method)[1]
    np.testing.assert_allclose(run(params), run(wide), rtol=2e-2, atol=2e-3)
    gradients = jax.grad(lambda params: run(params)[0].sum())(params)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_the_callers_arrays_stay():
    """A carry of one array twice goes into `streamed`, and is there afterwards, like everything else that was given."""

    def loss(params, carry, xs):
        carry, ys = gr.unroll(gr.lstm, params, xs, carry)
        return jnp.square(ys).sum(), carry

    zero = jnp.zeros((B, H))
    given = PARAMS, gr.LSTMState(zero, zero), XS
    step = gr.streamed(loss)
    first, again = step(*given), step(*given)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    state = gr.train.init(SETUP)
    twice = [gr.train.step(SETUP, state)[1] for _ in range(2)]
    assert twice[0] == twice[1]
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((given, state)))


def test_the_sentence():
    """Arrays are named by their shape, and nothing long is printed."""
    with pytest.raises(
        ValueError, match=re.escape("`hidden_size` must be a whole number of at least 1; got float64 (3, 3).")
    ):
        gr.lstm.init(KEY, D, np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"got 'x{59}\.\.\.x{36}'\.$"):
        gr.lstm.init(KEY, D, "x" * 10**6)
