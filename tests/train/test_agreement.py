"""Number agreement: sentences parsed by a recogniser of its own, and rules without grammar at their closed forms."""

import functools
import itertools
import re
from typing import NamedTuple

import chex
import jax
import numpy as np
import pytest

from gatedrnn.tasks import mixture
from gatedrnn.tasks.sentences import VOCABULARY, agreement, agreement_with, encode, sentence, shortcuts

REGULAR = ("key", "cabinet", "door", "book", "ship", "dog", "author", "pilot")
NOUNS = {"man": 0, "men": 1, "woman": 0, "women": 1, "child": 0, "children": 1, "mouse": 0, "mice": 1}
NOUNS |= {noun + "s" * number: number for noun in REGULAR for number in (0, 1)}
VERBS = {
    verb + "s" * (1 - number): number for verb in ("see", "like", "hide", "move", "keep", "find") for number in (0, 1)
}
PREPOSITIONS = {"to", "near", "behind", "beside", "above", "under", "by", "with"}
ADVERBS = {"often", "never", "still", "now", "quietly", "slowly", "today", "again"}

Q, P0, EXTRA = 0.3, 0.4, 5  # EXTRA: adverbs beyond the shortest sentence
each_count = pytest.mark.parametrize("k", range(6))


class Parsed(NamedTuple):
    """Numbers of the nouns, kinds of the modifiers ("PP" or "RC"), adverbs before, between and behind them."""

    front: int | None
    place: int
    subject: int
    numbers: tuple
    kinds: tuple
    gaps: tuple


def parse(words):
    """S -> [PP ,] Det N Mod* by recursive descent; fails where the words are not from the grammar."""

    def noun_phrase(at):
        assert words[at] == "the", words
        return NOUNS[words[at + 1]]

    at, front, numbers, kinds, gaps = 0, None, [], [], [0]
    if words[0] in PREPOSITIONS:
        front, at = noun_phrase(1), 4
        assert words[3] == ",", words
    place, subject, at = at + 1, noun_phrase(at), at + 2
    while at < len(words):
        if words[at] in ADVERBS:
            gaps[-1], at = gaps[-1] + 1, at + 1
            continue
        assert words[at] in PREPOSITIONS | {"that"}, words
        kinds.append("RC" if words[at] == "that" else "PP")
        numbers.append(noun_phrase(at + 1))
        gaps.append(0)
        if kinds[-1] == "RC":
            assert VERBS[words[at + 3]] == numbers[-1], words
        at += 4 if kinds[-1] == "RC" else 3
    return Parsed(front, place, subject, *map(tuple, (numbers, kinds, gaps)))


def parsed(task, seed, batch, steps):
    """A batch, its targets checked against its sentences."""
    xs, targets, mask = map(np.asarray, task(jax.random.key(seed), batch, steps))
    assert xs.shape == (steps, batch, len(VOCABULARY)) and xs.dtype == np.float32
    assert targets.shape == mask.shape == (steps, batch) and targets.dtype == np.int32
    assert (xs.sum(-1) == 1).all() and xs.max() == 1
    assert not mask[:-1].any() and mask[-1].all() and not targets[:-1].any()
    found = [parse(words) for words in np.array(VOCABULARY)[xs.argmax(-1)].T.tolist()]
    assert [one.subject for one in found] == targets[-1].tolist()
    return found


@functools.cache
def sample(k, q=Q, p0=P0):
    """25,200 sentences, so that k = 0 to 5 make 151,200."""
    task = agreement_with(k, q, p0)
    return [one for seed in range(6) for one in parsed(task, 10 * k + seed, 4_200, task.shortest + EXTRA)]


def assert_mean(values, want):
    """The mean is within three standard errors; exact where nothing varies."""
    values = np.array(list(values), float)
    assert abs(values.mean() - want) <= 3 * values.std() / len(values) ** 0.5 + 1e-12, (values.mean(), want)


