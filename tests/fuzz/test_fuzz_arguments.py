"""Hostile values for every argument of the public functions, and numbers that mean the same.

Of the kinds of faults that were found from outside, these would have shown: weights that are never checked; settings
that are checked but not normalised; sentences that are Python's own or blame another argument; a profile of another
shape; task and cell given by name; sizes of zero; complex numbers that lose a part; biases that are infinite; axes that
cannot be hashed; seeds from a generator; labels of three classes and values that are NaN; temperatures and keys out of
range; an unroll of zero.
"""

import tempfile
import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fuzz_settings import refusal
from jax.sharding import Mesh

import gatedrnn as gr
from gatedrnn.models import Model, generate, hidden_size_for, save
from gatedrnn.tasks import sentences, series, text

KEY = jax.random.key(0)
T, B, D, H = 3, 2, 2, 2
PARAMS, XS = gr.gru.init(KEY, D, H), jnp.ones((T, B, D))
MESH = Mesh(np.array(jax.devices()[:1]), ("batch",))
SETUP = gr.train.Setup(gr.tasks.adding, gr.gru, horizon=4, hidden_size=2, batch=2)
MODEL = Model(gr.gru, 3, 2, 3, 2)
WEIGHTS = MODEL.init(KEY)
PROFILE = np.linspace(0, -3, T + 1)

VALUES = [None, "3", "", "x" * 10_000, "a\nb", b"3", True, np.True_, float("nan"), float("inf"), -float("inf"), -1, 0]
VALUES += [10**400, 2**31, 2**63, -(2**70), 2.5, 3.0, np.float32(2), np.float64("nan"), 3j, np.complex64(1j), 1e-320]
VALUES += [1e300, (), [], {}, set(), [None], [[1], [1, 2]], [[["a"]]], {"a": 1}, range(2), object(), int, len, Ellipsis]
VALUES += [np.array(3), np.array(3.0), np.array("3"), np.array(None), np.array([]), np.ones((0, 2)), np.ones((1,) * 6)]
VALUES += [np.ones((T, B), bool), np.ones((T, B, D), complex), np.ones((T, B, D), int), np.full((T, B, D), np.nan)]
VALUES += [np.array([b"a", b"b"]), np.array([1, None]), np.datetime64(3, "s"), np.array([(1, 2.0)], "i4,f4"), slice(3)]
VALUES += [
    jnp.ones((T, B, D), "bfloat16"),
    jnp.ones((T, B, D), "complex64"),
    KEY,
    jax.random.key_data(KEY),
    jnp.array(2),
]
VALUES += [np.ma.masked_array([1.0], [True]), jax.ShapeDtypeStruct((T, B, D), jnp.float32), np.float16(65504), "bool"]
VALUES += [PARAMS, gr.lstm.init(KEY, D, H), gr.gru, gr.lstm, gr.Segmented, gr.Segmented(2), gr.GRUState(None), SETUP]
VALUES += [gr.GRUState(np.ones((B, H))), gr.LSTMState(1, 2), (i for i in (0, 1)), {0: XS}, {"a": XS}, [gr.gru, "gru"]]

SIZES = ("length", "unroll", "window", "horizon", "hidden_size", "batch", "embedding_size", "input_size", "output_size")


def unrolled(**given):
    return gr.unroll(**{"cell": gr.gru, "params": PARAMS, "xs": XS} | given)


def analysed(function):
    return lambda **given: function(**{"cell": gr.gru, "params": PARAMS, "xs": XS} | given)


def fitted(**given):
    return gr.train.fit(given.pop("setup", SETUP), **{"steps": 1, "test_batches": 1} | given)


def saved(**given):
    with tempfile.TemporaryDirectory() as folder:
        return save(**{"folder": folder, "model": MODEL, "params": WEIGHTS, "about": {}} | given).name


def written(**given):
    return generate(**{"model": MODEL, "params": WEIGHTS, "key": KEY, "prompt": jnp.array([1]), "length": 2} | given)


def drawn(cell):
    return lambda **given: cell.init(**{"key": KEY, "input_size": D, "hidden_size": H} | given)


