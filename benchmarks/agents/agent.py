"""A recurrent policy: it acts step by step, `gr.unroll` reads the steps again, and an audit tells whether both agree.

carry_t, y_t = step(begins_t ? initial : carry_{t-1}, observation_t)
action_t ~ softmax(actor y_t),  value_t = critic y_t
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

import gatedrnn as gr
from benchmarks.agents.environment import Episode, Recall
from gatedrnn._check import check_size, fail
from gatedrnn._sequence import check_causal


class Dense(NamedTuple):
    """A readout: matrix [H, O], bias [O]."""

    matrix: Array
    bias: Array

    def __call__(self, y: Array) -> Array:
        """[..., H] -> [..., O]."""
        out = y @ self.matrix
        return out + jnp.broadcast_to(self.bias, out.shape)


class Weights(NamedTuple):
    """Of the recurrence and of both readouts."""

    cell: Any
    actor: Dense
    critic: Dense

    def heads(self, y: Array) -> tuple[Array, Array]:
        """y [..., H] -> log-probabilities [..., C] of the actions, value [...]."""
        return jax.nn.log_softmax(self.actor(y)), self.critic(y)[..., 0]


class Now(NamedTuple):
    """Where B environments and their agent are, before an action.

    Attributes:
        episode: of each environment, [B] each.
        observation: what the agent reads next, [B, D].
        begins: whether that is the first step of an episode, bool [B].
        carry: after the step before, [B, H] each.
    """

    episode: Episode
    observation: Array
    begins: Array
    carry: Any


class Rollout(NamedTuple):
    """What was played, [T, B, ...] each.

    Attributes:
        observation: [T, B, D].
        reset: True where the agent began anew with that observation.
        action: int.
        log_prob: of that action.
        value: by the critic.
        reward: for that action.
        done: whether that action ended the episode: `reset` is True one step later.
        carries: after each step, [T, B, H] each; for the audit alone.
    """

    observation: Array
    reset: Array
    action: Array
    log_prob: Array
    value: Array
    reward: Array
    done: Array
    carries: Any


@dataclass(frozen=True)
class Agent:
    """A cell in an environment.

    Attributes:
        cell: a cell, or a network that does not read backwards.
        environment: the one that it plays.
        hidden_size: H.
        rows: B, how many environments are played side by side.
        steps: T, of a rollout.
        forgetful: whether every step begins anew: then nothing is remembered.

    Raises:
        ValueError: the cell reads backwards, or a size is out of range.
    """

    cell: gr.Cell
    environment: Recall = Recall()
    hidden_size: int = 32
    rows: int = 64
    steps: int = 128
    forgetful: bool = False

    def __post_init__(self) -> None:
        check_causal("cell", self.cell)
        for name in ("hidden_size", "rows", "steps"):
            object.__setattr__(self, name, check_size(name, getattr(self, name)))

    def init(self, key: Array) -> Weights:
        """Weights to begin with: readouts near zero, so that all actions are alike."""
        width, actions = self.environment.observation_size, self.environment.symbols
        for_cell, for_actor, for_critic = jax.random.split(key, 3)
        cell = self.cell.init(for_cell, width, self.hidden_size)
        size = gr.networks.width_of(self.cell, cell, width)

        def dense(key: Array, outputs: int) -> Dense:
            return Dense(0.1 * jax.random.normal(key, (size, outputs)) / size**0.5, jnp.zeros(outputs))

        return Weights(cell, dense(for_actor, actions), dense(for_critic, 1))

    def start(self, key: Array, weights: Weights) -> Now:
        """B new episodes."""
        episode, observation = jax.vmap(self.environment.begin)(jax.random.split(key, self.rows))
        begins = jnp.ones(self.rows, bool)
        return Now(episode, observation, begins, self.cell.initial_carry(weights.cell, self.rows))

    def read(self, weights: Weights, now: Now) -> tuple[Any, Array, Array]:
        """One step of the recurrence: the carry after it, log-probabilities [B, C], value [B]."""
        initial = self.cell.initial_carry(weights.cell, self.rows)
        carry = jax.tree.map(lambda new, old: jnp.where(now.begins[:, None], new, old), initial, now.carry)
        carry, y = self.cell.step(weights.cell, carry, now.observation)
        return carry, *weights.heads(y)

    def play(self, weights: Weights, now: Now, key: Array) -> tuple[Now, Rollout]:
        """T steps of all environments."""

        def act(now: Now, key: Array) -> tuple[Now, Rollout]:
            for_action, for_environment = jax.random.split(key)
            carry, log_probs, value = self.read(weights, now)
            action = jax.random.categorical(for_action, log_probs)
            log_prob = jnp.take_along_axis(log_probs, action[:, None], 1)[:, 0]
            keys = jax.random.split(for_environment, self.rows)
            episode, observation, reward, done = jax.vmap(self.environment.step)(keys, now.episode, action)
            played = Rollout(now.observation, now.begins, action, log_prob, value, reward, done, carry)
            return Now(episode, observation, done | self.forgetful, carry), played

        return jax.lax.scan(act, now, jax.random.split(key, self.steps))

    def read_again(self, weights: Weights, carry: Any, rollout: Rollout) -> tuple[Array, Array]:
        """The rollout's steps from the carry before them: log-probabilities [T, B, C], values [T, B]."""
        _, ys = gr.unroll(self.cell, weights.cell, rollout.observation, carry, reset=rollout.reset)
        return weights.heads(ys)


played = jax.jit(Agent.play, static_argnums=0)
"""`Agent.play`, compiled once per agent."""

Seen = Callable[[Any, Rollout], tuple[Any, Rollout]]
"""What training makes of a rollout and of the carry before it."""

FAULTS: dict[str, Seen] = {
    "none": lambda carry, rollout: (carry, rollout),
    "late": lambda carry, rollout: (carry, rollout._replace(reset=rollout.done)),
    "early": lambda carry, rollout: (carry, rollout._replace(reset=jnp.roll(rollout.reset, 1, 0).at[0].set(False))),
    "never": lambda carry, rollout: (carry, rollout._replace(reset=jnp.zeros_like(rollout.reset))),
    "first": lambda carry, rollout: (jax.tree.map(jnp.zeros_like, carry), rollout),
    "next": lambda carry, rollout: (carry, rollout._replace(observation=jnp.roll(rollout.observation, -1, 0))),
}
"""What goes wrong between rollout and training, which is given
late: `done` in the place of `reset`, so that the rollout begins anew one step later than training
early: resets one step after the rollout's
never: no resets
first: zeros in the place of the first carry
next: the observation after the action in the place of the one before it
"""


def audit(agent: Agent, weights: Weights, key: Array, seen: Seen = FAULTS["none"]) -> gr.flow.Replay:
    """Plays two rollouts, of which the second begins inside episodes, and replays that one as training will."""
    for_start, *for_rollouts = jax.random.split(key, 3)
    now, _ = played(agent, weights, agent.start(for_start, weights), for_rollouts[0])
    _, rollout = played(agent, weights, now, for_rollouts[1])
    carry, given = seen(now.carry, rollout)
    return gr.flow.replay(agent.cell, weights.cell, given.observation, rollout.carries, carry, reset=given.reset)


def check_audit(found: gr.flow.Replay) -> None:
    """Raises ValueError where rollout and training part."""
    if found.cause != "none":
        row = int(found.parted.argmin())
        told = f"{found.cause}, first at step {found.parted[row]} of row {row}"
        raise fail("rollout", "what training repeats", told)
