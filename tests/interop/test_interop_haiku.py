"""dm-haiku: its LSTM agrees with `unroll` in values and in every gradient, there and back."""

import functools
import importlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close, tolerance

import gatedrnn as gr

hk = pytest.importorskip("haiku")
interop = importlib.import_module("gatedrnn.interop.haiku")

T, B, D, H = 7, 2, 3, 5
LENGTH = T * (D + H)  # additions behind the last output


def network(core):
    """An unroll of a core of haiku from its own first state, as a pair of pure functions."""

    def run(xs):
        module = core()
        return hk.dynamic_unroll(module, xs, module.initial_state(B))[0]

    return hk.without_apply_rng(hk.transform(run))


def weights_of(core, dtype="float32"):
    """haiku's weights of a core, by its own names, with random numbers in every weight and bias."""
    shapes = jax.eval_shape(network(core).init, jax.random.key(0), jnp.zeros((T, B, D), dtype))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda a: jnp.asarray(0.7 * rng.normal(size=a.shape), dtype), shapes)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_verified(dtype, inputs):
    """Outputs, last carry, and the gradients in xs, the first carry and each of haiku's weights."""
    with jax.enable_x64(dtype == "float64"):
        errors = interop.verify_haiku(weights_of(functools.partial(hk.LSTM, H), dtype), inputs)
    assert set(errors.dweights) == {"lstm/linear/w", "lstm/linear/b"}
    assert errors.largest <= tolerance(dtype, LENGTH)


def test_agrees_with_dynamic_unroll(inputs):
    """The network as its users make it, under a path of its own: values, and gradients in haiku's weights and in xs."""
    core = functools.partial(hk.LSTM, H, name="memory")
    weights, xs = weights_of(core), jnp.float32(inputs)
    assert set(weights) == {"memory/linear"}
    want, pull_want = jax.vjp(network(core).apply, weights, xs)
    got, pull_got = jax.vjp(
        lambda weights, xs: gr.unroll(*interop.from_haiku(weights, cell=gr.lstm), xs)[1], weights, xs
    )
    assert_close(got, want, "float32", LENGTH)
    assert_close(pull_got(jnp.cos(want)), pull_want(jnp.cos(want)), "float32", LENGTH)


def test_forget_bias_is_told():
    """haiku's zero bias is our one, in the forget gate alone."""
    zero = {"lstm/linear": {"w": jnp.zeros((D + H, 4 * H)), "b": jnp.zeros(4 * H)}}
    cell, params = interop.from_haiku(zero)
    assert cell == gr.lstm
    chex.assert_trees_all_equal(params.input["b"], jnp.repeat(jnp.array([0.0, 1.0, 0.0, 0.0]), H))


FAULTS = {
    "order": lambda w, u, b: (w, u, b.reshape(4, H)[jnp.array([0, 2, 1, 3])].ravel()),
    "recurrent_order": lambda w, u, b: (w, u.reshape(H, 4, H)[:, jnp.array([0, 2, 1, 3])].reshape(H, 4 * H), b),
    "no_hidden_one": lambda w, u, b: (w, u, b.at[H : 2 * H].add(-1)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_conversion_shows(fault, monkeypatch, inputs):
    """What verify_haiku proves can fail: in the outputs, and in the gradients of the weights."""
    right = interop.join
    monkeypatch.setattr(interop, "join", lambda cell, *blocks: right(cell, *FAULTS[fault](*blocks)))
    errors = interop.verify_haiku(weights_of(functools.partial(hk.LSTM, H)), inputs)
    assert min(errors.ys, errors.carry, errors.dxs, errors.dcarry, max(errors.dweights.values())) > 1e-2


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_round_trip(dtype, params_of, inputs):
    """Ours, through haiku and back: bit for bit but for the forget bias, which is rounded once next to 1."""
    with jax.enable_x64(dtype == "float64"):
        params = params_of(gr.lstm, dtype)
        weights = interop.to_haiku(gr.lstm, params)
        back, again = interop.from_haiku(weights)
        if dtype != "bfloat16":
            assert interop.verify_haiku(weights, inputs).largest <= tolerance(dtype, LENGTH)
    assert back == gr.lstm
    chex.assert_trees_all_equal_shapes_and_dtypes(again, params)
    b, b_again = (np.float64(tree.input.pop("b").reshape(4, H)) for tree in (params, again))
    np.testing.assert_array_equal(b_again[[0, 2, 3]], b[[0, 2, 3]])
    assert np.abs(b_again[1] - b[1]).max() <= 2 * float(jnp.finfo(dtype).eps)
    chex.assert_trees_all_equal(again, params)


REFUSED = [
    (functools.partial(hk.GRU, H), "those of an hk.GRU, which applies the reset gate before the product"),
    (functools.partial(hk.VanillaRNN, H), "those of an hk.VanillaRNN, whose activation is relu"),
    (functools.partial(hk.VanillaRNN, H, double_bias=False), "those of an hk.VanillaRNN, whose activation is relu"),
]


@pytest.mark.parametrize(("core", "got"), REFUSED, ids=["GRU", "VanillaRNN", "VanillaRNN_one_bias"])
def test_other_cores_refused(core, got):
    """What is another function, by name and reason."""
    with pytest.raises(ValueError, match=f"^`params` must be .*one hk.LSTM; got {got}"):
        interop.from_haiku(weights_of(core))


def test_ambiguous_refused():
    """An hk.Linear has the same names, and may have the same shapes; shapes that no LSTM has."""
    weights = {"mlp/linear": {"w": jnp.zeros((D + H, 4 * H)), "b": jnp.zeros(4 * H)}}
    with pytest.raises(ValueError, match="^`cell` must be gatedrnn.lstm where .*; got None with 'mlp/linear'"):
        interop.from_haiku(weights)
    assert interop.from_haiku(weights, cell=gr.lstm)[0] == gr.lstm
    with pytest.raises(ValueError, match="^`cell` must be gatedrnn.lstm, the one .*; got 'gru'"):
        interop.from_haiku(weights, cell=gr.gru)
    for shape in ((H, 4 * H), (D, 7)):
        bad = {"lstm/linear": {"w": jnp.zeros(shape), "b": jnp.zeros(shape[1])}}
        with pytest.raises(ValueError, match="^`params` must be of the shapes .*; got "):
            interop.from_haiku(bad)


def test_other_parameters_refused():
    """The inner dict alone, and a network of more than the LSTM."""
    weights = weights_of(functools.partial(hk.LSTM, H))
    start = r"^`params` must be {path: {'w', 'b'}}, those of one hk.LSTM; got "
    with pytest.raises(ValueError, match=start + "{'b': 'an array', "):
        interop.from_haiku(weights["lstm/linear"])
    with pytest.raises(ValueError, match=start + r"{'lstm/linear': \['b', 'w'\], 'embed'"):
        interop.from_haiku({**weights, "embed": {"embeddings": jnp.zeros((2, D))}})


@pytest.mark.parametrize("cell", [gr.rnn, gr.gru], ids=lambda cell: cell.name)
def test_other_cells_refused(cell):
    """Ours that haiku has not, with the reason."""
    with pytest.raises(
        ValueError, match=f"^`cell` must be gatedrnn.lstm, .*reset gate before.*relu; got '{cell.name}'"
    ):
        interop.to_haiku(cell, cell.init(jax.random.key(0), D, H))
