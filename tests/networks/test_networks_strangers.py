"""What strangers bring to networks: square readouts, lists, wrong flags, NaN in earlier episodes, names, casts."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.networks import layer_norm, named, rms_norm

T, B, D, H = 6, 2, 3, 4
XS = jax.random.normal(jax.random.key(1), (T, B, D))
GRU = gr.gru.init(jax.random.key(0), D, H)
turn = lambda a: jnp.swapaxes(a, 0, 1)


def test_batch_major_leaves_a_readouts_weights():
    """Square ones, too, which would pass for what they are not."""
    w = jax.random.normal(jax.random.key(2), (H, H))
    function = lambda w, ys, targets: ys @ w - targets
    targets = jax.random.normal(jax.random.key(3), (T, B, H))
    want = gr.unroll(gr.gru, GRU, XS, outputs=gr.Readout(function, w, targets))[1]
    readout = gr.Readout(function, w, turn(targets))
    assert_close(gr.unroll(gr.gru, GRU, turn(XS), outputs=readout, batch_major=True)[1], want, "float32", 40)


def test_lists_are_arrays():
    """Turned, masked and packed like these."""
    xs, mask = np.asarray(XS)[:B], np.array([[True, False], [True, True]])
    flags = {"mask": mask.tolist(), "reset": mask.tolist(), "lengths": [2, 1], "segment_ids": [[1, 2], [1, 1]]}
    found = gr.unroll(gr.gru, GRU, xs.tolist(), batch_major=True, **flags)[1]
    want = gr.unroll(gr.gru, GRU, jnp.asarray(xs), batch_major=True, **{n: jnp.asarray(a) for n, a in flags.items()})[1]
    assert_close(found, want, "float32", 1)


@pytest.mark.parametrize("name", ["mask", "reset"])
@pytest.mark.parametrize("flag", [[True, False], [[True]], "abc", np.ones((3,), bool), np.ones((T, B))])
def test_flags_beside_lengths_and_documents(name, flag):
    """Of the shape of `xs` or refused: nothing is spread."""
    for more in ({"lengths": jnp.array([3, 4])}, {"segment_ids": jnp.ones((T, B), int)}):
        with pytest.raises(ValueError, match=f"`{name}` must be a bool array"):
            gr.unroll(gr.gru, GRU, XS, **{name: flag}, **more)
    with pytest.raises(ValueError, match="`xs` must be"):
        gr.unroll(gr.gru, GRU, "abc", lengths=[1])


@pytest.mark.parametrize(
    "cell",
    [
        gr.bidirectional(gr.gru, merge="product"),
        gr.bidirectional(gr.gru, merge="mean"),
        gr.stack(gr.bidirectional(gr.gru), gr.gru, norm=rms_norm),
        gr.stack(gr.bidirectional(gr.rnn), layers=2, norm=layer_norm),
    ],
    ids=lambda cell: cell.name,
)
def test_an_earlier_episode_is_kept_away(cell):
    """A NaN there is in its own outputs, and in no gradient of a loss of what follows the reset."""
    params = cell.init(jax.random.key(0), D, H)
    reset = jnp.zeros((T, B), bool).at[3, 0].set(True)
    later = np.zeros((T, B, 1), bool)
    later[3:, 0], later[:, 1] = True, True

    def loss(params, xs):
        ys = gr.unroll(cell, params, xs, reset=reset)[1]
        return jnp.where(np.broadcast_to(later, ys.shape), ys, 0).sum()

    bad = XS.at[1, 0].set(jnp.nan)
    assert_close(jax.grad(loss)(params, bad), jax.grad(loss)(params, XS), "float32", 60)
    ys = gr.unroll(cell, params, bad, reset=reset)[1]
    assert jnp.isnan(ys[:3, 0]).any() and jnp.isfinite(ys[3:, 0]).all() and jnp.isfinite(ys[:, 1]).all()


@pytest.mark.slow
def test_saved_under_a_name_that_makes_another(tmp_path):
    """A network of one's own cell under the house's name, a norm under another's, names that no expression has."""
    own = dataclasses.replace(gr.lstm, pointwise=lambda x, h, carry: gr.LSTMState(carry.c, carry.h))
    other = dataclasses.replace(layer_norm, apply=lambda weights, x: x)
    dashed = dataclasses.replace(gr.lstm, name="my-lstm")
    for cell in (gr.stack(own), gr.stack(gr.gru, gr.gru, norm=other), gr.stack(dashed), gr.stack(gr.rnn, layers=300)):
        model = gr.models.Model(cell, D, 2, 2)
        with pytest.raises(ValueError, match="`model` must be of a network that its name makes again"):
            gr.models.save(tmp_path, model, model.init(jax.random.key(0)), {})
    mine = dataclasses.replace(gr.lstm, name="mean")  # also the word of a merge
    for cell in (gr.bidirectional(mine, merge="mean"), gr.stack(gr.projected(gr.lstm), mine)):
        model = gr.models.Model(cell, D, H, 2)
        gr.models.save(tmp_path, model, model.init(jax.random.key(0)), {})
        assert gr.load(tmp_path, [mine]).model.cell == cell
        with pytest.raises(ValueError, match="there is no cell mean"):
            gr.load(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["bidirectional(" * 12 + "gru" + ")" * 12, "stack(lstm, layers=30000000)", "stack(lstm, layers=-1)", "\ud800(",
     "regularised(lstm, zoneout_c=0.5, zoneout=0.1)", "regularised(lstm, zoneout=0.1, zoneout_c=0.5)",
     "bidirectional(gru, gru, merge=lstm)", "stack(gru, layers=True * 3)"],
)  # fmt: skip
def test_hostile_names(tmp_path, name):
    """Refused at once, in one sentence, also where a file has them."""
    with pytest.raises(ValueError, match="must be") as caught:
        named(name, gr.cells.CELLS)
    assert "\n" not in str(caught.value)
    model = gr.models.Model(gr.gru, D, H, 2)
    gr.models.save(tmp_path, model, model.init(jax.random.key(0)), {})
    described = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(described | {"cell": name}))
    with pytest.raises(ValueError, match="`path` must be"):
        gr.load(tmp_path)


