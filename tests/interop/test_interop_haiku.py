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


CORES = {
    "lstm": lambda: hk.LSTM(H),
    "gru": lambda: hk.GRU(H),
    "vanilla": lambda: hk.VanillaRNN(H),
    "vanilla_one_bias": lambda: hk.VanillaRNN(H, double_bias=False),
    "deep": lambda: hk.DeepRNN([hk.LSTM(H), hk.LSTM(H + 1)]),
}
FOUND = {"lstm": gr.lstm, "gru": gr.gru_before, "vanilla": gr.relu_rnn, "vanilla_one_bias": gr.relu_rnn}
FOUND["deep"] = gr.stack(gr.lstm, gr.lstm)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("core", CORES)
def test_verified(core, inputs):
    """Outputs, last carry, and the gradients in xs, the first carry and each of haiku's weights."""
    weights = weights_of(CORES[core])
    assert interop.from_haiku(weights)[0] == FOUND[core]
    errors = interop.verify_haiku(weights, inputs)
    assert len(errors.dweights) == len(jax.tree.leaves(weights))
    assert errors.largest < 1e-5


@pytest.mark.thinned(2)
@pytest.mark.parametrize("core", ["gru", "lstm"])
def test_verified_in_float64(core, inputs):
    """The same function, not only nearly."""
    with jax.enable_x64(True):
        assert interop.verify_haiku(weights_of(CORES[core], "float64"), inputs).largest <= tolerance("float64", LENGTH)


@pytest.mark.slow
def test_a_model_by_the_paths_of_its_cores(inputs):
    """Cores of three kinds under names of their own, among other modules, in the order in which they are named."""

    def run(xs):
        core = hk.DeepRNN([hk.LSTM(H, name="memory"), hk.VanillaRNN(4), hk.GRU(H, name="top")])
        return hk.Linear(2, with_bias=False)(hk.dynamic_unroll(core, xs, core.initial_state(B))[0])

    model = hk.without_apply_rng(hk.transform(run))
    xs = jnp.float32(inputs)
    weights = model.init(jax.random.key(0), xs)
    names = ["memory", "vanilla_rnn", "top"]
    cell, params = interop.from_haiku(weights, modules=names)
    assert cell == gr.stack(gr.lstm, gr.relu_rnn, gr.gru_before)
    ys = gr.unroll(cell, params, xs)[1]
    assert_close(ys @ weights["linear"]["w"], model.apply(weights, xs), "float32", LENGTH)
    assert interop.from_haiku(weights, modules="memory")[0] == gr.lstm
    with pytest.raises(ValueError, match="^`modules` must be the paths of the cores, .*; got None with"):
        interop.from_haiku(weights)
    with pytest.raises(
        ValueError, match="^`modules` must be cores that lie on each other, 'top' on one of 4 units; got 5"
    ):
        interop.from_haiku(weights, modules=["memory", "top"])


def test_numbers_say_the_order():
    """The tenth comes after the second, whatever the order of the dict."""
    weights = interop.to_haiku(
        gr.stack(gr.relu_rnn, layers=11), gr.stack(gr.relu_rnn, layers=11).init(jax.random.key(0), 2, 2)
    )
    cell, params = interop.from_haiku(dict(sorted(weights.items())))
    assert cell == gr.stack(gr.relu_rnn, layers=11)
    chex.assert_trees_all_equal(params.layers[10].input["w"], weights["vanilla_rnn_10/linear"]["w"])


def test_agrees_with_dynamic_unroll(inputs):
    """The network as its users make it, under a path of its own: values, and gradients in haiku's weights and in xs."""
    core = functools.partial(hk.LSTM, H, name="memory")
    weights, xs = weights_of(core), jnp.float32(inputs)
    assert set(weights) == {"memory/linear"}
    want, pull_want = jax.vjp(network(core).apply, weights, xs)
    got, pull_got = jax.vjp(
        lambda weights, xs: gr.unroll(*interop.from_haiku(weights, modules="memory"), xs)[1], weights, xs
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


@pytest.mark.parametrize(
    "cell", [gr.gru_before, gr.relu_rnn, gr.stack(gr.gru_before, layers=2)], ids=lambda cell: cell.name
)
def test_round_trip_of_others(cell, network_params):
    """Bit for bit."""
    params = network_params(cell)
    weights = interop.to_haiku(cell, params)
    back, again = interop.from_haiku(weights)
    assert back == cell
    chex.assert_trees_all_equal(again, params, strict=True)


LINEAR = {"w": jnp.zeros((D + H, 4 * H)), "b": jnp.zeros(4 * H)}
REFUSED = [
    ({"mlp/linear": LINEAR}, {}, "`modules` must be the paths of the cores, .*; got None with .'mlp'"),
    ({"lstm/linear": LINEAR, "gru": {}}, {}, "`modules` must be the paths of the cores, .*; got None with"),
    ({"lstm/linear": LINEAR}, {"modules": "gru"}, r"`modules` must be among \['lstm'\]; got 'gru'"),
    ({"lstm/linear": LINEAR}, {"modules": []}, "`modules` must be at least one; got none"),
    ({"x": {"w": jnp.zeros(3)}}, {"modules": "x"}, r"`params` must be those of an hk.LSTM, .*; got {'x': \['w'\]}"),
    (LINEAR, {}, r"`params` must be {path: {name: array}}, .*; got \['b', 'w'\]"),
    (None, {}, "`params` must be {path: {name: array}}, .*; got None"),
    *[
        (
            {"lstm/linear": {"w": jnp.zeros(shape), "b": jnp.zeros(shape[1])}},
            {},
            r"`params` must be of the shapes .*; got ",
        )
        for shape in ((H, 4 * H), (D, 7))
    ],
    (
        {"gru": {"w_i": jnp.zeros((D, 15)), "w_h": jnp.zeros((4, 15)), "b": jnp.zeros(15)}},
        {},
        r"`params` must be of the shapes \[D, 3 \* H\], .* at 'gru'; got ",
    ),
]


@pytest.mark.parametrize(("weights", "options", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refused(weights, options, message):
    """What is no core, or not said to be one."""
    with pytest.raises(ValueError, match=f"^{message}"):
        interop.from_haiku(weights, **options)


@pytest.mark.parametrize("cell", [gr.rnn, gr.gru], ids=lambda cell: cell.name)
def test_other_cells_refused(cell):
    """Ours that haiku has not."""
    with pytest.raises(ValueError, match=f"^`cell` must be one of gatedrnn.lstm, .*; got '{cell.name}'"):
        interop.to_haiku(cell, cell.init(jax.random.key(0), D, H))
