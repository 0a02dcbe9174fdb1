"""Recurrent norms against a literal loop; clipped cotangents by both methods and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn.networks import layer_norm, rms_norm

sigmoid = lambda a: 1 / (1 + np.exp(-a))


@pytest.mark.parametrize("norm", [layer_norm, rms_norm], ids=lambda norm: norm.name)
def test_a_normalised_lstm_is_its_equations(norm, draw):
    """Ba et al. 2016, section 3.1: each half by itself, then the bias."""
    cell = gr.normalised(gr.lstm, norm)
    params, xs, *_ = draw(cell)
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)

    def normal(weights, a):
        a = a - a.mean(-1, keepdims=True) * (norm is layer_norm)
        return a / np.sqrt((a**2).mean(-1, keepdims=True) + 1e-5) * weights["scale"] + weights.get("shift", 0)

    h = c = np.zeros((xs.shape[1], 4))
    for t, x in enumerate(np.asarray(xs, np.float64)):
        gates = normal(p.input.norm, x @ p.input.cell["w"]) + normal(p.norm, h @ p.recurrent["w"])
        i, f, g, o = np.split(gates + p.input.cell["b"], 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        assert_close(gr.unroll(cell, params, xs)[1][t], h, "float32", 60)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("cell", [gr.normalised(gr.gru, rms_norm), gr.normalised(gr.rnn)], ids=lambda cell: cell.name)
@pytest.mark.slow
def test_methods_agree(cell, draw, differentiated):
    """With masks and resets, inside a stack, too; in float64, for the norm of a small row is a large factor."""
    with jax.enable_x64(True):
        for network in (cell, gr.stack(cell, gr.gru)):
            params, xs, mask, reset = draw(network)
            params, xs = jax.tree.map(lambda a: jnp.asarray(a, "float64"), (params, xs))
            flags = {"mask": mask, "reset": reset}
            want = differentiated(network, params, xs, gr.Autodiff(), **flags)
            assert_close(differentiated(network, params, xs, gr.Segmented(3), **flags), want, "float64", 200)
    assert gr.networks.named(cell.name, gr.cells.CELLS) == cell


@pytest.mark.slow
def test_laws_and_what_is_made_of_it():
    """Heads, a learned carry and noise, by the laws; gates and time scales as of the cell, of the normalised halves."""
    assert "gradient" in gr.check_cell(gr.normalised(gr.slstm), heads=2)
    assert "gradient" in gr.check_cell(gr.learned_carry(gr.normalised(gr.indrnn, rms_norm)))
    assert "noise" in gr.check_cell(gr.regularised(gr.normalised(gr.gru), recurrent_dropout=0.3, zoneout=0.2))
    cell = gr.normalised(gr.lstm)
    params = cell.init(jax.random.key(0), 3, 4, forget_bias=2.0)
    xs = jax.random.normal(jax.random.key(1), (6, 2, 3))
    gates = gr.gate_activations(cell, params, xs)
    normal = lambda a: (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5)
    first = normal(np.asarray(xs[0] @ params.input.cell["w"])) + np.asarray(params.input.cell["b"])
    assert_close(gates.forget[0], sigmoid(first[:, 4:8]), "float32", 60)
    found = gr.flow.timescales(cell, params, xs)
    assert_close(found, -1 / np.log(gates.forget).mean((0, 1)), "float32", 200)


@pytest.mark.slow
@pytest.mark.thinned(2)
@pytest.mark.parametrize("cell", [gr.lstm, gr.gru, gr.stack(gr.rnn, gr.gru_before)], ids=lambda cell: cell.name)
def test_clipped_cotangents(cell, draw, differentiated):
    """The same by both methods, with flags and in checkpoints; none where the limit is never met; values as ever."""
    params, xs, mask, reset = draw(cell)
    flags = {"mask": mask, "reset": reset}
    free = differentiated(cell, params, xs, gr.Autodiff(), **flags)
    want = differentiated(cell, params, xs, gr.Autodiff(clip=0.05), **flags)
    assert_close(want[0], free[0], "float32", 200)
    assert (
        max(float(jnp.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (want[1], free[1])), strict=True)) > 0.01
    )
    for method in (gr.Segmented(3, clip=0.05), gr.Checkpointed(4, gr.Autodiff(clip=0.05))):
        assert_close(differentiated(cell, params, xs, method, **flags), want, "float32", 200)
    assert_close(differentiated(cell, params, xs, gr.Segmented(3, clip=1e6), **flags), free, "float32", 200)


def test_clipping_by_hand():
    """h' = 3 h of an identity that only multiplies: dL/dh doubles no more once it is at the limit."""
    params = gr.Params({"w": jnp.zeros((1, 1)), "b": jnp.zeros(1)}, {"w": jnp.full((1, 1), 3.0)})
    xs, carry = jnp.zeros((4, 1)), gr.RNNState(jnp.full(1, 0.01))
    for clip, want in ((None, 3**4), (5.0, 5.0), (0.5, 0.5)):
        for method in (gr.Segmented(clip=clip), gr.Autodiff(clip=clip)):
            found = jax.grad(
                lambda h, m=method: gr.unroll(gr.relu_rnn, params, xs, gr.RNNState(h), method=m)[1][-1, 0]
            )(carry.h)
            assert_close(found, np.full(1, want), "float32", 20)


@pytest.mark.parametrize("clip", [0, -1.0, float("nan"), "1", float("inf")])
def test_refusals(clip):
    for method in (gr.Segmented, gr.Autodiff):
        with pytest.raises(ValueError, match="`clip` must be"):
            method(clip=clip)
    with pytest.raises(ValueError, match="`cell` must be in three-function form"):
        gr.normalised(gr.stack(gr.lstm))
    with pytest.raises(ValueError, match="`norm` of its own"):
        gr.normalised(gr.normalised(gr.lstm))
    with pytest.raises(ValueError, match="`norm` must be one of"):
        gr.normalised(gr.lstm, "layer")
