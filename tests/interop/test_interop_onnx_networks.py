"""ONNX: whole networks in onnxruntime, through one graph each, for any lengths, batches and first carries."""

import importlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
interop = importlib.import_module("gatedrnn.interop.onnx")

T, B, D, H = 7, 4, 3, 5
LENGTHS = np.array([3, 0, T, 1], np.int32)
BOUND = 1e-5
NETWORKS = {
    "lstm": gr.lstm,
    "both": gr.bidirectional(gr.gru),
    "stack": gr.stack(gr.lstm, gr.rnn, gr.gru),
    "stack_of_both": gr.stack(gr.bidirectional(gr.lstm), gr.bidirectional(gr.rnn), gr.gru),
}
one_way = ["lstm", "stack"]


def session_of(model):
    """The model, checked with its shapes, in onnxruntime."""
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = interop.SILENT
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def random_carry(cell, params, rows):
    """Random numbers in the shapes of a first carry."""
    rng = np.random.default_rng(2)
    return jax.tree.map(lambda a: jnp.float32(rng.normal(size=a.shape)), cell.initial_carry(params, rows))


def names_of(model):
    """The names of the first carry's parts, in the order of the graph's inputs."""
    return [value.name for value in model.graph.input if value.name not in ("xs", "x", "sequence_lens")]


def assert_near(got, want):
    """What onnxruntime gave, and `(carry, ys)` of unroll."""
    carry, ys = want
    chex.assert_trees_all_close(got, [ys, *jax.tree.leaves(carry)], atol=BOUND, rtol=0)


@pytest.mark.parametrize("which", NETWORKS)
def test_one_graph(which, network_params):
    """Outputs and last carries with and without lengths, from given carries and from none, at several T and B."""
    cell = NETWORKS[which]
    params = network_params(cell)
    model = interop.to_onnx(cell, params, lengths=True)
    session, rng = session_of(model), np.random.default_rng(3)
    xs = np.float32(rng.normal(size=(T, B, D)))
    first = random_carry(cell, params, B)
    feed = dict(zip(names_of(model), map(np.asarray, jax.tree.leaves(first)), strict=True))
    want = gr.unroll(cell, params, xs, first, lengths=LENGTHS)
    assert_near(session.run(None, {"xs": xs, "sequence_lens": LENGTHS, **feed}), want)
    xs[np.arange(T)[:, None] >= LENGTHS] = np.nan  # what padding holds touches nothing
    assert_near(session.run(None, {"xs": xs, "sequence_lens": LENGTHS, **feed}), want)
    for steps, rows in ((5, 3), (1, 1)) if which == "both" else ((5, 3),):
        xs = np.float32(rng.normal(size=(steps, rows, D)))
        plain = session.run(None, {"xs": xs})
        assert_near(plain, gr.unroll(cell, params, xs))
        chex.assert_trees_all_equal(session.run(None, {"xs": xs, "sequence_lens": np.full(rows, 9, np.int32)}), plain)


@pytest.mark.parametrize("which", NETWORKS)
def test_names(which, network_params):
    """The carry's parts have their places' names, in JAX's order, and every axis that is free is so."""
    cell = NETWORKS[which]
    model = interop.to_onnx(cell, network_params(cell))
    wanted = {
        "lstm": ["h", "c"],
        "both": ["h_forward", "h_backward"],
        "stack": ["h_0", "c_0", "h_1", "h_2"],
        "stack_of_both": [
            *("h_0_forward", "c_0_forward", "h_0_backward", "c_0_backward"),
            *("h_1_forward", "h_1_backward", "h_2"),
        ],
    }[which]
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert list(shapes) == ["xs", *wanted, "ys", *(f"{name}_last" for name in wanted)]
    width = 2 * H if which == "both" else H
    assert shapes == {"xs": ["T", "B", D], "ys": ["T", "B", width]} | {
        name: ["B", H] for part in wanted for name in (part, f"{part}_last")
    }


@pytest.mark.parametrize(("which", "lengths"), [("lstm", None), ("stack", LENGTHS)], ids=one_way)
def test_reversed(which, lengths, network_params):
    """From the last step of each row to the first."""
    cell, xs = NETWORKS[which], np.random.default_rng(4).normal(size=(T, B, D))
    errors = interop.verify_onnx(cell, network_params(cell), xs, lengths=lengths, reverse=True)
    assert errors.largest < BOUND


@pytest.mark.parametrize("which", one_way)
def test_step(which, network_params):
    """A graph of one step, whose carry goes in and comes out: along a sequence it is `unroll`, from zeros too."""
    cell = NETWORKS[which]
    params, xs = network_params(cell), np.float32(np.random.default_rng(5).normal(size=(T, B, D)))
    assert interop.verify_onnx(cell, params, xs, step=True).largest < BOUND
    model = interop.to_onnx(cell, params, step=True)
    session = session_of(model)
    assert [value.name for value in session.get_inputs()] == ["x"]
    y, *carry = session.run(None, {"x": xs[0]})
    again, *_ = session.run(None, {"x": xs[1], **dict(zip(names_of(model), carry, strict=True))})
    _, ys = gr.unroll(cell, params, xs)
    chex.assert_trees_all_close([y, again], [ys[0], ys[1]], atol=BOUND, rtol=0)


