"""Dropout, zoneout, learned first carries: what is drawn, how often, and the same whatever runs it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr
from gatedrnn._noise import COLUMNS, Noise, joined, kept, parted, with_noise

CELLS = [
    gr.regularised(gr.lstm, input_dropout=0.3, recurrent_dropout=0.4, zoneout=0.3),
    gr.regularised(gr.lstm, zoneout={"c": 0.5}),
    gr.regularised(gr.gru, recurrent_dropout=0.25, zoneout=0.2),
    gr.regularised(gr.rnn, input_dropout=0.5),
    gr.regularised(gr.slstm, zoneout={"h": 0.2}),
    gr.learned_carry(gr.regularised(gr.gru, recurrent_dropout=0.2)),
    gr.stack(gr.regularised(gr.gru, zoneout=0.2), gr.gru_before, dropout=0.4),
    gr.bidirectional(gr.regularised(gr.rnn, recurrent_dropout=0.3)),
]
KEY = jax.random.key(5)
each_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name.replace(" ", ""))


@pytest.mark.slow
@each_cell
@pytest.mark.thinned(11)
@pytest.mark.sampled
@pytest.mark.parametrize("method", [gr.Segmented(3), gr.Segmented(), gr.Checkpointed(2, gr.Segmented(2))], ids=str)
def test_a_key_gives_the_same_numbers_by_every_method(cell, method, draw, differentiated):
    """Values and gradients, with masks and resets; another key gives others, and none none."""
    if isinstance(method, gr.Checkpointed) and "gru_before" in cell.name:
        method = gr.Checkpointed(2)
    params, xs, mask, reset = draw(cell)
    flags = {"mask": mask, "reset": reset}
    want = differentiated(cell, params, xs, gr.Autodiff(), KEY, **flags)
    assert_close(differentiated(cell, params, xs, method, KEY, **flags), want, "float32", 200)
    for other in (None, jax.random.key(6)):
        assert abs(differentiated(cell, params, xs, method, other, **flags)[0] - want[0]) > 1e-3


def test_on_devices_as_on_one(draw):
    """Rows draw the same numbers on whichever device they are."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("batch",))
    params, xs, *_ = draw(CELLS[0])
    found = [gr.unroll(CELLS[0], params, xs, key=KEY, method=m)[1] for m in (gr.Segmented(), gr.Sharded(mesh))]
    assert_close(*found, "float32", 40)


def test_variational_masks_are_of_a_whole_sequence():
    """Input and state are damped alike at every step of a row, otherwise in every row, as the equations say."""
    cell = gr.regularised(gr.rnn, input_dropout=0.5, recurrent_dropout=0.5)
    params = cell.init(jax.random.key(0), 6, 5)
    xs = jax.random.normal(jax.random.key(1), (4, 8, 6))
    _, ys = gr.unroll(cell, params, xs, key=KEY)
    x, noise = parted(with_noise(KEY, xs))
    assert (noise.row == noise.row[:1]).all() and len(np.unique(noise.row)) == 8 and len(np.unique(noise.step)) == 32
    m_x = np.asarray(kept(noise.row[0], 0.5, 6, 101, "float32")) * 2  # [B, D]
    m_h = np.asarray(kept(noise.row[0], 0.5, 5, 102, "float32")) * 2
    assert len(np.unique(m_x, axis=0)) > 4 and len(np.unique(m_h, axis=0)) > 4
    w, b, u = (np.asarray(a) for a in (params.input["w"], params.input["b"], params.recurrent["w"]))
    h = np.zeros((8, 5))
    for t, x in enumerate(np.asarray(xs)):
        h = np.tanh((x * m_x) @ w + b + (h * m_h) @ u)
        assert_close(ys[t], h, "float32", 60)


