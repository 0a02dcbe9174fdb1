"""The default method: which way is chosen at which sizes, that all ways are one function, and what `explain` says."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import Mesh
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
    (64, 2, 8, 5): ("scan", "segments"),  # many rows, few steps, narrow
    (64, 2, 64, 5): ("scan", "scan"),  # many rows, few steps
    (2, 3, 32, 7): ("segments", "segments"),  # few steps, kept
    (2, 129, 128, 65): ("segments", "segments"),  # wide, kept
    (8, 3, 64, 61): ("scan", "segments"),  # one scan forward where h is the carry, two segments and a rest back
    (4, 3, 128, 65): ("scan", "segments"),  # one scan forward, all is kept, five segments back
    (64, 1, 64, 17): ("segments", "segments"),  # one number a step
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
    ("cell", "size", "stepwise"),
    [
        (gr.gru, (8, 3, 64, 65), True),  # 512 numbers, and h is the carry
        (gr.gru, (7, 3, 64, 65), False),  # fewer
        (gr.gru, (8, 65, 64, 65), False),  # wide
        (gr.gru, (8, 1, 64, 65), False),  # one number a step, for three gates
        (gr.rnn, (8, 1, 64, 65), True),  # for one
        (gr.lstm, (8, 3, 64, 65), False),  # c is computed again
        (gr.lstm, (4, 3, 128, 65), True),  # c is kept
    ],
)
def test_where_one_scan_runs_forward(cell, size, stepwise):
    """In the gradient, as the docstring of `Auto` says."""
    batch, width, hidden, steps = size
    params, xs = cell.init(jax.random.key(0), width, hidden), jnp.zeros((steps, batch, width))
    assert auto._chosen(cell, check_sequence(cell, params, xs, None)).loops.stepwise == stepwise


@pytest.mark.parametrize(("batch", "steps", "laid_out"), [(2, 17, True), (2, 16, False), (1, 17, False)])
def test_where_the_transpose_is_laid_out(batch, steps, laid_out):
    """As the docstring of `Auto` says; a vector's product with it reads U row by row."""
    params = gr.gru.init(jax.random.key(0), 3, 4)
    sequence = check_sequence(gr.gru, params, jnp.zeros((steps, batch, 3)), None)
    assert auto._chosen(gr.gru, sequence).loops.laid_out == laid_out


def test_ways_that_no_cell_is_run_by():
    """What the backward pass would miss is refused before anything is run."""
    for cell, ways in (
        (gr.lstm, ({"plain": True, "stepwise": True}, {"keeps": True, "stepwise": True})),
        (gr.gru, ({"stepwise": True},)),
        (gr.normalised(gr.gru), ({"keeps": True},)),
    ):
        params = cell.init(jax.random.key(0), 2, 3)
        sequence = check_sequence(cell, params, jnp.zeros((4, 2, 2)), None)
        for way in ways:
            with pytest.raises(ValueError, match="`stepwise` must be False|`keeps` must be False"):
                in_scans(Scans(**way), None, None, cell, params, sequence)


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


def test_what_explain_says():
    """In a sentence; of methods that hold another one, what that one does; of a given one, that it was given."""
    params = gr.gru.init(jax.random.key(0), 3, 4)
    line = "gru (B = {}, D = 3, H = 4, T = 30): forward {}, gradient segments, K = {}; {}; {}"
    for batch, told in ((2, ("segments", 30, auto.WIDE)), (128, ("scan", 30, auto.NARROW))):
        way, length, why = told
        found = str(gr.explain(gr.gru, params, shapes(batch, 3, 30))[0])
        assert found == line.format(batch, way, length, why, auto.LONG)
    inside = gr.explain(gr.gru, params, shapes(2, 3, 30), method=gr.Checkpointed(10, gr.Autodiff()))[0]
    assert (inside.gradient, inside.why) == ("Autodiff(unroll=1, clip=None)", "it was asked for")
    fused = gr.explain(gr.gru, params, shapes(2, 3, 30), method=gr.Fused())[0]
    assert (fused.gradient, fused.why) == ("segments", "there is no kernel for the CPU")
    assert gr.explain(gr.gru, params, shapes(2, 3, 30), method=gr.Fused(interpret=True))[0].gradient == "kernel"
    given = gr.explain(gr.gru, params, shapes(2, 3, 30), method=gr.Segmented(7))[0]
    assert (given.forward, given.gradient, given.length, given.why) == ("segments", "segments", 7, "it was asked for")