def test_deep_networks_are_hashed_once():
    """Cells that hold cells that hold cells are compared in no time."""
    cell = gr.regularised(gr.gru, zoneout=0.1)
    for _ in range(6):
        cell = gr.bidirectional(cell, merge="sum")
    assert hash(cell) == hash(named(cell.name, gr.cells.CELLS)) and cell == named(cell.name, gr.cells.CELLS)


@pytest.mark.slow
def test_what_is_damped_or_has_more_is_no_part_of_others():
    """By no maker silently left out; a damp is constant for every method."""
    damped = dataclasses.replace(gr.gru, name="damped", damp=lambda w, x: jax.nn.sigmoid(x.sum() + w["w"].sum(0)[:H]))
    for make in (gr.normalised, gr.projected, lambda cell: gr.regularised(cell, zoneout=0.1)):
        with pytest.raises(ValueError, match="`cell` must be"):
            make(damped)
    assert "gradient" in gr.check_cell(damped)


def test_weights_of_another_network():
    """Norms too many, too few or of another kind, and widths that would be spread, are refused."""
    normed, plain = gr.stack(gr.gru, gr.gru, norm=layer_norm), gr.stack(gr.gru, gr.gru)
    key = jax.random.key(0)
    both = gr.bidirectional(gr.gru, merge="sum")
    uneven = gr.networks.BidirectionalParams(GRU, gr.gru.init(key, D, 1))
    thin = gr.networks.StackParams((GRU, gr.gru.init(key, H, 1)))
    cases = [
        (plain, normed.init(key, D, H)),
        (normed, plain.init(key, D, H)),
        (gr.normalised(gr.gru, rms_norm), gr.normalised(gr.gru).init(key, D, H)),
        (both, uneven),
        (gr.stack(gr.gru, gr.gru, residual=True), thin),
        (gr.learned_carry(gr.gru), GRU),
    ]
    for cell, params in cases:
        with pytest.raises(ValueError, match="`params") as caught:
            gr.unroll(cell, params, XS)
        assert "IndexError" not in str(caught.value)


def test_casts_and_widths():
    """A learned carry in half precision; norms of large halves; a stream of a normalised cell knows its inputs."""
    cell = gr.learned_carry(gr.gru)
    narrow = jax.tree.map(lambda a: a.astype(jnp.bfloat16), cell.init(jax.random.key(0), D, H))
    assert gr.unroll(cell, narrow, XS.astype(jnp.bfloat16))[1].dtype == jnp.float32
    assert cell.init(jax.random.key(0), D, H, dtype=jnp.bfloat16).initial.h.dtype == jnp.bfloat16
    x = jnp.array([[300.0, -300, 300, -300]], jnp.float16)
    assert_close(layer_norm.apply(layer_norm.init(4, jnp.float16), x), np.sign(x), "bfloat16", 1)
    network = gr.stack(gr.normalised(gr.gru), gr.rnn)
    assert gr.Stream(network, network.init(jax.random.key(0), D, H))(XS[0, :1]).shape == (1, H)


@pytest.mark.slow
def test_more_zoned_parts_than_gates():
    """A carry of several parts over one gate."""
    pointwise = lambda x, h, carry: gr.LSTMState(jnp.tanh(x[0] + h[0]), 0.5 * carry.c + x[0])
    one = gr.Cell("one", (), gr.rnn.init, _wide, gr.rnn.project, gr.rnn.recur, pointwise)
    assert "noise" in gr.check_cell(gr.regularised(one, zoneout=0.3))


def _wide(params, batch=None):
    width = params.recurrent["w"].shape[0]
    return gr.LSTMState(*(gr.linear.zeros(width, "float32", batch) for _ in range(2)))


@pytest.mark.parametrize("cell", [gr.gru, gr.normalised(gr.gru)], ids=lambda cell: cell.name)
def test_forward_mode_of_clipped_cotangents(cell):
    """The tangent is that of the values, by every method."""
    params = cell.init(jax.random.key(0), D, H)
    run = lambda method: jax.jvp(lambda xs: gr.unroll(cell, params, xs, method=method)[1], (XS,), (XS,))[1]
    want = run(gr.Autodiff())
    for method in (gr.Segmented(clip=0.01), gr.Autodiff(clip=0.01)):
        assert_close(run(method), want, "float32", 60)
