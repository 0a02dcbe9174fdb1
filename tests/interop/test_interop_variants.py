"""The GRU with the reset before its product, and the rectified RNN, beside the frameworks that have them too.

By hand, with nothing of the converters.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr

T, B, D, H = 7, 2, 3, 5
LENGTH = T * (D + H)  # additions behind the last output


def ours(cell, params, xs):
    """Outputs [T, B, H] from zeros, and their pullback."""
    return jax.vjp(lambda params, xs: gr.unroll(cell, params, xs, method=gr.Autodiff())[1], params, jnp.float32(xs))


def gru_blocks(params):
    """w, u and b by gate, in our order reset, update, candidate."""
    return (np.split(np.asarray(a), 3, axis=-1) for a in (params.input["w"], params.recurrent["w"], params.input["b"]))


def test_gru_of_haiku(params_of, inputs):
    """`hk.GRU`: gates update, reset, candidate; its update is one minus ours, so the signs of that block turn."""
    hk = pytest.importorskip("haiku")
    params = params_of(gr.gru_before)
    joined = lambda blocks: jnp.concatenate([-blocks[1], blocks[0], blocks[2]], axis=-1)
    w, u, b = map(joined, gru_blocks(params))

    def run(xs):
        core = hk.GRU(H)
        return hk.dynamic_unroll(core, xs, core.initial_state(B))[0]

    apply = hk.without_apply_rng(hk.transform(run)).apply
    want, pull = jax.vjp(apply, {"gru": {"w_i": w, "w_h": u, "b": b}}, jnp.float32(inputs))
    got, back = ours(gr.gru_before, params, inputs)
    assert_close(got, want, "float32", LENGTH)
    (theirs, dxs), (dparams, dxs_ours) = pull(jnp.cos(want)), back(jnp.cos(want))
    assert_close(dxs_ours, dxs, "float32", LENGTH)
    found = dict(zip(("w_i", "w_h", "b"), map(joined, gru_blocks(dparams)), strict=True))
    assert_close(found, theirs["gru"], "float32", LENGTH)


@pytest.mark.usefixtures("peers", "keras_broadcasts")
def test_gru_of_keras(params_of, inputs):
    """`keras.layers.GRU(reset_after=False)`: gates update, reset, candidate, one bias."""
    keras = pytest.importorskip("keras")
    params = params_of(gr.gru_before)
    layer = keras.layers.GRU(H, reset_after=False, return_sequences=True)
    layer.build((None, None, D))
    layer.set_weights([np.concatenate([z, r, n], axis=-1) for r, z, n in gru_blocks(params)])
    want = np.asarray(layer(jnp.float32(inputs.swapaxes(0, 1)))).swapaxes(0, 1)
    assert_close(ours(gr.gru_before, params, inputs)[0], want, "float32", LENGTH)


def test_relu_rnn_of_torch(params_of, inputs):
    """`torch.nn.RNN(nonlinearity="relu")`: values and the gradient in the inputs."""
    torch = pytest.importorskip("torch")
    params = params_of(gr.relu_rnn)
    layer = torch.nn.RNN(D, H, nonlinearity="relu")
    halves = {"ih": params.input, "hh": {"w": params.recurrent["w"], "b": np.zeros(H)}}
    with torch.no_grad():
        for name, half in halves.items():
            getattr(layer, f"weight_{name}_l0").copy_(torch.tensor(np.array(half["w"]).T))
            getattr(layer, f"bias_{name}_l0").copy_(torch.tensor(np.array(half["b"])))
    xs = torch.tensor(np.float32(inputs), requires_grad=True)
    want, _ = layer(xs)
    want.square().sum().backward()
    got, back = ours(gr.relu_rnn, params, inputs)
    assert_close(got, want.detach().numpy(), "float32", LENGTH)
    assert_close(back(2 * got)[1], xs.grad.numpy(), "float32", LENGTH**2)


def test_relu_rnn_of_haiku(params_of, inputs):
    """`hk.VanillaRNN`, in which the bias of the state's half is left at zero."""
    hk = pytest.importorskip("haiku")
    params = params_of(gr.relu_rnn)

    def run(xs):
        core = hk.VanillaRNN(H)
        return hk.dynamic_unroll(core, xs, core.initial_state(B))[0]

    weights = {
        "vanilla_rnn/linear": dict(params.input),
        "vanilla_rnn/linear_1": {"w": params.recurrent["w"], "b": jnp.zeros(H)},
    }
    want = hk.without_apply_rng(hk.transform(run)).apply(weights, jnp.float32(inputs))
    assert_close(ours(gr.relu_rnn, params, inputs)[0], want, "float32", LENGTH)
