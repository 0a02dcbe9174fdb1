"""Literal readings of the generated tasks: from the inputs alone, by the papers and by nothing of the package."""

import functools
import itertools
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Reading(NamedTuple):
    """What the inputs alone say.

    Attributes:
        targets: [N, B], zero where nothing is asked.
        lag: [B], steps from the first input that an answer needs to that answer.
        draws: () -> the parts that were drawn, each with its law: value -> probability.
    """

    targets: np.ndarray
    lag: np.ndarray
    draws: Callable


def at_end(xs, answers):
    """The targets of one question, after the last step."""
    return np.where(np.arange(len(xs))[:, None] == len(xs) - 1, answers, answers.dtype.type(0))


def letters(xs):
    """One-hot [N, B, D] -> whole numbers [N, B]."""
    assert ((xs == 0) | (xs == 1)).all() and (xs.sum(-1) == 1).all()
    return (xs @ np.arange(xs.shape[-1], dtype=xs.dtype)).astype(int)


def places(found, count):
    """Where [N, B] is true, exactly `count` times in each sequence: [count, B], in order of time."""
    assert (found.sum(0) == count).all()
    return np.nonzero(found.T)[1].reshape(-1, count).T


def alike(values):
    """The uniform law."""
    return dict.fromkeys(values, 1 / len(values))


def kinds(bits):
    """Sequences of every kind alike, so that no bit is known from the others."""
    return [(2 ** np.arange(len(bits)) @ bits, alike(range(2 ** len(bits))))]


def read_adding(xs):
    """One mark in each half; the sum of the two values."""
    (values, channel), half = np.moveaxis(xs, -1, 0), len(xs) // 2
    assert np.isin(channel, [0, 1]).all()
    at = places(channel == 1, 2)
    draws = lambda: [(at[0], alike(range(half))), (at[1], alike(range(half, len(xs))))]
    return Reading(at_end(xs, np.take_along_axis(values, at, 0).sum(0)), len(xs) - 1 - at[0], draws)


def read_adding_1997(xs):
    """Two marks in the first half, edges of -1; 0.5 + (a + b) / 4."""
    values, channel = np.moveaxis(xs, -1, 0)
    assert (channel[[0, -1]] == -1).all() and np.isin(channel[1:-1], [0, 1]).all()
    at = places(channel == 1, 2)
    answers = 0.5 + np.take_along_axis(values, at, 0).sum(0) / 4
    return Reading(at_end(xs, answers), len(xs) - 1 - at[0], lambda: [((100, 1) @ at, pairs(len(xs)))])


