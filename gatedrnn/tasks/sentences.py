"""Number agreement: a sentence without its last word, a verb; is the verb singular (0) or plural (1)?

S  -> [PP ,] Det N Mod* V      Mod -> PP | RC | Adv
PP -> P Det N                  RC  -> that Det N V        the verb in RC agrees with the noun in RC

with the dogs , the key that the doors hide often to the cabinet        is, not are
                    subject      attractor               attractor      T words before V

Each noun but the subject differs from it in number with probability q, independently. Adverbs fill the sentence up to
T words. `shortcuts` has what rules without grammar score, to set beside a model's accuracy.

Linzen, Dupoux, Goldberg, "Assessing the ability of LSTMs to learn syntax-sensitive dependencies", 2016,
https://arxiv.org/abs/1611.01368; their sentences are from Wikipedia, these are generated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from gatedrnn._check import check_number, check_size, fail, shown
from gatedrnn.tasks._draw import asked_at_end, one_hot, whole
from gatedrnn.tasks._task import Batch, Constant, Task

PREPOSITIONS = ("to", "near", "behind", "beside", "above", "under", "by", "with")
ADVERBS = ("often", "never", "still", "now", "quietly", "slowly", "today", "again")
NOUNS = (
    *(("key", "keys"), ("cabinet", "cabinets"), ("door", "doors"), ("book", "books"), ("ship", "ships")),
    *(("dog", "dogs"), ("author", "authors"), ("pilot", "pilots"), ("man", "men"), ("woman", "women")),
    *(("child", "children"), ("mouse", "mice")),
)
VERBS = (("sees", "see"), ("likes", "like"), ("hides", "hide"), ("moves", "move"), ("keeps", "keep"), ("finds", "find"))
VOCABULARY: tuple[str, ...] = (
    *("the", "that", ","),
    *PREPOSITIONS,
    *ADVERBS,
    *(word for pair in NOUNS for word in pair),
    *(word for pair in VERBS for word in pair),
)
"""All words; a plural comes right after its singular."""

THE, THAT, COMMA = range(3)
PREPOSITION, ADVERB = VOCABULARY.index(PREPOSITIONS[0]), VOCABULARY.index(ADVERBS[0])
NOUN, VERB = VOCABULARY.index(NOUNS[0][0]), VOCABULARY.index(VERBS[0][0])
SUBJECT = 1  # its place, after Det
LONGEST = 4  # words of `PP ,` and of RC; PP alone has one fewer


def agreement_with(attractors: int = 2, differ: float = 0.5, fronted: float = 0.2) -> Task:
    """Number agreement, its difficulty chosen; equal arguments give equal tasks.

    A PP or an RC, equally likely, holds each attractor. They fall among the adverbs after the subject independently
    and uniformly. From the subject to the last word there are T - 2 steps, or T - 6 behind a PP in front.

    Args:
        attractors: k, the number of nouns between subject and verb.
        differ: q, the probability that a noun other than the subject differs from it in number.
        fronted: p0, the probability that the sentence begins with a PP.

    Returns:
        The task; T at least 2 + 4 k, or 6 + 4 k where a PP can be in front.

    Raises:
        ValueError: `attractors` is no whole number of at least 0, or a probability is not from 0 to 1.

    Example:
        >>> task = agreement_with(attractors=1)
        >>> batch = task(jax.random.key(0), batch=32, steps=100)
        >>> batch.xs.shape == (100, 32, len(VOCABULARY))
        True
        >>> sentence(encode(["the", "keys", "to", "the", "cabinet"])[:, 0])
        ['the', 'keys', 'to', 'the', 'cabinet']

    References:
        Linzen, Dupoux, Goldberg, "Assessing the ability of LSTMs to learn syntax-sensitive dependencies", 2016,
        https://arxiv.org/abs/1611.01368.
    """
    sample = _Sentences(*_checked(attractors, differ, fronted))
    return Task(
        name="agreement",
        sample=sample,
        chance=Constant(math.log(2)),
        memory=_Since(SUBJECT + LONGEST if sample.fronted == 1 else SUBJECT),
        input_size=len(VOCABULARY),
        output_size=2,
        shortest=SUBJECT + 1 + LONGEST * (sample.attractors + (sample.fronted > 0)),
    )


def shortcuts(attractors: int, differ: float, fronted: float) -> dict[str, float]:
    """Accuracies of rules that need no grammar, in closed form.

    last noun            1 - q, or 1 where k = 0; the last word that has a number tells the same, RC's verb included
    first noun           1 - p0 q
    majority of nouns    (1 - p0) A(k) + p0 A(k + 1),  A(m) = P(2 X < m + 1) + P(2 X = m + 1) / 2,  X ~ Binomial(m, q):
                         of m + 1 nouns X differ from the subject; a tie is right half of the time

    Args:
        attractors: k.
        differ: q.
        fronted: p0.

    Raises:
        ValueError: as in `agreement_with`.
    """
    k, q, p0 = _checked(attractors, differ, fronted)
    return {
        "last noun": 1 - q if k else 1.0,
        "first noun": 1 - p0 * q,
        "majority of nouns": (1 - p0) * _majority(k, q) + p0 * _majority(k + 1, q),
    }


def encode(words: Sequence[str]) -> Array:
    """Words as the task's inputs, float32 [T, 1, V].

    Raises:
        ValueError: a word is not in `VOCABULARY`.
    """
    for word in words:
        if word not in VOCABULARY:
            raise fail("words", "words in the task's VOCABULARY", repr(word))
    return one_hot(jnp.array([VOCABULARY.index(word) for word in words], jnp.int32)[:, None], len(VOCABULARY))


def sentence(xs: ArrayLike) -> list[str]:
    """The T words of one sentence, one-hot [T, V] or whole numbers [T].

    Raises:
        ValueError: `xs` has another shape, or a number that stands for no word.
    """
    values = np.asarray(xs)
    symbols = values.argmax(axis=1) if values.shape[1:] == (len(VOCABULARY),) else values
    if symbols.ndim != 1 or symbols.dtype.kind not in "iu":
        raise fail("xs", f"one-hot [T, {len(VOCABULARY)}] or whole numbers [T]", f"{values.dtype} {values.shape}")
    for symbol in symbols:
        if not 0 <= symbol < len(VOCABULARY):
            raise fail("xs", f"whole numbers from 0 to {len(VOCABULARY) - 1}", symbol)
    return [VOCABULARY[symbol] for symbol in symbols]


@dataclass(frozen=True)
class _Sentences:
    """The sampler, comparable by value; rows of [k + 1, B] are the PP in front and the k modifiers with a noun."""

    attractors: int
    differ: float
    fronted: float

    def __call__(self, key: Array, batch: int, steps: int, _: object) -> Batch:
        key_number, key_differ, key_front, key_clause, key_slots, key_words, key_adverbs = jax.random.split(key, 7)
        number = whole(key_number, batch, 0, 2).astype(jnp.int32)  # [B], the subject's: 1 for plural
        rows = (1 + self.attractors, batch)
        differ = jax.random.bernoulli(key_differ, self.differ, rows)
        front = jax.random.bernoulli(key_front, self.fronted, (batch,))
        clause = jax.random.bernoulli(key_clause, shape=rows).at[0].set(False)  # RC rather than PP
        words, subject = _words(key_words, number, jnp.where(differ, 1 - number[None], number[None]), clause)
        place = jnp.where(front, SUBJECT + LONGEST, SUBJECT)  # [B]
        starts = jnp.where(front, 0, steps)[None]  # a start at T: not in the sentence
        starts = jnp.concatenate([starts, _starts(key_slots, place, clause[1:], steps)])  # [k + 1, B]
        places = starts[None] + jnp.arange(LONGEST, dtype=jnp.int32)[:, None, None]  # [4, k + 1, B]
        places = jnp.where(words < 0, steps, places)
        symbols = ADVERB + _integers(key_adverbs, (steps, batch), len(ADVERBS))  # [T, B]
        column = jnp.arange(batch)
        symbols = symbols.at[places, column[None, None]].set(words, mode="drop")
        symbols = symbols.at[place - 1, column].set(THE).at[place, column].set(subject)
        return asked_at_end(one_hot(symbols, len(VOCABULARY)), number)


@dataclass(frozen=True)
class _Since:
    """`steps -> steps` from a place to the last word."""

    place: int

    def __call__(self, steps: int) -> int:
        return steps - 1 - self.place


def _words(key: Array, number: Array, others: Array, clause: Array) -> tuple[Array, Array]:
    """The phrases' words [4, k + 1, B], negative where there is no fourth, and the subject [B]."""
    key_noun, key_verb, key_preposition, key_subject = jax.random.split(key, 4)
    preposition = PREPOSITION + _integers(key_preposition, clause.shape, len(PREPOSITIONS))
    noun = NOUN + 2 * _integers(key_noun, clause.shape, len(NOUNS)) + others
    verb = VERB + 2 * _integers(key_verb, clause.shape, len(VERBS)) + others
    last = jnp.where(clause, verb, -1).at[0].set(COMMA)
    words = jnp.stack([jnp.where(clause, THAT, preposition), jnp.full_like(noun, THE), noun, last])
    return words, NOUN + 2 * _integers(key_subject, number.shape, len(NOUNS)) + number