def answers(one):
    """What the rules without grammar are right about, a tie by half."""
    behind = (one.subject, *one.numbers)
    every = behind if one.front is None else (one.front, *behind)
    majority = np.sign(2 * sum(every) - len(every))  # -1, 0 or 1
    return {
        "last noun": behind[-1] == one.subject,
        "first noun": every[0] == one.subject,
        "majority of nouns": 0.5 * (1 + majority * (2 * one.subject - 1)),
    }


@pytest.mark.thinned(5)
@each_count
def test_sentences(k):
    """k attractors, PP and RC alike; subject, front and each noun's number as often as asked; adverbs in every gap."""
    found = sample(k)
    assert {len(one.numbers) for one in found} == {k}
    assert {(one.place, one.front is None) for one in found} == {(1, True), (5, False)}
    assert_mean((one.subject for one in found), 1 / 2)
    assert_mean((one.front is not None for one in found), P0)
    assert_mean((one.subject for one in found if one.front is not None), 1 / 2)
    assert_mean((one.front != one.subject for one in found if one.front is not None), Q)
    gaps = np.array([one.gaps for one in found])
    assert (gaps.min(0) == 0).all() == (k > 0) and (gaps.max(0) >= EXTRA).all()
    assert_mean(gaps[:, 0] - gaps[:, -1], 0)
    for i in range(k):
        assert_mean((one.numbers[i] != one.subject for one in found), Q)
        assert_mean((one.kinds[i] == "RC" for one in found), 1 / 2)
        assert_mean((one.numbers[i] != one.subject for one in found if one.kinds[i] == "RC"), Q)
    assert_mean((all(number != one.subject for number in one.numbers) for one in found), Q**k)


@pytest.mark.thinned(5)
@each_count
@pytest.mark.parametrize("rule", ["last noun", "first noun", "majority of nouns"])
def test_rules_without_grammar(k, rule):
    """Accuracies at their closed forms."""
    assert_mean((answers(one)[rule] for one in sample(k)), shortcuts(k, Q, P0)[rule])


@each_count
@pytest.mark.parametrize(("q", "p0"), [(0.3, 0.4), (0.5, 0.2), (0.0, 0.7), (1.0, 1.0), (0.9, 0.0)])
def test_closed_forms(k, q, p0):
    """Against the sum over all cases."""
    want = dict.fromkeys(("last noun", "first noun", "majority of nouns"), 0.0)
    for front, *numbers in itertools.product((None, 0, 1), *[(0, 1)] * k):
        ones = [number for number in (front, *numbers) if number is not None]
        chance = (1 - p0 if front is None else p0) * np.prod([q if number else 1 - q for number in ones])
        for rule, right in answers(Parsed(front, 1, 0, tuple(numbers), (), ())).items():
            want[rule] += chance * right
    assert shortcuts(k, q, p0) == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize(("q", "p0"), [(0.0, 0.0), (1.0, 1.0)])
def test_certainties(q, p0):
    """Probabilities 0 and 1 are kept to the letter, at the shortest T too; `memory` is from the subject to the end."""
    task = agreement_with(3, q, p0)
    assert task.shortest == (14 if p0 == 0 else 18)
    for one in parsed(task, 0, 200, task.shortest):
        assert one.front == (None if p0 == 0 else 1 - one.subject)
        assert set(one.numbers) == {one.subject if q == 0 else 1 - one.subject}
        assert sum(one.gaps) == one.kinds.count("PP")
        assert task.memory(task.shortest) == task.shortest - 1 - one.place


@pytest.mark.parametrize(("k", "p0", "shortest"), [(0, 0.0, 2), (0, 0.2, 6)])
def test_shortest(k, p0, shortest):
    """The smallest T works; one step less is refused."""
    task = agreement_with(k, fronted=p0)
    assert all(len(one.numbers) == k for one in parsed(task, 0, 50, shortest))
    with pytest.raises(ValueError, match=f"^`steps` must be at least {shortest} .*'agreement'; got {shortest - 1}"):
        task(jax.random.key(0), 1, shortest - 1)


