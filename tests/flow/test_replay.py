"""The replay audit finds planted faults, one by one, and passes a right agent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr

T, B, D, H = 24, 3, 3, 6
CELLS = (gr.gru, gr.lstm, gr.stack(gr.gru, gr.rnn), gr.gru_before)
DONE = np.zeros((T, B), bool)  # True at the last step of an episode
DONE[[4, 11], 0] = DONE[[9], 1] = True
FIRST = np.roll(DONE, 1, axis=0)  # True at the first
each_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name.replace(" ", ""))


def rollout(cell, params, xs, begins, carry=None, replaced=None):
    """Carries after each step of an agent that loops in Python; `begins [T, B]`: where it starts from nothing."""
    carry = cell.initial_carry(params, B) if carry is None else carry
    initial, held = cell.initial_carry(params, B), []
    for t in range(T):
        anew = jnp.asarray(np.repeat(begins[t][:, None], H, 1))
        carry = jax.tree.map(lambda a, b, anew=anew: jnp.where(anew, a, b), initial, carry)
        if t == replaced:
            carry = jax.tree.map(lambda a: a + 0.5, carry)
        carry, _ = cell.step(params, carry, xs[t])
        held.append(carry)
    return jax.tree.map(lambda *parts: jnp.stack(parts), *held)


@pytest.fixture
def agent():
    """(cell) -> params, xs."""

    def draw(cell):
        return cell.init(jax.random.key(0), D, H), jax.random.normal(jax.random.key(1), (T, B, D))

    return draw


def audit(cell, params, xs, carries, reset, carry=None):
    return gr.flow.replay(cell, params, xs, carries, carry, reset=None if reset is None else jnp.asarray(reset))


@each_cell
def test_faults_are_named_where_they_are(cell, agent):
    """Off by one either way, no reset on either side, a stale carry, other weights; the step and the row."""
    params, xs = agent(cell)
    right = rollout(cell, params, xs, FIRST)
    found = audit(cell, params, xs, right, FIRST)
    assert found.cause == "none" and (found.parted == T).all()
    assert (found.reset == FIRST).all() and not found.unexplained.any()

    found = audit(cell, params, xs, right, DONE)  # training takes `done` for the first step of an episode
    assert found.cause == "reset late" and found.parted.tolist() == [4, 9, T]
    found = audit(cell, params, xs, rollout(cell, params, xs, DONE), FIRST)
    assert found.cause == "reset early" and found.parted.tolist() == [4, 9, T]
    found = audit(cell, params, xs, rollout(cell, params, xs, np.zeros_like(DONE)), FIRST)
    assert found.cause == "no reset in the rollout" and found.parted.tolist() == [5, 10, T]
    found = audit(cell, params, xs, right, None)
    assert found.cause == "no reset in training" and (found.reset == FIRST).all()
    some = FIRST.copy()
    some[12, 0] = False
    assert audit(cell, params, xs, right, some).cause == "other resets"

    stale = jax.tree.map(lambda a: a[-1], right)  # the carry of the end of the last batch
    found = audit(cell, params, xs, right, FIRST, stale)
    assert found.cause == "first carry" and not found.parted.any()
    middle = jax.tree.map(lambda a: a[8], right)
    found = audit(cell, params, xs, rollout(cell, params, xs, FIRST, middle), FIRST, stale)
    assert found.cause == "first carry" and found.unexplained[0].all() and not found.unexplained[1:].any()
    assert audit(cell, params, xs, rollout(cell, params, xs, FIRST, stale), FIRST, stale).cause == "none"
    found = audit(cell, params, xs, rollout(cell, params, xs, FIRST, replaced=7), FIRST)
    assert found.cause == "other steps" and found.parted.tolist() == [7, 7, 7]
    other = jax.tree.map(lambda a: a * 1.1, params)
    assert audit(cell, params, xs, rollout(cell, other, xs, FIRST), FIRST).cause in ("other steps", "first carry")
    broken = jax.tree.map(lambda a: a.at[3, 1].set(jnp.nan), right)
    assert audit(cell, params, xs, broken, FIRST).parted.tolist() == [T, 3, T]


def test_one_row_masks_and_nothing():
    """Without a batch axis; steps that are masked hold the carry; no steps at all."""
    params = gr.lstm.init(jax.random.key(0), D, H)
    xs = jax.random.normal(jax.random.key(1), (T, B, D))
    carries = rollout(gr.lstm, params, xs, FIRST)
    one = gr.flow.replay(
        gr.lstm, params, xs[:, 0], jax.tree.map(lambda a: a[:, 0], carries), reset=jnp.asarray(DONE[:, 0])
    )
    assert one.cause == "reset late" and one.parted == 4 and one.reset.shape == (T,)
    mask = jnp.ones((T, B), bool).at[6].set(False)
    inputs = jnp.concatenate([xs[:6], xs[:1], xs[6:-1]])
    begins = np.concatenate([FIRST[:6], FIRST[:1] * 0, FIRST[6:-1]]).astype(bool)
    held = jax.tree.map(lambda a: jnp.concatenate([a[:6], a[5:6], a[6:-1]]), carries)
    found = gr.flow.replay(gr.lstm, params, inputs, held, mask=mask, reset=jnp.asarray(begins))
    assert found.cause == "none"
    empty = gr.flow.replay(gr.lstm, params, xs[:0], jax.tree.map(lambda a: a[:0], carries))
    assert empty.cause == "none" and empty.parted.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a[:-1], "`carries` must be carries of all T = 24 steps"),
        (lambda a: a[:, :2], "`carries` must be arrays of the shapes"),
        (lambda a: a.astype(int), "`carries` must be a carry of floating arrays"),
    ],
)
def test_refusals(agent, change, words):
    params, xs = agent(gr.gru)
    carries = rollout(gr.gru, params, xs, FIRST)
    with pytest.raises(ValueError, match="must be") as caught:
        gr.flow.replay(gr.gru, params, xs, jax.tree.map(change, carries))
    assert words in str(caught.value)
    with pytest.raises(ValueError, match="`tolerance` must be"):
        gr.flow.replay(gr.gru, params, xs, carries, tolerance=0)
