"""Lengths, packed documents and batch-major data: other words for masks, resets and transposed arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr

T, B, D, H = 6, 4, 3, 5
LENGTHS = jnp.array([6, 0, 3, 1])


@pytest.fixture(scope="module")
def params():
    return gr.lstm.init(jax.random.key(0), D, H)


@pytest.fixture(scope="module")
def xs():
    return jax.random.normal(jax.random.key(1), (T, B, D))


@pytest.mark.parametrize("reverse", [False, True])
def test_lengths_are_a_mask(params, xs, reverse):
    """Also beside a mask, and under `jit`; the carry is that after each row's own last step."""
    mask = jnp.asarray(np.arange(T)[:, None] < np.asarray(LENGTHS))
    own = jax.random.bernoulli(jax.random.key(2), 0.7, (T, B))
    run = lambda **flags: gr.unroll(gr.lstm, params, xs, reverse=reverse, **flags)
    assert_close(run(lengths=LENGTHS), run(mask=mask), "float32", 1)
    assert_close(run(lengths=LENGTHS, mask=own), run(mask=mask & own), "float32", 1)
    assert_close(jax.jit(lambda n: run(lengths=n))(LENGTHS), run(mask=mask), "float32", 1)
    carry, ys = run(lengths=LENGTHS)
    assert not carry.c[1].any() and not ys[:, 1].any()
    alone = gr.unroll(gr.lstm, params, xs[:3, 2], reverse=reverse)
    assert_close((jax.tree.map(lambda a: a[2], carry), ys[:3, 2]), alone, "float32", 40)
    single = gr.unroll(gr.lstm, params, xs[:, 2], lengths=3, reverse=reverse)
    assert_close(single[0], alone[0], "float32", 40)


def test_last_outputs_of_each_row(params, xs):
    """Its own last step's; zero of an empty row."""
    _, ys = gr.unroll(gr.lstm, params, xs)
    _, last = gr.unroll(gr.lstm, params, xs, lengths=LENGTHS, outputs="last")
    for row, length in enumerate(LENGTHS):
        assert_close(last[row], ys[length - 1, row] if length else jnp.zeros(H), "float32", 40)


@pytest.mark.parametrize("reverse", [False, True])
def test_packed_documents(params, xs, reverse):
    """A new document where the number changes, also past padding between two; the first goes on from the carry."""
    ids = jnp.array([[1, 7, 7, 7, 2, 2]] * B).T
    mask = jnp.ones((T, B), bool).at[1].set(False)
    carry = jax.tree.map(lambda a: a + 1.0, gr.lstm.initial_carry(params, B))
    _, ys = gr.unroll(gr.lstm, params, xs, carry, segment_ids=ids, mask=mask, reverse=reverse)
    cuts = {(0, 1): 0, (2, 4): 7, (4, 6): 2}
    for start, end in cuts:
        first = end == T if reverse else start == 0
        _, want = gr.unroll(gr.lstm, params, xs[start:end], carry if first else None, reverse=reverse)
        assert_close(ys[start:end], want, "float32", 40)
    reset = jnp.zeros((T, B), bool).at[3].set(True)
    both = gr.unroll(gr.lstm, params, xs, segment_ids=ids, reset=reset, reverse=reverse)
    where = np.array([0, 1, 0, 1, 1, 0], bool) if not reverse else np.array([1, 0, 0, 1, 0, 0], bool)
    want = gr.unroll(gr.lstm, params, xs, reset=jnp.asarray(np.repeat(where[:, None], B, 1)), reverse=reverse)
    assert_close(both, want, "float32", 1)


def test_batch_major(params, xs):
    """Everything with a time axis is turned, outputs back; gradients too."""
    turn = lambda a: jnp.swapaxes(a, 0, 1)
    mask, reset = (jax.random.bernoulli(jax.random.key(i), 0.6, (T, B)) for i in (3, 4))
    carry, ys = gr.unroll(gr.lstm, params, xs, mask=mask, reset=reset, lengths=LENGTHS)
    turned = {"mask": turn(mask), "reset": turn(reset), "lengths": LENGTHS, "batch_major": True}
    found, back = gr.unroll(gr.lstm, params, turn(xs), **turned)
    assert back.shape == (B, T, H)
    assert_close((found, turn(back)), (carry, ys), "float32", 1)
    assert_close(gr.unroll(gr.lstm, params, turn(xs), **turned, outputs="last")[1].shape, (B, H), "float32", 1)
    targets = jax.random.normal(jax.random.key(5), (T, B))
    error = lambda w, ys, targets: jnp.square(ys.sum(-1) - targets)
    readout = gr.Readout(error, (), targets)
    total = gr.unroll(gr.lstm, params, xs, lengths=LENGTHS, outputs=readout)[1]
    readout = gr.Readout(error, (), turn(targets))
    found = gr.unroll(gr.lstm, params, turn(xs), lengths=LENGTHS, batch_major=True, outputs=readout)[1]
    assert_close(found, total, "float32", 40)
    ids = jnp.array([[1, 1, 2, 2, 2, 3]] * B)
    packed = [
        gr.unroll(gr.lstm, params, xs, segment_ids=turn(ids))[1],
        turn(gr.unroll(gr.lstm, params, turn(xs), segment_ids=ids, batch_major=True)[1]),
    ]
    assert_close(*packed, "float32", 1)
    unbatched = gr.unroll(gr.lstm, params, xs[:, 0], batch_major=True)[1]
    assert_close(unbatched, gr.unroll(gr.lstm, params, xs[:, 0])[1], "float32", 1)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"lengths": jnp.array([1, 2])}, "`lengths` must be whole numbers [B] = (4,), one per row"),
        ({"lengths": jnp.array([1, 2, 3, 4, 5, 6])}, "batch_major=True"),
        ({"lengths": jnp.array([1.0, 2, 3, 4])}, "`lengths` must be whole numbers"),
        ({"lengths": jnp.array([1, 2, 3, 7])}, "`lengths` must be from 0 to T = 6; got 7"),
        ({"lengths": jnp.array([1, 2, 3, -1])}, "got -1"),
        ({"lengths": 3}, "[B] = (4,)"),
        ({"segment_ids": jnp.ones((B, T), int)}, "`segment_ids` must be whole numbers [T, B] = (6, 4)"),
        ({"segment_ids": jnp.ones((T, B))}, "`segment_ids` must be whole numbers"),
        ({"batch_major": 1}, "`batch_major` must be True or False"),
        ({"key": 3}, "`key` must be"),
    ],
)
def test_refusals(params, xs, flags, words):
    with pytest.raises(ValueError, match="must be") as caught:
        gr.unroll(gr.lstm, params, xs, **flags)
    assert words in str(caught.value)