@dataclasses.dataclass(frozen=True)
class Own:
    """A method of somebody's that says how it runs a cell; with another, one that runs halves by it."""

    method: Any = None

    def __call__(self, cell, params, sequence, outputs):
        raise AssertionError("nothing is run to explain")

    def way(self, cell, params, sequence):
        return "forwards", "backwards", 3, f"of {sequence.xs.shape[0]} steps"

    def piece(self, steps, rows):
        return -(-steps // 2), rows


def test_what_a_method_of_ones_own_says():
    """By its `way`, of the longest `piece` that one which holds it makes."""
    params = gr.gru.init(jax.random.key(0), 3, 4)
    found = gr.explain(gr.gru, params, shapes(2, 3, 31), method=Own(Own()))[0]
    assert (found.steps, found.forward, found.gradient, found.length) == (16, "forwards", "backwards", 3)
    assert found.why == "of 16 steps"


def test_explain_refuses_what_unroll_refuses():
    """In one sentence, of the same argument."""
    params, alone = gr.gru.init(jax.random.key(0), 3, 4), gr.lem.init(jax.random.key(0), 3, 4)
    for argument, cell, given, xs, method in (
        ("method", gr.gru, params, shapes(2, 3, 30), "fast"),
        ("method", gr.lem, alone, shapes(2, 3, 30), gr.Segmented()),
        ("method", gr.lem, alone, shapes(2, 3, 30), gr.Fused(interpret=True)),
        ("xs", gr.gru, params, shapes(2, 5, 30), None),
        ("xs", gr.gru, params, "abc", None),
        ("xs", gr.gru, params, shapes(3, 3, 30), gr.Sharded(Mesh(jax.devices()[:2], "rows"))),
        ("params", gr.gru, "abc", shapes(2, 3, 30), None),
        ("params", gr.gru, 5, shapes(2, 3, 30), None),
        ("cell", "gru", params, shapes(2, 3, 30), None),
    ):
        with pytest.raises(ValueError, match=f"^`{argument}` must be "):
            gr.explain(cell, given, xs, method=method)


def test_of_pieces_what_runs_a_piece_is_told():
    """Its sizes decide, not those of the whole; in a network a cell with `step` alone is never run in segments."""
    network = gr.stack(gr.gru, gr.lem)
    params = network.init(jax.random.key(0), 2, 64)
    pieces = {
        gr.Truncated(50): (128, 50),
        gr.Checkpointed(60): (128, 60),
        gr.Checkpointed(): (128, 64),
        gr.Checkpointed(80, gr.Checkpointed(20)): (128, 20),
        gr.Sharded(Mesh(jax.devices()[:2], "rows")): (64, 640),
        gr.Sharded(Mesh(jax.devices()[:2], "rows"), method=gr.Truncated(30)): (64, 30),
    }
    for method, (batch, steps) in pieces.items():
        found = gr.explain(network, params, shapes(128, 2, 640), method=method)
        assert found == gr.explain(network, params, shapes(batch, 2, steps)), method
        assert found[0].gradient == ("scan" if steps <= auto.STEPS else "segments")
    for method in (gr.Segmented(5), gr.Truncated(50, gr.Segmented(5))):
        found = gr.explain(network, params, shapes(128, 2, 640), method=method)
        assert [each.gradient for each in found] == ["segments", "scan"]
        assert found[1].why == auto.ALONE


def test_one_choice_for_symbols():
    """A program whose T and B are symbols has segments, whatever they come to be."""
    params = gr.gru.init(jax.random.key(0), 3, 4)
    steps, rows = jax.export.symbolic_shape("t, b")
    exported = jax.export.export(jax.jit(lambda xs: gr.unroll(gr.gru, params, xs)[1]))(
        jax.ShapeDtypeStruct((steps, rows, 3), "float32")
    )
    xs = jax.random.normal(jax.random.key(1), (70, 2, 3))
    assert_close(exported.call(xs), gr.unroll(gr.gru, params, xs)[1], "float32", 60)


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
