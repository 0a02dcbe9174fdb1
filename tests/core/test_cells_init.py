"""What a cell draws: layouts and dtypes, orthogonal and Gaussian blocks, biases that set a horizon, and refusals."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from tolerances import assert_close

import gatedrnn as gr

D, H = 4, 6
each_cell = pytest.mark.parametrize("cell", gr.cells.CELLS.values(), ids=gr.cells.CELLS)
DENSE = [cell for cell in gr.cells.CELLS.values() if cell not in (gr.slstm, gr.indrnn)]
each_dense_cell = pytest.mark.parametrize("cell", DENSE, ids=lambda cell: cell.name)


@each_cell
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_init_layout(cell, dtype):
    """The contract's names and shapes, in the asked dtype; the same key draws the same weights, another others."""
    layout = gr.Params(*reference.weights(cell.name, D, H, np.random.default_rng(0)))
    draw = lambda seed: cell.init(jax.random.key(seed), D, H, dtype=dtype)
    chex.assert_trees_all_equal_shapes(draw(0), layout)
    assert {leaf.dtype for leaf in jax.tree.leaves(draw(0))} == {jnp.dtype(dtype)}
    chex.assert_trees_all_equal(draw(0), draw(0))
    pairs = zip(jax.tree.leaves(draw(0)), jax.tree.leaves(draw(1)), strict=True)
    assert sum(bool((one != other).any()) for one, other in pairs) == (1 if cell is gr.relu_rnn else 2)


@each_dense_cell
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_orthogonal_blocks(cell, gain):
    """Each gate's [H, H] block is `gain` times an orthogonal matrix of its own."""
    w = cell.init(jax.random.key(0), D, H, recurrent_init=gr.initializers.orthogonal(gain)).recurrent["w"]
    blocks = np.split(np.asarray(w, np.float64), len(cell.gates), axis=1)
    assert_close([block.T @ block for block in blocks], [gain**2 * np.eye(H)] * len(blocks), "float32", H)
    distinct = {tuple(block.ravel()) for block in blocks}
    assert len(distinct) == len(blocks)


@each_dense_cell
def test_gaussian_weights(cell):
    """Standard deviation gain / sqrt(fan_in), entry by entry independent of the gate; default recurrence orthogonal."""
    wide = 200
    params = cell.init(
        jax.random.key(0),
        50,
        wide,
        input_init=gr.initializers.gaussian(0.5),
        recurrent_init=gr.initializers.gaussian(2.0),
    )
    for weights, deviation in ((params.input["w"], 0.5 / 50**0.5), (params.recurrent["w"], 2.0 / wide**0.5)):
        for block in np.split(np.asarray(weights, np.float64) / deviation, len(cell.gates), axis=1):
            error = 1 / block.size**0.5
            assert abs(block.mean()) < 4 * error
            assert abs(block.std() - 1) < 4 * error / 2**0.5
            assert abs((block**4).mean() - 3) < 4 * error * 96**0.5  # Var(x^4) = 105 - 9
    default = cell.init(jax.random.key(0), D, H).recurrent["w"][:, :H]
    assert_close(default.T @ default, np.eye(H), "float32", H)


def biases(params, gates):
    """The input biases by gate, [H] each."""
    return np.split(np.asarray(params.input["b"]), gates)


def test_lstm_forget_bias():
    """1 by default, as asked otherwise, in the forget block alone."""
    for options, want in (({}, 1.0), ({"forget_bias": 2.5}, 2.5)):
        i, f, g, o = biases(gr.lstm.init(jax.random.key(0), D, H, **options), 4)
        np.testing.assert_array_equal(f, np.full(H, want, np.float32))
        assert not np.concatenate([i, g, o]).any()


def test_gru_update_bias():
    """As asked in the update block alone; the candidate's recurrent bias stays zero."""
    params = gr.gru.init(jax.random.key(0), D, H, update_bias=2.5)
    r, z, n = biases(params, 3)
    np.testing.assert_array_equal(z, np.full(H, 2.5, np.float32))
    assert not np.concatenate([r, n, np.asarray(params.recurrent["b"])]).any()


