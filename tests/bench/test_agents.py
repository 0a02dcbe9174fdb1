"""The agent: the environment's rules; training reads what the rollout did; faults have names; it learns."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

import gatedrnn as gr
from benchmarks.agents.agent import FAULTS, Agent, audit, check_audit, played as play
from benchmarks.agents.environment import Recall
from benchmarks.agents.ppo import RECORDED, Settings, advantages, train

CAUSES = {
    "none": "none",
    "late": "reset late",
    "early": "reset early",
    "never": "no reset in training",
    "first": "first carry",
    "next": "other steps",
}


@pytest.fixture(scope="module")
def agent():
    """Small, with episodes shorter and longer than a rollout's half."""
    return Agent(gr.lstm, Recall(delay=8, symbols=3), hidden_size=5, rows=6, steps=16)


@pytest.fixture(scope="module")
def played(agent):
    """Weights, where the second rollout begins, that rollout, and where it ends."""
    weights = agent.init(jax.random.key(0))
    now, _ = play(agent, weights, agent.start(jax.random.key(1), weights), jax.random.key(2))
    after, rollout = play(agent, weights, now, jax.random.key(3))
    return weights, now, rollout, after


def episodes(environment, wrong, steps=400):
    """Of one environment: lists of (observation, reward, done), an episode each; the answer is the cue plus `wrong`."""

    def act(now, key):
        episode, observation = now
        answer = (episode.cue + wrong) % environment.symbols
        episode, following, reward, done = environment.step(key, episode, answer)
        return (episode, following), (observation, reward, done)

    first, *keys = jax.random.split(jax.random.key(0), steps + 1)
    _, (seen, reward, done) = jax.jit(lambda: jax.lax.scan(act, environment.begin(first), jnp.stack(keys)))()
    rows = list(zip(np.asarray(seen), np.asarray(reward).tolist(), np.asarray(done).tolist(), strict=True))
    ends = (np.flatnonzero(done) + 1).tolist()
    return [rows[start:end] for start, end in itertools.pairwise([0, *ends])]


@pytest.mark.parametrize(("wrong", "earned"), [(0, 1.0), (1, 0.0)])
def test_the_rules(wrong, earned):
    """A cue at the first step, distractors, a question that ends it: 7 to 11 steps, of delays from 6 to 10."""
    found = episodes(Recall(delay=8, symbols=3), wrong)
    assert {len(steps) for steps in found} == {7, 8, 9, 10, 11}
    assert {int(steps[0][0][:3].argmax()) for steps in found} == {0, 1, 2}
    for steps in found:
        seen = np.stack([observation for observation, _, _ in steps])
        assert [list(row) for row in (seen[:, 3], seen[:, 4])] == [
            [1] + [0] * (len(steps) - 1),
            [0] * (len(steps) - 1) + [1],
        ]
        assert list(seen[:, :3].sum(1)) == [1] * (len(steps) - 1) + [0]
        assert [reward for _, reward, _ in steps] == [0.0] * (len(steps) - 1) + [earned]
        assert [done for _, _, done in steps] == [False] * (len(steps) - 1) + [True]
    distractors = np.concatenate([[o[:3].argmax() for o, _, _ in steps[1:-1]] for steps in found])
    assert (np.bincount(distractors) > len(distractors) / 6).all()


def test_resets_are_the_first_steps_of_episodes(played):
    """Where the cue is shown, one step after `done`, and inside the rollout."""
    _, now, rollout, after = played
    np.testing.assert_array_equal(rollout.reset, rollout.observation[..., 3] == 1)
    np.testing.assert_array_equal(rollout.reset[1:], rollout.done[:-1])
    np.testing.assert_array_equal(after.begins, rollout.done[-1])
    assert rollout.reset[1:].any(0).all() and not now.begins.all()


def test_training_reads_what_the_rollout_did(agent, played):
    """Log-probabilities, values and carries of the same weights, from the carry before the rollout."""
    weights, now, rollout, after = played
    log_probs, values = agent.read_again(weights, now.carry, rollout)
    assert_close(jnp.take_along_axis(log_probs, rollout.action[..., None], -1)[..., 0], rollout.log_prob, "float32", 40)
    assert_close(values, rollout.value, "float32", 40)
    end, _ = gr.unroll(agent.cell, weights.cell, rollout.observation, now.carry, reset=rollout.reset)
    assert_close(after.carry, end, "float32", 40)


