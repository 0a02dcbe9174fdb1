"""Weights that options of `init` have shaped, heads and projections, saved and loaded alone and inside networks."""

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import gatedrnn as gr
from gatedrnn.models import Model, ModelParams, load, save
from gatedrnn.networks import BidirectionalParams, StackParams, width_of

D, H, OUT = 3, 6, 2
PROJECTED = gr.projected(gr.lstm)
TWO_BELOW = gr.stack(gr.slstm, gr.lstm)


def shapes(cell, width, hidden=H, **options):
    """What `init` draws, as shapes."""
    return jax.eval_shape(lambda: cell.init(jax.random.key(0), width, hidden, **options))


def both(forward, backward):
    """Both directions of projected LSTMs, of their own P each."""
    sizes = (forward, backward)
    return BidirectionalParams(*(shapes(PROJECTED, D, projected_size=size) for size in sizes))


def own():
    """A cell of a stranger, whose option `rank` shapes its weights."""

    def init(key, input_size, hidden_size, *, rank=1):
        return {"a": jnp.zeros((hidden_size, rank)), "b": jnp.zeros((rank, input_size))}

    def step(params, carry, x):
        h = jnp.tanh(x @ params["b"].T @ params["a"].T)
        return gr.RNNState(h), h

    def first(params, batch_size=None):
        return gr.RNNState(gr.linear.zeros(params["a"].shape[0], jnp.float32, batch_size))

    cell = gr.Cell.from_step("own", step, init=init, initial_carry=first)
    return replace(cell, options_of=lambda params: {"rank": params["a"].shape[1]})


CASES = {
    "heads": (gr.slstm, shapes(gr.slstm, D, heads=2)),
    "a head for each unit": (gr.slstm, shapes(gr.slstm, D, heads=H)),
    "P = H": (PROJECTED, shapes(PROJECTED, D, projected_size=H)),
    "P = 1": (PROJECTED, shapes(PROJECTED, D, projected_size=1)),
    "a learned carry": (gr.learned_carry(gr.slstm), shapes(gr.learned_carry(gr.slstm), D, heads=3)),
    "zoneout": (gr.regularised(gr.slstm, zoneout=0.1), shapes(gr.slstm, D, heads=3)),
    "gates normalised": (gr.normalised(gr.slstm), shapes(gr.normalised(gr.slstm), D, heads=2)),
    "in a stack": (gr.stack(gr.slstm, layers=2), shapes(gr.stack(gr.slstm, layers=2), D, heads=2)),
    "in the lower of two layers": (
        TWO_BELOW,
        StackParams((shapes(gr.slstm, D, heads=2), shapes(gr.lstm, H))),
    ),
    "two directions": (gr.bidirectional(PROJECTED), both(2, 5)),
    "a norm of what is projected": (
        gr.stack(PROJECTED, gr.gru, norm=gr.networks.layer_norm),
        StackParams(
            (shapes(PROJECTED, D, projected_size=5), shapes(gr.gru, 5)),
            (jax.eval_shape(lambda: gr.networks.layer_norm.init(5, "float32")),),
        ),
    ),
    "networks in networks": (
        gr.stack(gr.bidirectional(PROJECTED), gr.stack(gr.slstm, gr.gru, skip=True)),
        StackParams((both(1, 4), StackParams((shapes(gr.slstm, 5, heads=3), shapes(gr.gru, H + 5))))),
    ),
}


def drawn(cell, weights):
    """A model, and numbers in the place of shapes, none of them zero."""
    rng = np.random.default_rng(0)
    number = lambda *size: jnp.asarray(rng.normal(size=size), jnp.float32)
    held = jax.tree.map(lambda a: number(*a.shape), weights)
    readout = {"w": number(width_of(cell, held, D), OUT), "b": number(OUT)}
    return Model(cell, D, H, OUT), ModelParams(None, held, readout)


@pytest.mark.parametrize(("cell", "weights"), CASES.values(), ids=CASES)
def test_saved_and_loaded(tmp_path, cell, weights):
    """Bit for bit, in the structure that the cell runs with; nothing is written but what was always written."""
    model, params = drawn(cell, weights)
    found = load(save(tmp_path, model, params, {}))
    assert found.model == model
    chex.assert_trees_all_equal(found.params, params)
    jax.eval_shape(lambda params: model(params, jnp.zeros((2, 2, D))), found.params)


