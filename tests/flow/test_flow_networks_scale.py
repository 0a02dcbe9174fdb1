"""gr.flow of networks that read backwards, far below any float."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

D, H = 3, 2


@pytest.mark.slow
def test_far_below_any_float():
    """At rest all is linear: 10^-1500 of two layers, each sum of cotangents from both directions, in long doubles."""
    steps, network = 1500, gr.stack(gr.bidirectional(gr.rnn), layers=2)
    params = network.init(jax.random.key(0), D, H, recurrent_init=gr.initializers.orthogonal(0.1))
    got = gr.flow.adjoint(network, params, jnp.zeros((steps, 1, D))).log10_norm
    wide = jax.tree.map(lambda a: np.asarray(a, np.longdouble), params)
    probe = np.full(H, 1 / np.sqrt(np.longdouble(2 * H)))
    dys = np.zeros((steps, 2 * H), np.longdouble)
    dys[-1, :H], dys[0, H:] = probe, probe
    for layer in (1, 0):
        read = np.zeros((steps, 2 * H if layer else D), np.longdouble)
        for way, weights in zip(("forward", "backward"), wide.layers[layer], strict=True):
            order = range(steps)[:: 1 if way == "backward" else -1]
            mine = dys[:, H:] if way == "backward" else dys[:, :H]
            state, rows = np.zeros(H, np.longdouble), np.full(steps + 1, -np.inf)
            for t in order:
                arrived = state + mine[t]
                read[t] += arrived @ weights.input["w"].T
                state = arrived @ weights.recurrent["w"].T
                rows[t + 1 if way == "backward" else t] = np.log10(np.sqrt((state**2).sum()))
            np.testing.assert_allclose(got[f"{layer}.{way}.h"][:, 0], rows, rtol=1e-5, atol=1e-3)
        dys = read
    assert got["1.forward.h"][0, 0] < -1490 and got["0.forward.h"].min() < -700
    decay = gr.flow.decay(got["1.backward.h"], reverse=True)
    assert abs(decay.rate_log10_per_step + 1) < 1e-4


def test_far_below_what_another_direction_reads():
    """What arrives at a cell is no less exact for a far larger gradient that never passes it."""
    ahead = gr.stack(gr.bidirectional(gr.rnn), gr.rnn)
    network, xs = gr.bidirectional(ahead, gr.rnn), jnp.zeros((200, 1, D))
    params = network.init(jax.random.key(0), D, H, recurrent_init=gr.initializers.orthogonal(0.1))
    dys = jnp.zeros((200, 1, 2 * H)).at[-1, :, :H].set(1).at[0, :, H:].set(1)
    got = gr.flow.adjoint(network, params, xs, dys=dys).log10_norm
    alone = gr.flow.adjoint(ahead, params.forward, xs, dys=dys[..., :H]).log10_norm
    for part in ("0.forward.h", "0.backward.h", "1.h"):
        np.testing.assert_allclose(got[f"forward.{part}"], alone[part], atol=1e-4)
    assert -200 < alone["0.forward.h"][0, 0] < -190
