"""Units are called writable as a plain reading of the equations calls them; `init` makes as many as it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

HORIZONS = (10_000, 100_000, 1_000_000)
VALUES = np.linspace(0, 1, 101)
MARKED, UNMARKED = (np.stack([VALUES, np.full_like(VALUES, mark)], 1).astype(np.float32) for mark in (1, 0))


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def by_hand(name, params, xs):
    """What each step writes into a zero state and the factor of what it keeps, float64 [N, H] each."""
    w, b = (np.asarray(params.input[part], np.float64) for part in ("w", "b"))
    gates = np.split(np.asarray(xs, np.float64) @ w + b, 4 if name == "lstm" else 3, axis=1)
    if name == "lstm":
        return sigmoid(gates[0]) * np.tanh(gates[2]), sigmoid(gates[1])
    inner = gates[2] + sigmoid(gates[0]) * np.asarray(params.recurrent["b"], np.float64)
    return (1 - sigmoid(gates[1])) * np.tanh(inner), sigmoid(gates[1])


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_equations(name):
    """Ratio, offset and what is kept, in float64 from the equations; one marked row tells nothing apart."""
    cell = getattr(gr, name)
    params = cell.init(jax.random.key(3), 2, 7, chrono=50, input_init=gr.initializers.gaussian(3.0))
    found = gr.flow.writable(cell, params, MARKED, UNMARKED, horizon=50, lag=20)
    (signal, _), (noise, factors) = by_hand(name, params, MARKED), by_hand(name, params, UNMARKED)
    np.testing.assert_allclose(found.signal, signal.std(0), rtol=2e-4)
    np.testing.assert_allclose(found.ratio, signal.std(0) / (50**0.5 * noise.std(0)), rtol=2e-4)
    np.testing.assert_allclose(found.offset, 50 * noise.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.kept, np.exp(20 * np.log(factors).mean(0)), rtol=1e-4)
    assert found.number == ((found.ratio > 1) & (found.kept > 0.1)).sum()
    still = gr.flow.writable(cell, params, MARKED, UNMARKED[:1], horizon=50)
    assert np.isinf(still.ratio).all()
    assert not gr.flow.writable(cell, params, MARKED[:2] * 0, UNMARKED, horizon=50).ratio.any()


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_as_many_as_stated_for_any_seed(name):
    """20 seeds, three horizons; exactly those units, with nothing said of which feature it is that marks."""
    cell = getattr(gr, name)
    keys = jax.vmap(jax.random.key)(jnp.arange(20))
    for horizon in HORIZONS:
        made = gr.initializers.writable(4, horizon)
        params = jax.vmap(lambda key, made=made: cell.init(key, 2, 32, writable=made))(keys)
        measure = lambda params, horizon=horizon: gr.flow.writable(cell, params, MARKED, UNMARKED, horizon=horizon)
        found = jax.vmap(measure)(params)
        assert (found.number >= 4).all()
        assert (np.asarray(found.units)[:, 4:8]).all()  # those that the second feature opens
        assert (np.abs(found.offset[:, 4:8]) <= 0.1).all()
        assert (found.kept[:, 4:8] > 0.85).all()  # exp(-0.1), as far as float32 has numbers so near to 1


def test_what_init_sets():
    """At rest leak / T comes in; x . d = 1 opens half; no state reaches these gates; other weights are drawn alike."""
    made = gr.initializers.writable(2, 1_000, directions=[(0, 1, 0), (0.5, 0, 0.5)], leak=0.2)
    for name, writes, keeps in (("lstm", 0, 1), ("gru", None, 1)):
        cell, gates = getattr(gr, name), 4 if name == "lstm" else 3
        plain, params = (cell.init(jax.random.key(0), 3, 6, writable=each) for each in (None, made))
        parts = lambda p, gates=gates: [
            np.asarray(a).reshape(-1, gates, 6) for a in (p.input["w"], p.input["b"], p.recurrent["w"])
        ]
        w, b, u = parts(params)
        ours = [keeps] if writes is None else [writes, keeps]
        assert not u[:, ours, :4].any()
        sign, gate = (1, writes) if writes is not None else (-1, keeps)
        xs = np.array([[0, 0, 0], [7, 1, -7], [1, 0, 1]], np.float64)
        shut, opened = 0.2 / 1_000, 0.5
        opening = sigmoid(sign * (xs @ w[:, gate, :4] + b[0, gate, :4]))
        wanted = [[shut] * 4, [opened, opened, shut, shut], [shut, shut, opened, opened]]
        np.testing.assert_allclose(opening, wanted, rtol=1e-4)
        for before, after in zip(parts(plain), parts(params), strict=True):
            changed = np.zeros(before.shape, bool)
            changed[:, ours, :4] = True
            np.testing.assert_array_equal(before[~changed], after[~changed])


def moved(name, params, xs):
    """The plain recurrence h' of every unit that the opened gates leave, float64: steps xs [N, D] -> h [N, H]."""
    gates = 4 if name == "lstm" else 3
    w, b, u = (np.asarray(a, np.float64) for a in (params.input["w"], params.input["b"], params.recurrent["w"]))
    h, hs = np.zeros(u.shape[0]), []
    for x in np.asarray(xs, np.float64):
        of_x, of_h = np.split(x @ w + b, gates), np.split(h @ u, gates)
        if name == "lstm":
            h = sigmoid(of_x[3] + of_h[3]) * np.tanh(np.tanh(of_x[2] + of_h[2]))
        else:
            h = np.tanh(of_x[2] + sigmoid(of_x[0] + of_h[0]) * of_h[2])
        hs.append(h)
    return np.stack(hs)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_what_is_replaced_stands_still_until_it_is_released(name):
    """Steps between and after the symbols change nothing; after the release every step moves what is held."""
    cell, symbols = getattr(gr, name), [0, 2, 1, 0, 2]
    heard, delimiter = [[1, 1, 1, 0, 0]], [0, 0, 0, 0, 1]
    made = gr.initializers.writable(8, 10_000, directions=heard, replaces=True, release=delimiter, leak=1e-3)
    params = cell.init(jax.random.key(1), 5, 12, writable=made)
    shown = lambda steps: jnp.eye(5)[jnp.array(steps)]
    hs = gr.unroll(cell, params, shown(symbols))[1]  # [5, 12]
    np.testing.assert_allclose(hs[:, :8], moved(name, params, shown(symbols))[:, :8], rtol=2e-3, atol=2e-4)
    assert (np.abs(hs[:, 8:]) < 1e-3).all()  # nothing to remember yet
    scattered = np.full(800, 3)
    scattered[[3, 200, 201, 500, 799]] = symbols
    apart = 0.03 if name == "lstm" else 1e-3  # the output gate, open to 0.98, is another at each input
    np.testing.assert_allclose(gr.unroll(cell, params, shown(scattered))[1][-1], hs[-1], atol=apart)
    gates = gr.gate_activations(cell, params, shown([*symbols, 3, 4, 3, 3, 3]))
    keeps = np.asarray(gates.forget if name == "lstm" else gates.update)[:, :8]  # [10, 8]
    assert (keeps[:5] < 1e-3).all() and (keeps[5:7] > 1 - 1e-3).all() and (keeps[7:] < 1e-3).all()
    if name == "lstm":
        np.testing.assert_allclose(gates.input[:, :8], 1 - keeps, atol=1e-6)
        np.testing.assert_allclose(gates.output[:, 8:], sigmoid(4), rtol=1e-5)  # whatever is drawn
    one = cell.init(jax.random.key(1), 5, 12, writable=made, dtype="bfloat16")
    opened = gr.gate_activations(cell, one, shown([2, 3]).astype("bfloat16"))
    kept = np.asarray(opened.forget if name == "lstm" else opened.update, np.float32)[:, :8]
    assert (kept[0] < 1e-3).all() and (kept[1] > 0.99).all()