def test_a_cell_of_a_stranger(tmp_path):
    """Which says by `options_of` what its weights show; without it, they are weights of another size."""
    cell = own()
    model, params = drawn(cell, shapes(cell, D, rank=3))
    chex.assert_trees_all_equal(load(save(tmp_path, model, params, {}), cells=[cell]).params, params)
    silent = gr.Cell.from_step("own", cell.step, init=cell.init, initial_carry=cell.initial_carry)
    with pytest.raises(ValueError, match=r"^`params` must be weights of the model's sizes; got .*\.$"):
        save(tmp_path, Model(silent, D, H, OUT), params, {})
    with pytest.raises(ValueError, match="^`path` must be weights of the sizes that its JSON says"):
        load(tmp_path, cells=[silent])


HEADS, P = "cell.recurrent.w", "cell.projection"
HOSTILE = {
    "heads that do not divide H": (gr.slstm, {HEADS: (4, 2, 6)}),
    "more heads than units": (gr.slstm, {HEADS: (12, 1, 4)}),
    "no heads": (gr.slstm, {HEADS: (0, 3, 12)}),
    "heads of other units": (gr.slstm, {HEADS: (2, 2, 12)}),
    "no axis of heads": (gr.slstm, {HEADS: (6, 24)}),
    "heads of an LSTM": (gr.lstm, {HEADS: (2, 3, 12)}),
    "a wider projection than the output read": (PROJECTED, {P: (H, 4)}),
    "P above H": (PROJECTED, {P: (H, 9), "cell.cell.recurrent.w": (9, 24), "readout.w": (9, OUT)}),
    "P = 0": (PROJECTED, {P: (H, 0), "cell.cell.recurrent.w": (0, 24), "readout.w": (0, OUT)}),
    "another readout": (PROJECTED, {"readout.w": (4, OUT)}),
    "other units": (gr.slstm, {HEADS: (2, 4, 16), "cell.input.w": (D, 32), "cell.input.b": (32,)}),
    "heads in a layer that has none": (TWO_BELOW, {"cell.layers.1.recurrent.w": (2, 3, 12)}),
}


@pytest.mark.parametrize(("cell", "changes"), HOSTILE.values(), ids=HOSTILE)
def test_shapes_that_no_options_make(tmp_path, cell, changes):
    """Saved, they are refused; in a file, in one sentence that names it."""
    model, params = drawn(cell, shapes(cell, D))
    path = save(tmp_path, model, params, {})
    arrays = load_file(path)
    assert set(changes) <= set(arrays)
    save_file(arrays | {name: np.ones(shape, np.float32) for name, shape in changes.items()}, path)
    with pytest.raises(ValueError, match="^`path` must be weights of the sizes that its JSON says") as caught:
        load(path)
    said = str(caught.value)
    assert repr(str(path)) in said and said.endswith(".") and "\n" not in said


@pytest.mark.slow
def test_trained_resumed_saved_and_gone_on_with(tmp_path):
    """Heads in every layer of a stack: checkpoints, a model, and a training that begins with it."""
    options = {"heads": 2}
    cell = gr.stack(gr.slstm, layers=2)
    setup = gr.train.Setup(gr.tasks.adding, cell, 8, 4, batch=2, cell_options=options)
    once = gr.train.fit(setup, steps=4, test_every=2, test_batches=1, folder=tmp_path / "once")
    gr.train.fit(setup, steps=2, test_every=2, test_batches=1, folder=tmp_path / "twice")
    twice = gr.train.fit(setup, steps=4, test_every=2, test_batches=1, folder=tmp_path / "twice", resume=True)
    chex.assert_trees_all_equal(twice.params(), once.params())
    found = load(save(tmp_path / "model", setup.model, once.params(), {}))
    assert found.params.cell.layers[1].recurrent["w"].shape == (2, 2, 8)
    begun = gr.train.init(setup, (0,), found.params)
    chex.assert_trees_all_equal(jax.tree.map(lambda a: a[0], begun.params), once.params())