def test_zoneout_is_the_papers():
    """c and h keep their old values where their masks are 0; h reads the cell state before it is zoned."""
    cell = gr.regularised(gr.lstm, zoneout={"h": 0.3, "c": 0.6})
    params = cell.init(jax.random.key(0), 2, 5)
    xs = jax.random.normal(jax.random.key(1), (6, 3, 2))
    _, noise = parted(with_noise(KEY, xs))
    keep_h, keep_c = (np.asarray(kept(noise.step, rate, 5, salt, "float32")) for rate, salt in ((0.3, 103), (0.6, 104)))
    state = gr.lstm.initial_carry(params, 3)
    average = state
    for t, x in enumerate(xs):
        new, _ = gr.lstm.step(params, state, x)
        state = gr.LSTMState(jnp.where(keep_h[t] > 0, new.h, state.h), jnp.where(keep_c[t] > 0, new.c, state.c))
        new, _ = gr.lstm.step(params, average, x)
        average = gr.LSTMState(0.7 * new.h + 0.3 * average.h, 0.4 * new.c + 0.6 * average.c)
    assert_close(gr.unroll(cell, params, xs, key=KEY)[0], state, "float32", 60)
    assert_close(gr.unroll(cell, params, xs)[0], average, "float32", 60)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_rates(rate):
    """As many are dropped as asked, in every unit, step and row; neighbours know nothing of each other."""
    noise = parted(with_noise(KEY, jnp.zeros((200, 50, 1))))[1]
    found = np.asarray(kept(noise.step, rate, 40, 7, "float32"))  # [T, B, H]
    deviations = 4 * (rate * (1 - rate)) ** 0.5
    assert abs(found.mean() - 1 + rate) <= deviations / found.size**0.5
    for axis in range(3):
        means = found.mean(tuple(i for i in range(3) if i != axis))
        assert np.abs(means - 1 + rate).max() <= 1.3 * deviations / (found.size / len(means)) ** 0.5
        pairs = np.moveaxis(found, axis, 0) - (1 - rate)
        assert abs((pairs[1:] * pairs[:-1]).mean()) <= 6 * rate * (1 - rate) / found.size**0.5
    other = np.asarray(kept(noise.step, rate, 40, 8, "float32")) - (1 - rate)
    assert abs((other * (found - 1 + rate)).mean()) <= 6 * rate * (1 - rate) / found.size**0.5


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_bits_survive_the_inputs_dtype(dtype):
    """32 of them, next to inputs of any width."""
    bits = jax.random.bits(KEY, (5, 2, 2), jnp.uint32)
    noise = Noise(bits[..., 0], bits[..., 1])
    x = jnp.ones((5, 2, 3), dtype)
    found, back = parted(joined(x, noise))
    assert joined(x, noise).shape[-1] == 3 + COLUMNS
    assert all((a == b).all() for a, b in zip(noise, back, strict=True)) and (found.astype(dtype) == x).all()


def test_layers_draw_apart():
    """The same cell in two layers, and in two directions, drops other units."""
    cell = gr.regularised(gr.rnn, recurrent_dropout=0.5)
    params = cell.init(jax.random.key(0), 4, 4)
    x, noise = parted(with_noise(KEY, jnp.ones((1, 60, 4))))
    damp = lambda salt: np.asarray(cell.training.damp(params.input, joined(x, noise.salted(salt))))
    drawn = [damp(salt) for salt in (1, 2, -1, -2)]  # as the layers and the directions are salted
    for i, one in enumerate(drawn):
        assert all((one != other).mean() > 0.3 for other in drawn[:i])


@pytest.mark.slow
def test_learned_carries_begin_sequences_and_episodes(draw):
    """Gradients reach it from the first step and from every reset, none where a carry is given."""
    cell = gr.learned_carry(gr.lstm)
    params, xs, *_ = draw(cell)
    reset = jnp.zeros(xs.shape[:2], bool).at[3, 1].set(True)
    total = lambda p, xs, carry=None: gr.unroll(cell, p, xs, carry, reset=reset)[1][:, 1].sum()
    got = jax.grad(total)(params, xs).initial
    alone = lambda p: (
        gr.unroll(gr.lstm, p._replace(initial=()), xs[:3, 1], gr.LSTMState(*p.initial))[1].sum()
        + (gr.unroll(gr.lstm, p._replace(initial=()), xs[3:, 1], gr.LSTMState(*p.initial))[1].sum())
    )
    assert_close(got, jax.grad(alone)(params).initial, "float32", 60)
    zero = gr.lstm.initial_carry(params, xs.shape[1])
    first = jax.grad(lambda p: gr.unroll(cell, p, xs, zero)[1].sum())(params).initial
    assert not any(np.any(a) for a in first)


def test_weight_drop():
    """Recurrent matrices alone, wherever they are in a network; what is kept is scaled."""
    network = gr.stack(gr.bidirectional(gr.gru), gr.learned_carry(gr.lstm))
    params = network.init(jax.random.key(0), 3, 16)
    dropped = gr.networks.weight_drop(jax.random.key(1), params, 0.25)
    paths = dict(jax.tree.leaves_with_path(dropped))
    shares = []
    for path, leaf in jax.tree.leaves_with_path(params):
        name = jax.tree_util.keystr(path)
        if ".recurrent" in name and leaf.ndim == 2:
            zero = paths[path] == 0
            shares.append(float(zero.mean()))
            assert_close(jnp.where(zero, 0, paths[path] * 0.75), jnp.where(zero, 0, leaf), "float32", 4)
        else:
            assert (paths[path] == leaf).all()
    assert len(shares) == 3 and all(0.2 < share < 0.3 for share in shares)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"zoneout": {"n": 0.1}}, "`zoneout` must be rates of h, c; got ['n']"),
        ({"zoneout": {"c": 1.0}}, "below 1"),
        ({"recurrent_dropout": -0.1}, "`recurrent_dropout`"),
        ({"input_dropout": float("nan")}, "`input_dropout`"),
    ],
)
def test_refusals(options, words):
    with pytest.raises(ValueError, match="must be") as caught:
        gr.regularised(gr.lstm, **options)
    assert words in str(caught.value)
    with pytest.raises(ValueError, match="`cell` must be in three-function form"):
        gr.regularised(gr.gru_before, zoneout=0.1)