def test_replaced_for_any_seed_and_width():
    """20 seeds: one symbol long ago is shown as if it had been the last step, but for what leaks in and out."""
    made = gr.initializers.writable(5, 1_000, directions=[(1, 0)], replaces=True)
    keys = jax.vmap(jax.random.key)(jnp.arange(20))
    xs = jnp.eye(2)[jnp.array([0] + [1] * 999)]
    for cell in (gr.lstm, gr.gru):
        hs = jax.vmap(lambda key, cell=cell: gr.unroll(cell, cell.init(key, 2, 5, writable=made), xs)[1])(keys)
        assert (np.abs(hs[:, 0]).max(-1) > 0.1).all()
        assert (np.abs(hs[:, -1] - hs[:, 0]) < 0.25).all()


def test_refused():
    """What is no such value, or does not fit."""
    key, made = jax.random.key(0), gr.initializers.writable(4, 100)
    with pytest.raises(ValueError, match="`writable` must be of at most 6 units in all"):
        gr.lstm.init(key, 2, 6, writable=made)
    with pytest.raises(ValueError, match="`writable` must be a value of"):
        gr.gru.init(key, 2, 6, writable=4)
    with pytest.raises(ValueError, match="`writable.directions` must be"):
        gr.gru.init(key, 2, 6, writable=gr.initializers.writable(1, 100, directions=[(1, 0, 0)]))
    moves = {"replaces": True}
    released = gr.initializers.writable(2, 100, directions=[(0, 1)], release=(1, 0), **moves)
    with pytest.raises(ValueError, match="`writable` must be of at most 5 units in all.*; got 6"):
        gr.gru.init(key, 2, 5, writable=released)
    with pytest.raises(ValueError, match="`writable.release` must be"):
        gr.gru.init(key, 2, 9, writable=gr.initializers.writable(1, 100, release=(1, 0, 0), **moves))
    with pytest.raises(ValueError, match="`writable` must be of weights that float16 holds"):
        gr.gru.init(key, 2, 9, writable=gr.initializers.writable(1, 100, directions=[(1e5, 0)]), dtype="float16")
    sizes = ({"units": 0}, {"horizon": 1}, {"leak": 0}, {"leak": 2}, {"directions": [1, 0]}, {"directions": "x"})
    for wrong in (*sizes, {"replaces": 1}, {"horizon": 2, "leak": 1}, {"release": (1, 0)}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
            gr.initializers.writable(**({"units": 1, "horizon": 100} | wrong))
    for row in ([[1, 0]], [float("nan")], "x"):
        with pytest.raises(ValueError, match="`release` must be"):
            gr.initializers.writable(1, 100, release=row, **moves)
    params = gr.lstm.init(key, 2, 3)
    with pytest.raises(ValueError, match="`marked` must be"):
        gr.flow.writable(gr.lstm, params, MARKED[:1], UNMARKED, horizon=5)
    with pytest.raises(ValueError, match="`cell` must be"):
        gr.flow.writable(gr.rnn, gr.rnn.init(key, 2, 3), MARKED, UNMARKED, horizon=5)
