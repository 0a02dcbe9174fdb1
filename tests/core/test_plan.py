"""gr.plan: what it predicts is what the user's own program takes, and it chooses the least work that fits."""

import jax
import jax.numpy as jnp
import pytest
from core_problems import FOREIGN
from tolerances import assert_close

import gatedrnn as gr

each_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)
T, B, D, H = 20_000, 2, 4, 16


def weighted(w, ys, targets):
    """A loss of a user: squared error of a linear readout."""
    return jnp.square((ys @ w)[..., 0] - targets)


def problem(cell):
    """Weights and the shapes of inputs."""
    return cell.init(jax.random.key(0), D, H), jax.ShapeDtypeStruct((T, B, D), "float32")


def gradient(cell, method, params, xs):
    """The compiled gradient of the user's loss, its targets left out."""
    targets, hidden = jnp.zeros(xs.shape[:2]), params.recurrent["w"].shape[0]

    def loss(params, w, xs):
        return gr.unroll(cell, params, xs, method=method, outputs=gr.Readout(weighted, w, targets))[1].mean()

    return jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, jnp.ones((hidden, 1)), xs).compile()


def size(compiled):
    """Bytes of its arguments, results and temporaries."""
    found = compiled.memory_analysis()
    return found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes


CELLS = {**gr.cells.CLASSICS, "foreign": FOREIGN}


@pytest.mark.slow
@pytest.mark.thinned(3)
@pytest.mark.parametrize("name", CELLS)
def test_prediction(name):
    """Within 20 % of the user's own program, for every option; memory falls as work rises."""
    cell = CELLS[name]
    params, xs = problem(gr.lstm if cell is FOREIGN else cell)
    with pytest.raises(ValueError, match="`budget` must be at least"):
        gr.plan(cell, params, xs, budget=1)
    ample = gr.plan(cell, params, xs, budget=10**12)
    tight = gr.plan(cell, params, xs, budget=ample.chosen.peak_bytes - 1)
    assert (ample.method, ample.chosen.extra_forward) == (gr.Auto(), 0)
    assert (tight.method, tight.chosen.extra_forward) == (gr.Checkpointed(), 1)
    assert tight.options == (ample.chosen, tight.chosen)
    assert tight.chosen.peak_bytes < ample.chosen.peak_bytes / 2
    for option in tight.options:
        assert abs(option.peak_bytes / size(gradient(cell, option.method, params, xs)) - 1) < 0.2


def test_exactly_the_budget_fits():
    """A budget equal to the prediction is enough; one byte less is not."""
    params, xs = problem(gr.rnn)
    need = gr.plan(gr.rnn, params, xs).chosen.peak_bytes
    assert gr.plan(gr.rnn, params, xs, budget=need).method == gr.Auto()
    assert gr.plan(gr.rnn, params, xs, budget=need - 1).method != gr.Auto()


@pytest.mark.slow
@pytest.mark.thinned(2)
@each_cell
def test_the_leanest_method_where_nothing_else_fits(cell, innermost_loops):
    """Two levels of checkpoints, predicted to 20 %; each level is one more forward loop with gates in it."""
    params, xs = cell.init(jax.random.key(0), D, 32), jax.ShapeDtypeStruct((T, 32, D), "float32")
    once = gr.plan(cell, params, xs, budget=gr.plan(cell, params, xs).chosen.peak_bytes - 1)
    twice = gr.plan(cell, params, xs, budget=once.chosen.peak_bytes - 1)
    assert [option.method for option in twice.options] == [
        gr.Auto(),
        gr.Checkpointed(),
        gr.Checkpointed.nested(T),
    ]
    for extra, option in enumerate(twice.options):
        found = gradient(cell, option.method, params, xs)
        assert abs(option.peak_bytes / size(found) - 1) < 0.2
        forward = [loop for loop in innermost_loops(found.as_text()) if all(loop)]
        assert len(forward) == 1 + extra == 1 + option.extra_forward


@pytest.mark.parametrize("budget", [0, -1, 1.5, "2 GB"])
def test_bad_budget(budget):
    """One sentence that names it."""
    params, xs = problem(gr.rnn)
    with pytest.raises(ValueError, match="`budget` must be a whole number .*; got"):
        gr.plan(gr.rnn, params, xs, budget=budget)


def test_weights_that_are_no_numbers():
    """A cell with `step` alone may hold a key and whole numbers among its weights: they have no gradient."""

    def step(params, carry, x):
        noise = jax.random.normal(params["key"], x.shape)
        h = 0.5 * carry.h + params["w"] * x + 0.1 * noise * params["sign"].astype(x.dtype)
        return gr.RNNState(h), h

    decay = gr.Cell.from_step(
        *("decay", step),
        init=lambda key, input_size, hidden_size: {"w": jnp.ones(()), "key": key, "sign": jnp.ones((B, D), int)},
        initial_carry=lambda params, batch_size=None: gr.RNNState(jnp.zeros((batch_size, D))),
    )
    params, xs = decay.init(jax.random.key(0), D, D), jnp.ones((9, B, D))
    assert gr.plan(decay, params, xs, budget=10**9).method == gr.Auto()
    gradient = jax.grad(lambda w: gr.unroll(decay, {**params, "w": w}, xs)[1].sum())(jnp.ones(()))
    assert gradient == pytest.approx(B * D * sum(2 - 0.5**t for t in range(9)))


def windowed(params, carry, xs):
    """The loss of one window, and the carry it ends with."""
    carry, ys = gr.unroll(gr.lstm, params, xs, carry)
    return jnp.sum(ys**2), carry


def test_streamed_equals_truncated():
    """Gradients summed over windows are those of `Truncated` on the whole; the carry's buffers are given away."""
    params = gr.lstm.init(jax.random.key(0), D, H)
    xs = jax.random.normal(jax.random.key(1), (60, B, D))
    step = gr.streamed(windowed)
    carry, total = gr.lstm.initial_carry(params, B), jax.tree.map(jnp.zeros_like, params)
    for window in xs.reshape(3, 20, B, D):
        given = carry
        gradients, carry, _ = step(params, carry, window)
        assert not (given.h.is_deleted() or given.c.is_deleted())
        total = jax.tree.map(jnp.add, total, gradients)
    whole = lambda method: jax.grad(lambda p: jnp.sum(gr.unroll(gr.lstm, p, xs, method=method)[1] ** 2))(params)
    assert_close(total, whole(gr.Truncated(20)), "float32", 60 * (D + H))
    with pytest.raises(AssertionError, match="close"):  # the windows do cut something
        assert_close(total, whole(gr.Segmented()), "float32", 60 * (D + H))