SEQUENCE = ("cell", "params", "xs", "carry", "mask", "reset")
FUNCTIONS = {  # what is called, and the arguments that are tried
    "unroll": (unrolled, (*SEQUENCE, "reverse", "method", "outputs")),
    "gate_activations": (analysed(gr.gate_activations), SEQUENCE),
    "plan": (analysed(gr.plan), ("cell", "params", "xs", "budget")),
    "adjoint": (analysed(gr.flow.adjoint), (*SEQUENCE, "dys", "dcarry", "reverse")),
    "lyapunov": (analysed(gr.flow.lyapunov), (*SEQUENCE, "k", "burn_in", "reverse")),
    "timescales": (analysed(gr.flow.timescales), (*SEQUENCE, "reverse")),
    "decay": (
        lambda **given: gr.flow.decay(**{"log10_norm": PROFILE} | given),
        ("log10_norm", "mask", "reset", "reverse"),
    ),
    "selectivity": (
        lambda **given: gr.flow.selectivity(**{"values": np.ones((2, 3)), "labels": np.array([0, 1])} | given),
        ("values", "labels"),
    ),
    "compare": (
        lambda **given: gr.flow.compare(**{"cells": [gr.rnn], "xs": XS, "hidden_size": 2, "seeds": 1} | given),
        ("cells", "xs", "inits", "seeds", "dtype"),
    ),
    "gru": (drawn(gr.gru), ("key", "input_size", "update_bias", "chrono", "dtype", "input_init", "recurrent_init")),
    "lstm": (drawn(gr.lstm), ("key", "input_size", "forget_bias", "chrono", "dtype")),
    "rnn": (drawn(gr.rnn), ("key", "input_size", "dtype", "input_init")),
    "initial_carry": (lambda batch_size: gr.gru.initial_carry(PARAMS, batch_size), ("batch_size",)),
    "orthogonal": (gr.initializers.orthogonal, ("gain",)),
    "gaussian": (gr.initializers.gaussian, ("gain",)),
    "chrono": (lambda chrono: gr.initializers.chrono(chrono), ("chrono",)),
    "Model": (
        lambda **given: Model(**{"cell": gr.gru, "input_size": 1, "hidden_size": 1, "output_size": 1} | given),
        ("cell", "input_size", "hidden_size", "output_size", "embedding_size"),
    ),
    "Model.init": (lambda **given: MODEL.init(**{"key": KEY} | given), ("key", "dtype")),
    "hidden_size_for": (lambda weights: hidden_size_for(gr.gru, 1, 1, weights), ("weights",)),
    "generate": (written, ("model", "params", "key", "prompt", "temperature")),
    "save": (saved, ("model", "params", "about", "name")),
    "load": (gr.load, ("path",)),
    "Setup": (
        lambda **given: replace(SETUP, **given),
        ("task", "cell", "horizon", "hidden_size", "batch", "optimiser", "method", "embedding_size", "cell_options"),
    ),
    "Optimiser": (gr.train.Optimiser, ("rule", "learning_rate", "clip")),
    "init": (lambda seeds: gr.train.init(SETUP, seeds), ("seeds",)),
    "fit": (fitted, ("setup", "seeds", "target", "seconds", "save_every", "mesh", "resume", "force", "metrics")),
    "adding": (
        lambda **given: gr.tasks.adding(**{"key": KEY, "batch": 2, "steps": 4} | given),
        ("key", "batch", "steps"),
    ),
    "agreement_with": (sentences.agreement_with, ("attractors", "differ")),
    "Segmented": (gr.Segmented, ("length",)),
    "Autodiff": (gr.Autodiff, ("unroll",)),
    "Checkpointed": (gr.Checkpointed, ("length", "method")),
    "Truncated": (lambda **given: gr.Truncated(**{"window": 2} | given), ("window", "method")),
    "Sharded": (lambda **given: gr.Sharded(**{"mesh": MESH} | given), ("mesh", "axes", "method")),
    "streamed": (gr.streamed, ("loss",)),
    "read_series": (series.read_series, ("path",)),
    "read_text": (text.read_text, ("path",)),
}
PAIRS = [(name, argument) for name, (_, arguments) in FUNCTIONS.items() for argument in arguments]


def outcome(function, **given):
    """What it gives, or its sentence; nothing else may come of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return function(**given)
        except (TypeError, ValueError) as error:
            return error


def tried(name, argument, value):
    """A value; or one line that names an argument."""
    found = outcome(FUNCTIONS[name][0], **{argument: value})
    if isinstance(found, Exception):
        refusal(found)


@pytest.mark.thinned(5)
@pytest.mark.parametrize("pair", PAIRS, ids=".".join)
def test_each_argument(pair):
    """A hostile value in the place of one argument."""
    for value in VALUES:
        tried(*pair, value)


@pytest.mark.parametrize("of", [np.int64, np.array, jnp.array], ids=["np.int64", "np.array", "jnp.array"])
def test_numbers_that_mean_the_same(of):
    """A whole number in any form gives the same result."""
    sized = [(name, argument) for name, argument in PAIRS if argument in SIZES and name != "hidden_size_for"]
    for name, argument in sized:
        got, want = (outcome(FUNCTIONS[name][0], **{argument: value}) for value in (of(3), 3))
        assert str(got) == str(want), (name, argument)
