"""The default method: which way is chosen at which sizes, and that all ways are one function."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn._sequence import check_sequence
from gatedrnn.methods import auto
from gatedrnn.methods._loops import Scans
from gatedrnn.methods.segmented import in_scans

SIZES = {  # B D H T: the way forward, and that of the gradient
    (2, 3, 5, 7): ("segments", "segments"),  # narrow, and so few numbers that the product is hoisted
    (2, 6, 5, 7): ("segments", "segments"),  # wide
    (3, 2, 4, 21): ("segments", "segments"),  # U^T laid out
    (1, 5, 4, 21): ("segments", "segments"),  # one row
    (1, 3, 5, 4): ("scan", "segments"),  # one row, four steps
    (1, 3, 5, 5): ("segments", "segments"),  # and a fifth
    (64, 2, 8, 5): ("scan", "segments"),  # many rows, few steps, narrow
    (64, 2, 64, 5): ("scan", "scan"),  # many rows, few steps
    (2, 3, 32, 7): ("segments", "segments"),  # few steps, kept
    (2, 129, 128, 65): ("segments", "segments"),  # wide, kept
    (8, 3, 64, 61): ("scan", "segments"),  # one scan forward where h is the carry, two segments and a rest back
    (4, 3, 128, 65): ("scan", "segments"),  # one scan forward, all is kept, five segments back
    (64, 1, 64, 17): ("segments", "segments"),  # one number a step
    (2, 1, 5, 211): ("segments", "segments"),  # one number a step, one product for all, segments back
}


def shapes(batch, width, steps):
    return jax.ShapeDtypeStruct((steps, batch, width), "float32")


@pytest.mark.thinned(2)
@pytest.mark.parametrize("cell", [gr.gru, gr.lstm], ids=lambda cell: cell.name)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_way_is_one_function(cell, size):
    """Values and gradients are those of a plain scan, with flags, in both directions."""
    batch, width, hidden, steps = size
    keys = jax.random.split(jax.random.key(0), 4)
    params, xs = cell.init(keys[0], width, hidden), jax.random.normal(keys[1], (steps, batch, width))
    flags = {"mask": jax.random.bernoulli(keys[2], 0.8, (steps, batch))}
    flags["reset"] = jax.random.bernoulli(keys[3], 0.2, (steps, batch))
    found = gr.explain(cell, params, xs)
    assert [(each.forward, each.gradient) for each in found] == [SIZES[size]]
    assert (auto.BRIEF in found[0].why) == (size == (1, 3, 5, 4))

    def both(method, reverse, params, xs):
        def loss(params, xs):
            end, ys = gr.unroll(cell, params, xs, method=method, reverse=reverse, **flags)
            return jnp.sum(jnp.sin(ys)) + sum(jnp.sum(jnp.cos(part)) for part in end)

        run = gr.unroll(cell, params, xs, method=method, reverse=reverse, **flags)
        return run, jax.grad(loss, (0, 1))(params, xs)

    @jax.jit
    def everything(*arguments):
        return [[both(method, reverse, *arguments) for reverse in (False, True)] for method in (None, gr.Autodiff())]

    for got, want in zip(*everything(params, xs), strict=True):
        assert_close(got, want, "float32", 60 * steps)


@pytest.mark.parametrize(
    ("cell", "size", "once"),
    [
        (gr.gru, (8, 3, 64, 65), True),  # 512 numbers, and h is the carry
        (gr.gru, (7, 3, 64, 65), False),  # fewer
        (gr.rnn, (8, 1, 64, 65), True),  # one number a step, for one gate
        (gr.lstm, (8, 3, 64, 65), False),  # c is computed again
        (gr.lstm, (4, 3, 128, 65), True),  # c is kept
        (gr.rnn, (8, 64, 64, 2048), True),  # the inputs' product takes 4 MiB
        (gr.rnn, (8, 64, 64, 2049), False),  # 2 KiB more
        (gr.gru, (8, 64, 64, 65), False),  # of three gates
        (gr.gru, (8, 1, 64, 682), True),  # of one number a step, 4 MiB less 4 KiB
        (gr.gru, (8, 1, 64, 683), False),  # 2 KiB more than 4 MiB
        (gr.lstm, (8, 1, 64, 65), False),  # c is computed again
        (gr.lstm, (4, 1, 128, 65), True),  # c is kept
    ],
)
def test_where_one_scan_runs_forward(cell, size, once):
    """In the gradient, as the docstring of `Auto` says."""
    batch, width, hidden, steps = size
    params, xs = cell.init(jax.random.key(0), width, hidden), jnp.zeros((steps, batch, width))
    sequence = check_sequence(cell, params, xs, None)
    assert auto._chosen(cell, sequence).loops.runs_once(sequence.carry, kept=True) == once


def test_where_no_gradient_is_asked_for_nothing_need_be_kept():
    """A cell whose c is computed again runs once, too, as `explain` says where a segment is shorter."""
    params = gr.lstm.init(jax.random.key(0), 1, 64)
    for steps, told in ((20, False), (512, True), (513, False)):  # 8 KiB a step
        xs = jnp.zeros((steps, 8, 1))
        sequence = check_sequence(gr.lstm, params, xs, None)
        assert auto._chosen(gr.lstm, sequence).loops.runs_once(sequence.carry, kept=False) == (steps < 513)
        assert (auto.ONCE in gr.explain(gr.lstm, params, xs)[0].why) == told


@pytest.mark.parametrize(("batch", "steps", "laid_out"), [(2, 17, True), (2, 16, False), (1, 17, False)])
def test_where_the_transpose_is_laid_out(batch, steps, laid_out):
    """As the docstring of `Auto` says; a vector's product with it reads U row by row."""
    params = gr.gru.init(jax.random.key(0), 3, 4)
    sequence = check_sequence(gr.gru, params, jnp.zeros((steps, batch, 3)), None)
    assert auto._chosen(gr.gru, sequence).loops.laid_out == laid_out


