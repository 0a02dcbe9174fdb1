"""Recurrent PPO: an agent learns to remember a cue, and proves first that training repeats what it did.

python -m benchmarks.agents.ppo                               all agents and seeds; benchmarks/results/agents.json
python -m benchmarks.agents.ppo --cell gru --seeds 1          one agent, and no record
python -m benchmarks.agents.ppo --cell none --seeds 1         a GRU that begins anew at every step remembers nothing
python -m benchmarks.agents.ppo --cell gru --fault late       what the audit says of a reset that is one step early
python -m benchmarks.agents.ppo --cell gru --fault late --anyway   and what such an agent learns

A_t = sum_k (gamma lambda)^k delta_{t+k},  delta_t = r_t + gamma (1 - done_t) V_{t+1} - V_t
loss = -E min(ratio A, clip(ratio) A) + E (V - A - V_old)^2 / 4 - entropy

References:
    Schulman et al., "Proximal policy optimization algorithms", 2017, https://arxiv.org/abs/1707.06347
    Lu et al., "Discovered policy optimisation" (purejaxrl), 2022, https://arxiv.org/abs/2210.05639
"""

import argparse
import functools
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

import gatedrnn as gr
from benchmarks.agents.agent import FAULTS, Agent, Now, Rollout, Weights, audit, check_audit
from benchmarks.agents.environment import Recall
from benchmarks.shared import RESULTS, Row, described, number, write_whole
from gatedrnn._check import check_size
from gatedrnn.cells import CELLS

RECORDED = (("gru", "none"), ("lstm", "none"), ("none", "none"), ("gru", "late"))
"""A cell, or none, and a fault."""


@dataclass(frozen=True)
class Settings:
    """How an agent is trained: a minibatch is whole rows of a rollout; `fault` is one of `FAULTS`."""

    updates: int = 300
    epochs: int = 4
    minibatches: int = 4
    learning_rate: float = 3e-3
    clip_norm: float = 0.5
    discount: float = 0.99
    trace: float = 0.95
    clip: float = 0.2
    entropy: float = 0.01
    fault: str = "none"


class Learner(NamedTuple):
    """Everything that changes during a training."""

    weights: Weights
    optimiser: Any
    now: Now
    key: Array


def optimiser(settings: Settings) -> optax.GradientTransformation:
    """Adam, of clipped gradients."""
    return optax.chain(optax.clip_by_global_norm(settings.clip_norm), optax.adam(settings.learning_rate))


def begin(agent: Agent, settings: Settings, key: Array) -> Learner:
    """New weights, new episodes."""
    for_weights, for_start, key = jax.random.split(key, 3)
    weights = agent.init(for_weights)
    return Learner(weights, optimiser(settings).init(weights), agent.start(for_start, weights), key)


def advantages(rollout: Rollout, last_value: Array, settings: Settings) -> Array:
    """Generalised advantage estimates, [T, B]; `last_value` [B] is that of the observation after the rollout."""

    def back(carry: tuple[Array, Array], step: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], Array]:
        following, value_after = carry
        reward, done, value = step
        goes_on = settings.discount * (~done).astype(value.dtype)
        found = reward + goes_on * value_after - value + settings.trace * goes_on * following
        return (found, value), found

    steps = (rollout.reward, rollout.done, rollout.value)
    _, found = jax.lax.scan(back, (jnp.zeros_like(last_value), last_value), steps, reverse=True)
    return found


def loss(agent: Agent, settings: Settings, weights: Weights, carry: Any, rollout: Rollout, advantage: Array) -> Array:
    """PPO's, of whole rows read again from the carry before the rollout."""
    log_probs, value = agent.read_again(weights, carry, rollout)
    ratio = jnp.exp(jnp.take_along_axis(log_probs, rollout.action[..., None], -1)[..., 0] - rollout.log_prob)
    scaled = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    gain = jnp.minimum(ratio * scaled, jnp.clip(ratio, 1 - settings.clip, 1 + settings.clip) * scaled)
    entropy = -(jnp.exp(log_probs) * log_probs).sum(-1)
    miss = jnp.square(value - rollout.value - advantage)
    return -gain.mean() + miss.mean() / 4 - settings.entropy * entropy.mean()