@pytest.mark.slow
def test_memory_of_a_mixture():
    """That of the task whose subject is earliest: the longest between any sentence's subject and its end."""
    late, early = agreement_with(2, fronted=1.0), agreement_with(1, fronted=0.0)
    for tasks in ((late, early), (early, late), (late,), (late, late)):
        mixed = mixture(*tasks)
        places = {one.place for one in parsed(mixed, 0, 40, 30)}
        assert places == {1 if task is early else 5 for task in tasks}
        assert mixed.memory(30) == 30 - 1 - min(places)


def test_long_sentences():
    """T = 10,000: the subject at the beginning, the attractors anywhere."""
    found = parsed(agreement, 0, 16, 10_000)
    assert {one.place for one in found} == {1, 5} and agreement.memory(10_000) == 9_998
    assert np.std([one.gaps for one in found], axis=0).min() > 1_000
    assert agreement.chance(10_000) == np.log(2)


def test_keys_and_traces():
    """Equal keys give equal sentences; equal arguments give equal tasks, which are traced once."""

    @jax.jit
    @chex.assert_max_traces(n=1)
    def draw(task, key):
        return task(key, 4, 20)

    same = agreement_with(np.int64(2), np.float32(0.5), 0.2)
    assert same == agreement == agreement_with() and hash(same) == hash(agreement) and same.held_out == agreement
    assert agreement not in {agreement_with(1), agreement_with(differ=0.4), agreement_with(fronted=0)}
    first = draw(agreement, jax.random.key(0))
    chex.assert_trees_all_equal(first, draw(same, jax.random.key(0)))
    assert (first.xs != draw(agreement, jax.random.key(1)).xs).any()
    with pytest.raises(AssertionError, match="traced > 1 times"):
        draw(agreement_with(1), jax.random.key(0))


def test_double_precision():
    """Inputs and targets keep their types."""
    with jax.enable_x64(True):
        parsed(agreement, 0, 20, 30)


@pytest.mark.parametrize("make", [agreement_with, shortcuts])
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *itertools.product(["attractors"], [-1, 1.5, True, "2", None]),
        *itertools.product(
            ["differ", "fronted"],
            [float("nan"), -0.1, 2, True, "0.5", None, np.inf, 1j, np.complex64(0.5), np.True_, np.array([0.5])],
        ),
    ],
)
def test_refused(make, argument, value):
    """What is no count and what is no probability, in one sentence."""
    expected = "a whole number of at least 0" if argument == "attractors" else "a probability, from 0 to 1"
    got = "float64 (1,)" if isinstance(value, np.ndarray) else repr(value)
    with pytest.raises(ValueError, match=f"^`{argument}` must be {expected}; got {re.escape(got)}"):
        make(**{"attractors": 2, "differ": 0.5, "fronted": 0.2, argument: value})


def test_words():
    """Words to inputs and back; every word is used; words and inputs of no sentence are refused."""
    assert len(set(VOCABULARY)) == len(VOCABULARY) == agreement.input_size
    assert set(VOCABULARY) == {"the", "that", ",", *PREPOSITIONS, *ADVERBS, *NOUNS, *VERBS}
    words = ["the", "keys", "to", "the", "cabinet", "near", "the", "door"]
    xs = encode(words)
    assert xs.shape == (8, 1, len(VOCABULARY)) and xs.dtype == np.float32
    assert sentence(xs[:, 0]) == sentence(xs[:, 0].argmax(-1)) == sentence(np.asarray(xs)[:, 0]) == words
    assert parse(words) == Parsed(None, 1, 1, (0, 0), ("PP", "PP"), (0, 0, 0))
    assert agreement(jax.random.key(0), 500, 20).xs.any((0, 1)).all()
    with pytest.raises(ValueError, match="^`words` must be .*VOCABULARY; got 'lock'"):
        encode([*words, "lock"])
    for hostile in (xs, xs[0, 0], np.array([-1]), np.array([len(VOCABULARY)]), np.array([1.0]), 3):
        with pytest.raises(ValueError, match=r"^`xs` must be (one-hot|whole numbers) .*; got .*\.$"):
            sentence(hostile)
