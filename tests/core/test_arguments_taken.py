"""Arguments of the public functions: a number in any form is taken as Python's own, and seeds and biases alike."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.models import Model, hidden_size_for
from gatedrnn.tasks import sentences

D, H, T, B = 2, 3, 4, 2
KEY = jax.random.key(0)
PARAMS = gr.lstm.init(KEY, D, H)
XS = jnp.ones((T, B, D))
SETUP = gr.train.Setup(gr.tasks.adding, gr.lstm, horizon=4, hidden_size=2, batch=2)


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