def kolmogorov_smirnov(sample, low, high):
    """sqrt(n) times the largest distance of the sample's distribution from U(low, high); above 1.63 once in 100."""
    ranks = (np.sort(sample) - low) / (high - low)
    return len(ranks) ** 0.5 * np.abs(ranks - (np.arange(len(ranks)) + 0.5) / len(ranks)).max()


@pytest.mark.parametrize("t_max", [10, 10_000])
def test_chrono_biases(t_max):
    """exp(bias) is uniform on (1, t_max - 1): LSTM forget, with input its negative; GRU update. The rest is zero.

    So it is of the variants that have such a gate; the time steps of the LEM have the negative, for they let go.
    """
    wide, cheap = 400, {"recurrent_init": gr.initializers.gaussian(1.0), "chrono": t_max}
    i, f, g, o = biases(gr.lstm.init(jax.random.key(1), 1, wide, **cheap), 4)
    r, z, n = biases(gr.gru.init(jax.random.key(2), 1, wide, **cheap), 3)
    r_before, z_before, n_before = biases(gr.gru_before.init(jax.random.key(2), 1, wide, **cheap), 3)
    i_mean, f_mean, g_mean, o_mean = biases(gr.slstm.init(jax.random.key(3), 1, wide, **cheap), 4)
    s, t, m, y = biases(gr.lem.init(jax.random.key(4), 1, wide, **cheap), 4)
    np.testing.assert_array_equal(i, -f)
    np.testing.assert_array_equal(z_before, z)
    assert not np.concatenate([g, o, r, n, r_before, n_before, i_mean, g_mean, o_mean, m, y]).any()
    for bias in (f, z, f_mean, -s, -t):
        times = np.exp(np.float64(bias))
        assert times.min() > 1 - 1e-6 and times.max() < t_max - 1 + 1e-3 * t_max
        assert kolmogorov_smirnov(times, 1, t_max - 1) < 1.63


BAD_INIT = [  # cell, what it is told, what the message names, expects and got
    (gr.rnn, {"input_size": 0}, "`input_size` must be .*at least 1; got 0"),
    (gr.gru, {"hidden_size": 2.5}, "`hidden_size` must be .*at least 1; got 2.5"),
    (gr.lstm, {"dtype": jnp.int32}, "`dtype` must be .*floating.*; got int32"),
    (gr.gru, {"chrono": 2}, "`chrono` must be .*above 2 .*; got 2"),
    (gr.lstm, {"chrono": float("inf")}, "`chrono` must be .*finite.*; got inf"),
    (gr.gru_before, {"update_bias": float("nan")}, "`update_bias` must be a finite number .*; got nan"),
    (gr.lem, {"chrono": 1}, "`chrono` must be .*above 2 .*; got 1"),
    (gr.slstm, {"heads": 4}, "`heads` must be a number that divides `hidden_size` = 6; got 4"),
    (gr.slstm, {"heads": 0}, "`heads` must be a whole number of at least 1; got 0"),
    (gr.slstm, {"forget_bias": [1.0, 2.0]}, r"`forget_bias` must be a finite number of float32, or \[H\]"),
    (gr.indrnn, {"horizon": 0}, "`horizon` must be a positive finite number; got 0"),
    (gr.indrnn, {"epsilon": -1}, "`epsilon` must be a finite number of at least 0 and at most 2; got -1"),
    (gr.indrnn, {"dtype": "int8"}, "`dtype` must be .*floating.*; got 'int8'"),
    (gr.relu_rnn, {"recurrent_init": "identity"}, "`recurrent_init` must be a function .*; got 'identity'"),
]


@pytest.mark.parametrize(("cell", "wrong", "message"), BAD_INIT, ids=lambda part: getattr(part, "name", None))
def test_bad_init(cell, wrong, message):
    """A ValueError that names the argument, what was expected and what came."""
    with pytest.raises(ValueError, match=message):
        cell.init(**{"key": jax.random.key(0), "input_size": D, "hidden_size": H} | wrong)
