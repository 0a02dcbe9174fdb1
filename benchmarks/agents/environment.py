"""Recall: a cue is shown once, and asked for after a delay full of distractors.

step            0      1 ... d - 1     d
symbol          cue    any             none
cue shown       1      0               0
question        0      0               1

The action at step d is the answer: it earns 1 where it is the cue, and ends the episode. Other actions do nothing.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._check import check_size


class Episode(NamedTuple):
    """Where an episode is.

    Attributes:
        cue: what is to be remembered, int [].
        delay: the step d of the question, int [].
        step: the step whose observation was shown last, int [].
    """

    cue: Array
    delay: Array
    step: Array


@dataclass(frozen=True)
class Recall:
    """The environment, for one episode at a time; `jax.vmap` makes it many.

    A policy without memory is right in one of `symbols` answers.

    Attributes:
        delay: N; of each episode d is drawn from N - N // 4 to N + N // 4, so that episodes end at different steps.
        symbols: C, how many cues there are.

    Raises:
        ValueError: a number is out of range.
    """

    delay: int = 20
    symbols: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "delay", check_size("delay", self.delay))
        object.__setattr__(self, "symbols", check_size("symbols", self.symbols, 2))

    @property
    def observation_size(self) -> int:
        """D = C + 2: one of C symbols, whether it is the cue, whether it is asked for."""
        return self.symbols + 2

    @property
    def chance(self) -> float:
        """The share of right answers without a memory."""
        return 1 / self.symbols

    def begin(self, key: Array) -> tuple[Episode, Array]:
        """A new episode, and its first observation [D]."""
        spread = self.delay // 4
        for_cue, for_delay, for_symbol = jax.random.split(key, 3)
        cue = jax.random.randint(for_cue, (), 0, self.symbols)
        delay = jax.random.randint(for_delay, (), self.delay - spread, self.delay + spread + 1)
        episode = Episode(cue, delay, jnp.zeros_like(delay))
        return episode, self._shown(for_symbol, episode)

    def step(self, key: Array, episode: Episode, action: Array) -> tuple[Episode, Array, Array, Array]:
        """Acts once.

        Args:
            key: for what is shown next.
            episode: where it is.
            action: int [], from 0 to C - 1.

        Returns:
            Where the episode is then, the observation [D], the reward [] and `done` []: whether the action ended the
            episode. Then the episode and the observation are the first ones of another.
        """
        for_next, for_new = jax.random.split(key)
        done = episode.step == episode.delay
        reward = (done & (action == episode.cue)).astype(jnp.float32)
        following = episode._replace(step=episode.step + 1)
        ongoing = following, self._shown(for_next, following)
        found, shown = jax.tree.map(lambda new, old: jnp.where(done, new, old), self.begin(for_new), ongoing)
        return found, shown, reward, done

    def _shown(self, key: Array, episode: Episode) -> Array:
        """The observation at the episode's step, [D]."""
        first, last = episode.step == 0, episode.step == episode.delay
        any_symbol = jax.random.randint(key, (), 0, self.symbols)
        symbol = jnp.where(last, -1, jnp.where(first, episode.cue, any_symbol))  # -1 is none of them
        return jnp.concatenate([jax.nn.one_hot(symbol, self.symbols), jnp.stack([first, last]).astype(jnp.float32)])