def update(agent: Agent, settings: Settings, learner: Learner) -> tuple[Learner, tuple[Array, Array]]:
    """One rollout and what is learned from it; how many episodes ended, and how many of them right."""
    weights, state, before, key = learner
    for_rollout, for_rows, key = jax.random.split(key, 3)
    now, rollout = agent.play(weights, before, for_rollout)
    advantage = advantages(rollout, agent.read(weights, now)[2], settings)

    carry_before, given = FAULTS[settings.fault](before.carry, rollout)

    def descend(held: tuple[Weights, Any], rows: Array) -> tuple[tuple[Weights, Any], None]:
        weights, state = held
        carry = jax.tree.map(lambda a: a[rows], carry_before)
        some, gains = jax.tree.map(lambda a: a[:, rows], (given, advantage))
        gradient = jax.grad(loss, argnums=2)(agent, settings, weights, carry, some, gains)
        change, state = optimiser(settings).update(gradient, state, weights)
        return (optax.apply_updates(weights, change), state), None

    epochs = jax.random.split(for_rows, settings.epochs)
    rows = jax.vmap(lambda key: jax.random.permutation(key, agent.rows))(epochs)  # each row once per epoch
    held, _ = jax.lax.scan(descend, (weights, state), rows.reshape(settings.epochs * settings.minibatches, -1))
    return Learner(*held, now, key), (rollout.done.sum(), rollout.reward.sum())


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def learn(agent: Agent, settings: Settings, updates: int, learner: Learner) -> tuple[Learner, Array, Array]:
    """Several updates; how many episodes ended meanwhile, and how many of them with the right answer."""
    learner, (ended, right) = jax.lax.scan(lambda held, _: update(agent, settings, held), learner, length=updates)
    return learner, ended.sum(), right.sum()


def train(agent: Agent, settings: Settings, key: Array, every: int = 20) -> Iterator[tuple[Weights, Row]]:
    """Trains an agent; per `every` updates its weights, and the share of right answers while it learned them."""
    learner = begin(agent, settings, key)
    for first in range(0, settings.updates, every):
        updates = min(every, settings.updates - first)
        learner, ended, right = learn(agent, settings, updates, learner)
        success = float(right) / int(ended) if ended else None
        done = first + updates
        yield learner.weights, {"updates": done, "steps": done * agent.steps * agent.rows, "success": success}


def run(name: str, environment: Recall, settings: Settings, seed: int, anyway: bool) -> Row:
    """One agent, as an entry of the record: audited before it is trained.

    Raises:
        ValueError: its training would not repeat its rollouts, and it is not to be trained anyway.
    """
    forgetful = name == "none"
    agent = Agent(gr.networks.named("gru" if forgetful else name, CELLS), environment, forgetful=forgetful)
    key = jax.random.key(seed)
    began = time.perf_counter()
    found = audit(agent, begin(agent, settings, key).weights, key, FAULTS[settings.fault])
    print(f"{name}, seed {seed}; audit: {found.cause}", flush=True)
    if not anyway:
        check_audit(found)
    curve = []
    for _, row in train(agent, settings, key):
        curve.append(row)
        print(
            f"  {row['updates']:4} updates  {row['steps']:9,} steps  success {number(row['success'], '.3f')}",
            flush=True,
        )
    sizes = {"hidden_size": agent.hidden_size, "rows": agent.rows, "steps": agent.steps}
    about = {"agent": name, "cell": agent.cell.name, "forgetful": forgetful, **sizes, "settings": asdict(settings)}
    seconds = round(time.perf_counter() - began, 1)
    return {**about, "seed": seed, "audit": found.cause, "seconds": seconds, "curve": curve}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cell", nargs="+", help="cells, networks, or none; without it those of the record")
    parser.add_argument("--delay", type=int, default=Recall().delay, help="mean steps from the cue to the question")
    parser.add_argument("--seeds", type=int, default=2, help="how many seeds of each")
    parser.add_argument("--updates", type=int, default=Settings().updates, help="of each agent")
    parser.add_argument("--fault", choices=FAULTS, default="none", help="between rollout and training, of --cell")
    parser.add_argument("--anyway", action="store_true", help="train in spite of what the audit says")
    parser.add_argument("--out", type=Path, help="the record; with --cell there is none by default")
    options = parser.parse_args()
    made = described(("jax", "jaxlib", "numpy", "optax"))
    asked = [(name, options.fault) for name in options.cell or ()] or RECORDED
    out = options.out or (None if options.cell else RESULTS / "agents.json")
    runs = []
    try:
        environment = Recall(options.delay)
        for name, fault in asked:
            settings = Settings(updates=check_size("updates", options.updates), fault=fault)
            anyway = options.anyway or not options.cell  # the record holds what a fault costs
            seeds = range(check_size("seeds", options.seeds))
            runs += [run(name, environment, settings, seed, anyway) for seed in seeds]
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if out is not None:
        about = asdict(environment) | {"chance": environment.chance}
        write_whole(out, {"made": made, "environment": about, "runs": runs})


if __name__ == "__main__":
    main()