def pairs(steps):
    """100 p + q for marks at p < q: one among pairs 2 to 11, the other among pairs 2 to T / 2."""
    law, half = Counter(), range(1, steps // 2)
    for one, other in itertools.permutations(half, 2):
        law[100 * min(one, other) + max(one, other)] += (one in half[:10]) / len(half[:10]) / (len(half) - 1)
    return +law


def read_copy(xs, delimiters):
    """Ten symbols, blanks (8), the delimiter (9) somewhere in `delimiters`, blanks: the symbols again after it."""
    said = letters(xs)
    end, targets = places(said == 9, 1)[0], np.full(said.shape, 8)
    assert (said[:10] < 8).all() and (said[10:] >= 8).all()
    for i in range(10):
        targets[end + 1 + i, np.arange(end.size)] = said[i]
    symbols = [(said[:10], alike(range(8))), (8 * said[0] + said[9], alike(range(64)))]
    return Reading(targets, end + 1, lambda: [*symbols, (end, alike(delimiters(len(xs) - 20)))])


def read_order(xs, windows):
    """X (6) or Y (7) once in each window, in hundredths; together a binary number."""
    said, steps = letters(xs), len(xs)
    assert (said[0] == 0).all() and (said[-1] == 1).all() and (said[1:-1] >= 2).all()
    at = places(said >= 6, len(windows))
    draws = [(said[(said >= 2) & (said < 6)], alike(range(2, 6)))]
    for place, (least, end) in zip(at, windows, strict=True):
        draws.append((place, alike(range(steps * least // 100, steps * end // 100))))
    which = np.take_along_axis(said, at, 0) - 6
    return Reading(at_end(xs, np.ravel_multi_index(which, (2,) * len(at))), steps - 1 - at[0], lambda: draws)


def read_parity(xs):
    """Whether the bits until here are odd in number; every bit counts."""
    bits = letters(xs)
    targets = np.logical_xor.accumulate(bits == 1).astype(int)
    return Reading(targets, np.full(bits.shape[1], len(xs) - 1), lambda: kinds(bits))


def read_anbn(xs):
    """Silence, then a (1), then b (2): as many of each?"""
    said = letters(xs)
    assert (np.diff(said, axis=0) >= 0).all()
    a, b = (said == 1).sum(0), (said == 2).sum(0)
    return Reading(at_end(xs, (a == b).astype(int)), a + b - 1, lambda: [(100 * a + b, words(len(xs)))])


def words(steps):
    """100 a + b: n is uniform, half of the words are right, a wrong one is as often near as of any distance."""
    law, ns = Counter(), range(2, steps // 2 + 1)
    for n in ns:
        law[101 * n] += 1 / 2 / len(ns)
        for moved in (*range(1, n), *range(1 - n, 0)):
            law[101 * n + 99 * moved] += ((abs(moved) == 1) + 1 / (n - 1)) / 8 / len(ns)
    return law


def read_recall(xs):
    """The bit that is cued; none is known from the others."""
    (signs, cue), steps = np.moveaxis(xs, -1, 0), len(xs)
    assert (abs(signs) == 1).all() and np.isin(cue, [0, 1]).all()
    at = places(cue == 1, 1)
    answers = (np.take_along_axis(signs, at, 0)[0] > 0).astype(int)
    return Reading(at_end(xs, answers), steps - 1 - at[0], lambda: kinds(signs > 0))


def read_latch(xs):
    """The sign of the mean of three inputs, wrong at Phi(-sqrt(3) / 0.2) = 2e-18: never. The third alone would do."""
    answers = (xs[:3, :, 0].mean(0) > 0).astype(int)
    return Reading(at_end(xs, answers), np.full(answers.shape, len(xs) - 3), lambda: [(answers, alike(range(2)))])


read_fixed_copy = functools.partial(read_copy, delimiters=lambda steps: [steps + 9])
read_any_copy = functools.partial(read_copy, delimiters=lambda steps: range(10, steps + 10))
read_order_2 = functools.partial(read_order, windows=((10, 20), (50, 60)))
read_order_3 = functools.partial(read_order, windows=((10, 20), (33, 43), (66, 76)))


class Spec(NamedTuple):
    """What is specified; `steps`: the T at which 1e5 sequences are drawn."""

    read: Callable
    steps: int
    shortest: int
    input_size: int
    output_size: int
    extra: int = 0  # N - T
    at_end: bool = True


SPECS = {
    "adding": Spec(read_adding, 12, 2, 2, 1),
    "adding_1997": Spec(read_adding_1997, 30, 6, 2, 1),
    "copy": Spec(read_fixed_copy, 5, 1, 10, 9, extra=20, at_end=False),
    "variable_copy": Spec(read_any_copy, 5, 1, 10, 9, extra=20, at_end=False),
    "temporal_order": Spec(read_order_2, 30, 10, 8, 4),
    "temporal_order_3": Spec(read_order_3, 30, 10, 8, 8),
    "parity": Spec(read_parity, 12, 1, 2, 2, at_end=False),
    "anbn": Spec(read_anbn, 16, 4, 3, 2),
    "delayed_recall": Spec(read_recall, 10, 1, 2, 2),
    "noisy_latch": Spec(read_latch, 36, 3, 1, 2),
}