@pytest.mark.parametrize("which", NETWORKS)
def test_round_trip(which, network_params):
    """What is written is read again, bit for bit: with lengths, reversed, and of one step."""
    cell = NETWORKS[which]
    params = network_params(cell)
    for options in ({}, {"lengths": True}, *([{"reverse": True}, {"step": True}] if which in one_way else [])):
        reverse = options.get("reverse", False)
        back, again = interop.from_onnx(interop.to_onnx(cell, params, **options), reverse=reverse)
        assert back == cell
        chex.assert_trees_all_equal(again, params, strict=True)


def test_swapped_directions_show(monkeypatch, network_params):
    """What verify_onnx proves of a network can fail."""
    cell, writer = NETWORKS["both"], importlib.import_module("gatedrnn.interop._onnx_write")
    right, xs = writer.weights_of, np.random.default_rng(6).normal(size=(5, 3, D))
    monkeypatch.setattr(writer, "weights_of", lambda directions: right(directions[::-1]))
    assert min(interop.verify_onnx(cell, network_params(cell), xs)) > 1e-2


@pytest.mark.parametrize("shape", [(0, B, D), (T, 0, D)])
def test_nothing_to_run_refused(shape, network_params):
    """onnxruntime ends the process where there are no rows, and at times where there are no steps."""
    with pytest.raises(ValueError, match="^`xs` must be .* at least one step and row, .*; got "):
        interop.verify_onnx(gr.gru, network_params(gr.gru), np.zeros(shape))


@pytest.mark.parametrize("opset", [18, onnx.defs.onnx_opset_version()])
def test_opsets(opset, network_params):
    """Every operator in the graph is one of every version."""
    cell = NETWORKS["stack_of_both"]
    model = interop.to_onnx(cell, network_params(cell), lengths=True, opset=opset)
    onnx.checker.check_model(model, full_check=True)


def test_dropout_is_left_behind(network_params):
    """It drops only where `unroll` is given a key."""
    cell = gr.stack(gr.gru, layers=2, dropout=0.5)
    params = network_params(cell)
    back, again = interop.from_onnx(interop.to_onnx(cell, params))
    assert back == gr.stack(gr.gru, layers=2)
    chex.assert_trees_all_equal(again, params, strict=True)


REFUSED = {
    "residual": (gr.stack(gr.gru, layers=2, residual=True), {}, "`cell` must be a stack without `residual`, `skip`"),
    "norm": (gr.stack(gr.gru, layers=2, norm=gr.networks.layer_norm), {}, "`cell` must be a stack without `residual`"),
    "sum": (gr.bidirectional(gr.gru, merge="sum"), {}, "`cell` must be merged by 'concat', .*; got 'bidirectional"),
    "two_kinds": (gr.bidirectional(gr.gru, gr.lstm), {}, "`cell` must be one whose two directions are of one kind and"),
    "of_stacks": (gr.bidirectional(gr.stack(gr.gru, gr.gru)), {}, "`cell` must be one of gatedrnn.rnn, .*; got 'stack"),
    "learned": (gr.learned_carry(gr.gru), {}, "`cell` must be one of gatedrnn.rnn, .*; got "),
    "reversed_both": (NETWORKS["stack_of_both"], {"reverse": True}, "`reverse` must be False for what reads both dir"),
    "step_of_both": (NETWORKS["both"], {"step": True}, "`step` must be False for both directions, .*; got True"),
    "step_of_lengths": (gr.gru, {"step": True, "lengths": True}, "`step` must be False for both directions, .*; got T"),
    "flag": (gr.gru, {"lengths": LENGTHS}, "`lengths` must be "),
}


@pytest.mark.parametrize("why", REFUSED)
def test_refused(why, network_params):
    """What ONNX's operators do not compute, in one sentence."""
    cell, options, message = REFUSED[why]
    with pytest.raises(ValueError, match=f"^{message}"):
        interop.to_onnx(cell, network_params(cell), **options)


def test_weights_that_do_not_fit_refused(network_params):
    """Layers whose widths are not each other's, and another count of them."""
    deep = NETWORKS["stack"]
    params, other = network_params(deep), network_params(gr.rnn)
    layers = (params.layers[0], other, params.layers[2])  # `other` reads D
    with pytest.raises(ValueError, match="^`params` must be of layers that read the 5 outputs of .* below; got 3"):
        interop.to_onnx(deep, params._replace(layers=layers))
    with pytest.raises(ValueError, match="^`params` must be the StackParams of 3 layers; got 2 layers"):
        interop.to_onnx(deep, params._replace(layers=layers[:2]))
    both = NETWORKS["both"]
    params = network_params(both)._replace(backward=network_params(gr.gru, hidden_size=2))
    with pytest.raises(ValueError, match=r"^`cell` must be .* one kind and size, .*; got GRU of \(15, 3\) and GRU of"):
        interop.to_onnx(both, params)