def test_advantages_are_sums_of_what_follows(played):
    """The double sum of the equation, which ends with the episode."""
    *_, rollout, _ = played
    settings = Settings(discount=0.9, trace=0.8)
    reward, done, value = (np.asarray(a, np.float64) for a in (rollout.reward, rollout.done, rollout.value))
    last = np.linspace(-1, 1, value.shape[1])
    delta = reward + 0.9 * (1 - done) * np.concatenate([value[1:], last[None]]) - value
    want = np.zeros_like(delta)
    for t, row in itertools.product(*map(range, delta.shape)):
        for k in range(t, len(delta)):
            want[t, row] += 0.72 ** (k - t) * delta[k, row]
            if done[k, row]:
                break
    assert_close(advantages(rollout, jnp.asarray(last, jnp.float32), settings), want, "float32", 40)


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_have_names(agent, fault):
    """The audit names each that is planted, and finds none where there is none."""
    found = audit(agent, agent.init(jax.random.key(0)), jax.random.key(1), FAULTS[fault])
    assert found.cause == CAUSES[fault]
    if fault == "none":
        check_audit(found)
        return
    with pytest.raises(
        ValueError, match=rf"^`rollout` must be what training repeats; got {found.cause}, first at step"
    ):
        check_audit(found)


def test_refuses_in_one_sentence():
    """What no agent can be made of."""
    with pytest.raises(ValueError, match="^`delay` must be a whole number of at least 1; got 0.$"):
        Recall(delay=0)
    with pytest.raises(ValueError, match="^`symbols` must be "):
        Recall(symbols=1)
    with pytest.raises(ValueError, match="^`cell` must be "):
        Agent(gr.bidirectional(gr.gru))
    with pytest.raises(ValueError, match="^`rows` must be "):
        Agent(gr.gru, rows=0)


@pytest.mark.slow
@pytest.mark.parametrize("forgetful", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_learns_with_a_memory_alone(forgetful):
    """A short delay in seconds. Optax casts by implicit promotion."""
    agent = Agent(gr.gru, Recall(delay=4, symbols=2), hidden_size=8, rows=32, steps=16, forgetful=forgetful)
    settings = Settings(updates=60, minibatches=1, learning_rate=1e-2)
    with jax.numpy_dtype_promotion("standard"):
        *_, (_, row) = train(agent, settings, jax.random.key(0), every=30)
    assert (row["updates"], row["steps"]) == (60, 60 * 32 * 16)
    assert abs(row["success"] - 0.5) < 0.05 if forgetful else row["success"] > 0.9


@pytest.mark.slow
def test_the_program_refuses_a_fault(run, tmp_path):
    """One sentence, and no record."""
    done = run("-m", "benchmarks.agents.ppo", "--cell", "gru", "--fault", "late", "--out", tmp_path / "agents.json")
    assert done.returncode == 1
    assert done.stderr.startswith("`rollout` must be what training repeats; got reset late, first at step ")
    assert done.stderr.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_program_writes_a_record(run, tmp_path):
    """Of the cells that are named, and in spite of a fault where that is asked for."""
    options = ("--fault", "never", "--anyway", "--updates", "1", "--seeds", "1", "--out", tmp_path / "agents.json")
    done = run("-m", "benchmarks.agents.ppo", "--cell", "rnn", *options)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "agents.json").read_text())
    (entry,) = record["runs"]
    assert (entry["agent"], entry["settings"]["fault"], entry["audit"]) == ("rnn", "never", "no reset in training")
    assert [row["updates"] for row in entry["curve"]] == [1]


def test_the_record_holds_what_the_guide_says(project):
    """Those that remember are right in nearly all answers; the others are at chance."""
    record = json.loads((project / "benchmarks/results/agents.json").read_text())
    chance, runs = (
        record["environment"]["chance"],
        [(each["agent"], each["settings"]["fault"]) for each in record["runs"]],
    )
    assert list(dict.fromkeys(runs)) == list(RECORDED)
    for entry in record["runs"]:
        last, able = entry["curve"][-1]["success"], entry["audit"] == "none" and not entry["forgetful"]
        assert last > 0.95 if able else abs(last - chance) < 0.05
        assert entry["seconds"] < 180
    assert not record["made"]["commit"].endswith("-dirty")