def test_ways_that_no_cell_is_run_by():
    """What the backward pass would miss is refused before anything is run."""
    cell = gr.normalised(gr.gru)
    params = cell.init(jax.random.key(0), 2, 3)
    sequence = check_sequence(cell, params, jnp.zeros((4, 2, 2)), None)
    with pytest.raises(ValueError, match="`keeps` must be False"):
        in_scans(Scans(keeps=True), None, None, cell, params, sequence)


def test_the_default_is_auto_and_equal_values_are_one():
    assert gr.Auto() == gr.Auto() and hash(gr.Auto()) == hash(gr.Auto()) and gr.Auto(clip=1) == gr.Auto(1.0)
    assert gr.Checkpointed().method == gr.Auto() == gr.Truncated(3).method
    with pytest.raises(ValueError, match="`clip` must be"):
        gr.Auto(clip=0)


def test_cells_that_are_not_made_of_segments():
    """One with `step` alone, by itself and in a network; a carry of two dtypes. Each cell is asked for itself."""
    network = gr.bidirectional(gr.stack(gr.gru, gr.lem))
    params = network.init(jax.random.key(0), 3, 4)
    found = gr.explain(network, params, shapes(2, 3, 9))
    assert [each.cell for each in found] == ["gru", "lem", "gru", "lem"]
    assert [each.gradient for each in found] == ["segments", "scan"] * 2
    assert [each.input_size for each in found] == [3, 4, 3, 4]
    assert found[1].why == auto.ALONE and found[1].length is None and found[0].length == 9
    xs = jax.random.normal(jax.random.key(1), (9, 2, 3))
    assert_close(gr.unroll(network, params, xs), gr.unroll(network, params, xs, method=gr.Autodiff()), "float32", 60)
    mixed = gr.Cell.from_step("mixed", lambda p, c, x: (c, c[0] + x), init=gr.rnn.init, initial_carry=_mixed)
    assert gr.explain(mixed, gr.rnn.init(jax.random.key(0), 3, 3), shapes(2, 3, 9))[0].gradient == "scan"


def _mixed(params, batch=None):
    rows = () if batch is None else (batch,)
    return jnp.zeros((*rows, 3)), jnp.zeros((*rows, 3), jnp.bfloat16)


def test_broken_laws_are_refused_at_all_sizes():
    """Not only where segments run."""
    mixing = lambda x, h, carry: gr.RNNState(jnp.tanh(x[0] + h[0]) - h[0].mean(-1, keepdims=True))
    cell = gr.Cell("mixing", (), gr.rnn.init, gr.rnn.initial_carry, gr.rnn.project, gr.rnn.recur, mixing)
    params = cell.init(jax.random.key(0), 2, 3)
    for batch in (2, 64):  # segments for both; `Autodiff` for the second where H >= 64
        with pytest.raises(ValueError, match="elementwise"):
            gr.unroll(cell, params, jnp.ones((5, batch, 2)))


