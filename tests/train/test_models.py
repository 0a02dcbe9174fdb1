"""Models against literal loops in float64: outputs, first weights, and sizes for a number of weights."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.models import Model, count, hidden_size_for

T, B, V, D, H, OUT = 6, 2, 7, 3, 4, 5
every_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)


@pytest.mark.parametrize("symbols", [False, True], ids=["features", "symbols"])
@every_cell
def test_outputs_are_those_of_a_literal_loop(cell, symbols, drawn):
    """Rows of the embedding, the recurrence, the readout: in float64, from weights none of which is zero."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        model = Model(cell, V, H, OUT, D if symbols else None)
        params = drawn(model, "float64")
        xs = rng.integers(0, V, (T, B)) if symbols else rng.normal(size=(T, B, V))
        carry, ys = model(params, jnp.asarray(xs))
    there = jax.tree.map(np.float64, params)
    features = there.embedding[xs] if symbols else xs
    want = reference.LOOPS[cell.name](there.cell, features)
    assert_close(ys, want.ys @ there.readout["w"] + there.readout["b"], "float64", T * H)
    assert_close(tuple(carry), want.carry, "float64", T * H)


@every_cell
def test_mask_and_reset_reach_the_recurrence(cell, drawn):
    """A masked step holds the carry and reads out zeros: the readout's bias alone."""
    model = Model(cell, V, H, OUT)
    params = drawn(model)
    rng = np.random.default_rng(1)
    xs, mask, reset = rng.normal(size=(T, B, V)).astype(np.float32), rng.random((T, B)) < 0.6, rng.random((T, B)) < 0.3
    carry, ys = model(params, jnp.asarray(xs), mask=jnp.asarray(mask), reset=jnp.asarray(reset))
    there = jax.tree.map(np.float64, params)
    want = reference.LOOPS[cell.name](there.cell, xs, mask=mask, reset=reset)
    assert_close(ys, want.ys @ there.readout["w"] + there.readout["b"], "float32", T * H)
    assert_close(tuple(carry), want.carry, "float32", T * H)
    np.testing.assert_array_equal(ys[~mask], np.broadcast_to(params.readout["b"], ys[~mask].shape))


@every_cell
def test_first_weights(cell):
    """Sizes and dtypes as promised; the readout of variance 1 / H and without bias."""
    model = Model(cell, 9, 200, 300, 50)
    params = model.init(jax.random.key(3))
    assert params.embedding.shape == (9, 50)
    chex.assert_trees_all_equal(params.cell, cell.init(jax.random.split(jax.random.key(3), 3)[1], 50, 200))
    assert not params.readout["b"].any()
    assert params.readout["b"].shape == (300,)
    w = np.asarray(params.readout["w"], np.float64)
    assert w.shape == (200, 300)
    assert abs(w.std() * 200**0.5 - 1) < 4 / (2 * w.size) ** 0.5
    assert abs(params.embedding.std() - 1) < 4 / (2 * 450) ** 0.5


def test_options_and_dtype_reach_the_cell():
    """`chrono` and bfloat16; without an embedding there is none."""
    given = Model(gr.lstm, 9, 4, 3).init(jax.random.key(3), chrono=50, dtype="bfloat16")
    want = gr.lstm.init(jax.random.split(jax.random.key(3), 3)[1], 9, 4, chrono=50, dtype="bfloat16")
    chex.assert_trees_all_equal(given.cell, want)
    assert given.embedding is None
    assert {leaf.dtype for leaf in jax.tree.leaves(given)} == {jnp.dtype("bfloat16")}


def counted(name, inputs, hidden, outputs):
    """Weights of a model without embedding: what the literal loop reads, and the readout."""
    read = reference.weights(name, inputs, hidden, np.random.default_rng(0))
    return sum(array.size for part in read for array in part.values()) + outputs * (hidden + 1)


@every_cell
def test_hidden_size_for_a_number_of_weights(cell):
    """The largest H that fits, at and just below the sizes of models: by enumeration."""
    by_hand = {hidden: counted(cell.name, 2, hidden, 3) for hidden in range(1, 5)}
    if cell is gr.gru:  # three gates, and the candidate's second bias
        assert by_hand == {h: 3 * h * (2 + h) + 4 * h + 3 * (h + 1) for h in by_hand}
    assert by_hand == {h: count(jax.eval_shape(Model(cell, 2, h, 3).init, jax.random.key(0))) for h in by_hand}
    assert count({"a": np.zeros((2, 3)), "b": [np.zeros(()), None]}) == 7
    for weights in (by_hand[1], by_hand[3] - 1, by_hand[3], by_hand[4] - 1):
        assert hidden_size_for(cell, 2, 3, weights) == max(h for h, total in by_hand.items() if total <= weights)
    large = hidden_size_for(cell, 1, 10, 10**5)
    assert counted(cell.name, 1, large, 10) <= 10**5 < counted(cell.name, 1, large + 1, 10)


@every_cell
def test_not_even_one_unit_fits(cell):
    least = counted(cell.name, 2, 1, 3)
    assert hidden_size_for(cell, 2, 3, least) == 1
    with pytest.raises(ValueError, match=f"`weights` must be at least {least} .*{cell.name}; got {least - 1}"):
        hidden_size_for(cell, 2, 3, least - 1)


@pytest.mark.parametrize("size", [0, -1, 2.0, "4", True])
def test_sizes_that_are_none(size):
    sizes = {"input_size": 2, "hidden_size": 3, "output_size": 4, "embedding_size": 5}
    for name in sizes:
        with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 1; got "):
            Model(gr.gru, **sizes | {name: size})