def _starts(key: Array, place: Array, clause: Array, steps: int) -> Array:
    """Where the k modifiers begin, [k, B], behind a subject at `place`: each behind 0 to all of the adverbs."""
    lengths = LONGEST - 1 + clause.astype(jnp.int32)
    adverbs = steps - 1 - place - lengths.sum(axis=0, dtype=jnp.int32)  # [B]
    slots = jnp.sort(_integers(key, clause.shape, adverbs[None] + 1), axis=0)
    return place[None] + 1 + slots + jnp.cumsum(lengths, axis=0) - lengths


def _integers(key: Array, shape: tuple[int, ...], end: ArrayLike) -> Array:
    return jax.random.randint(key, shape, 0, end, jnp.int32)


def _majority(m: int, q: float) -> float:
    """P(2 X < m + 1) + P(2 X = m + 1) / 2 for X ~ Binomial(m, q)."""
    least = (m + 1) // 2 + 1  # of nouns that differ, to be the majority
    return sum(math.comb(m, x) * q**x * (1 - q) ** (m - x) * (0.5 if 2 * x == m + 1 else 1.0) for x in range(least))


def _checked(attractors: int, differ: float, fronted: float) -> tuple[int, float, float]:
    return check_size("attractors", attractors, 0), _probability("differ", differ), _probability("fronted", fronted)


def _probability(argument: str, value: Any) -> float:
    try:
        return check_number(argument, value, least=0, most=1)
    except ValueError:
        raise fail(argument, "a probability, from 0 to 1", shown(value)) from None


agreement = agreement_with()
"""Two attractors, q = 0.5, p0 = 0.2."""