@pytest.mark.parametrize(
    ("cell", "size", "hoisted"),
    [
        (gr.gru, (32, 64, 256, 2_000), True),
        (gr.lstm, (8, 128, 256, 1_024), True),  # 2^28 to the number
        (gr.lstm, (8, 128, 256, 1_023), False),
        (gr.gru, (32, 63, 256, 3_000), False),  # too narrow
        (gr.gru, (64, 64, 127, 3_000), False),
        (gr.gru, (32, 64, 512, 3_000), False),  # too wide
        (gr.rnn, (32, 64, 256, 2_000), False),  # one gate
    ],
)
def test_where_large_products_are_hoisted(cell, size, hoisted):
    """Forward, as the docstring of `Auto` says."""
    batch, width, hidden, steps = size
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), width, hidden))
    found = gr.explain(cell, params, shapes(batch, width, steps))[0]
    assert found.forward == ("segments" if hoisted else "scan")
    assert (auto.LARGE in found.why, auto.NARROW in found.why) == (hoisted, not hoisted)


def test_one_choice_for_symbols():
    """A program whose T and B are symbols has segments, whatever they come to be."""
    params = gr.gru.init(jax.random.key(0), 3, 4)
    steps, rows = jax.export.symbolic_shape("t, b")
    exported = jax.export.export(jax.jit(lambda xs: gr.unroll(gr.gru, params, xs)[1]))(
        jax.ShapeDtypeStruct((steps, rows, 3), "float32")
    )
    xs = jax.random.normal(jax.random.key(1), (70, 2, 3))
    assert_close(exported.call(xs), gr.unroll(gr.gru, params, xs)[1], "float32", 60)


@pytest.mark.parametrize("mapped", [3, 20], ids=["three", "as many as steps"])
@pytest.mark.parametrize("method", [None, gr.Checkpointed(10)], ids=["alone", "pieces"])
def test_mapped_with_a_product_of_all_steps(mapped, method):
    """One loop forward and segments in the rule of its derivative leave a mapped axis in one place, too."""
    params, weights = gr.lstm.init(jax.random.key(0), 1, 5), jax.random.normal(jax.random.key(2), (mapped, 20, 2, 5))
    xs = jax.random.normal(jax.random.key(1), (mapped, 20, 2, 1))

    def both(method):
        run = lambda params, xs: jax.vmap(lambda xs: gr.unroll(gr.lstm, params, xs, method=method)[1])(xs)
        loss = lambda *given: jnp.sum(run(*given) * weights)
        return jax.value_and_grad(loss, (0, 1))(params, xs), jax.jvp(run, (params, xs), (params, xs))

    assert auto._chosen(gr.lstm, check_sequence(gr.lstm, params, xs[0], None)).loops.once
    assert_close(both(method), both(gr.Autodiff()), "float32", 20 * 6)


def test_gates_without_names_are_hoisted_by_segments():
    """How large their product is is not known."""
    params, xs = gr.rnn.init(jax.random.key(0), 3, 4), jnp.ones((2_000, 16, 3))
    cell = dataclasses.replace(gr.rnn, gates=(), activations=None)
    assert not auto._chosen(cell, check_sequence(cell, params, xs, None)).loops.once


@pytest.mark.parametrize("batch", [(), (2,)], ids=["one", "batch"])
def test_mapped_and_then_differentiated(batch):
    """The scan in the place of segments, and the rule of its derivative, leave a mapped axis in one place."""
    params = gr.gru.init(jax.random.key(0), 2, 512 // (batch or (1,))[0])
    xs = jax.random.normal(jax.random.key(1), (4, 5, *batch, 2))

    def both(method):
        run = jax.vmap(lambda xs: gr.unroll(gr.gru, params, xs, method=method))
        return run(xs), jax.grad(lambda xs: sum(jnp.sin(a).sum() for a in jax.tree.leaves(run(xs))))(xs)

    assert gr.explain(gr.gru, params, xs[0])[0].forward == "scan"
    assert_close(both(None), both(gr.Autodiff()), "float32", 60)


def test_gradients_in_bfloat16():
    """Of one gate, whose U^T is the transpose of one product."""
    params, xs = gr.rnn.init(jax.random.key(0), 3, 8, dtype=jnp.bfloat16), jnp.ones((40, 4, 3), jnp.bfloat16)
    loss = lambda params, method: gr.unroll(gr.rnn, params, xs, method=method)[1].astype(jnp.float32).sum()
    found, want = (jax.tree.leaves(jax.grad(loss)(params, method)) for method in (None, gr.Autodiff()))
    for a, b in zip(found, want, strict=True):
        assert jnp.linalg.norm((a - b).astype(jnp.float32)) < 0.05 * jnp.linalg.norm(b.astype(jnp.float32))


def test_no_rows_behind_a_norm():
    """The gradient of nothing is zero."""
    cell = gr.normalised(gr.lstm)
    params = cell.init(jax.random.key(0), 3, 4)
    found = jax.grad(lambda params: gr.unroll(cell, params, jnp.ones((3, 0, 3)))[1].sum())(params)
    assert all(not leaf.any() for leaf in jax.tree.leaves(found))
