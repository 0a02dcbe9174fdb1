"""Arguments of the public functions: whatever is no argument of its kind is refused in one sentence."""

import math
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

import gatedrnn as gr
from gatedrnn.models import Model
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
