"""Tasks on real data: handwritten digits and text; what is drawn, from which part, and chance."""

import math
import sys
from collections import Counter, defaultdict

import jax
import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_digits

import gatedrnn as gr
from gatedrnn.tasks import text

MANY = 100_000
LIMIT = 1e-3


def draw(task, seed, batch, steps):
    """A batch, as NumPy."""
    return jax.tree.map(np.asarray, task(jax.random.key(seed), batch, steps))


@pytest.fixture(scope="module")
def images():
    """The images as scikit-learn has them: each one's pixels as bytes -> its number and its label."""
    found = load_digits()
    pixels = found.images.reshape(-1, 64).astype(np.float32) / np.float32(16)
    known = {
        row.tobytes(): (number, label) for number, (row, label) in enumerate(zip(pixels, found.target, strict=True))
    }
    assert len(known) == 1797
    return known


@pytest.fixture(scope="module")
def both():
    """Every image shown once or more, the held-out ones too: (training, held out), 64 steps."""
    task = gr.tasks.digits()
    return task, draw(task, 0, MANY, 64), draw(task.held_out, 1, MANY, 64)


def test_digits_are_those_of_scikit_learn(images, both):
    """Each sequence is an image, pixel by pixel from 0 to 1, with its own label, asked at the last step alone."""
    _, *batches = both
    seen = []
    for batch in batches:
        assert (batch.xs.shape, batch.xs.dtype) == ((64, MANY, 1), np.float32)
        assert (batch.targets.shape, batch.targets.dtype, batch.mask.dtype) == ((64, MANY), np.int32, bool)
        assert batch.mask[-1].all() and not batch.mask[:-1].any() and not batch.targets[:-1].any()
        assert (batch.xs.min(), batch.xs.max()) == (0, 1)
        found = [images[row.tobytes()] for row in np.ascontiguousarray(batch.xs[..., 0].T)]
        np.testing.assert_array_equal([label for _, label in found], batch.targets[-1])
        seen.append(Counter(number for number, _ in found))
    train, held_out = seen
    assert (len(train), len(held_out)) == (1437, 360)  # every image is reached
    assert not set(train) & set(held_out)
    assert set(held_out) == set(range(0, 1797, 5))
    for counts in seen:
        assert stats.chisquare(list(counts.values())).pvalue > LIMIT


def test_digits_chance_is_the_entropy_of_the_labels(images, both):
    """Of those that are not held out; the best constant answer to those drawn scores that, and not ln 10."""
    task, batch, _ = both
    counts = Counter(label for number, label in images.values() if number % 5)
    entropy = -sum(n / 1437 * math.log(n / 1437) for n in counts.values())
    assert task.chance(64) == task.chance(10_000) == pytest.approx(entropy, rel=1e-12)
    share = np.bincount(batch.targets[-1], minlength=10) / MANY
    error = 3 * math.sqrt((share @ np.log(share) ** 2 - stats.entropy(share) ** 2) / MANY)
    fitted = 9 / (2 * MANY)  # what a constant gains that was fitted to the draws
    assert abs(stats.entropy(share) + fitted - entropy) < error < (math.log(10) - entropy) / 2
    assert (task.input_size, task.output_size, task.classes, task.symbols, task.at_end) == (1, 10, True, False, True)
    assert (task.name, task.memory(64), task.shortest, task.longest) == ("digits", 63, 64, None)


@pytest.mark.parametrize("steps", [128, 100])
def test_digits_longer_than_an_image(images, steps):
    """Each pixel is shown again and again, in order, none left out: all twice at 128 steps."""
    batch = draw(gr.tasks.digits(), 2, 50, steps)
    shown = batch.xs[..., 0].T
    first = [next(t for t in range(steps) if t * 64 // steps == pixel) for pixel in range(64)]
    found = [images[row.tobytes()] for row in np.ascontiguousarray(shown[:, first])]
    np.testing.assert_array_equal([label for _, label in found], batch.targets[-1])
    times = np.bincount([t * 64 // steps for t in range(steps)])
    assert len(times) == 64 and set(times) <= {steps // 64, -(-steps // 64)}
    np.testing.assert_array_equal(shown, np.repeat(shown[:, first], times, axis=1))


def test_permuted_digits(both):
    """The same images under one fixed permutation of the pixels, for training, tests and every call."""
    plain, *shown = both
    permuted = gr.tasks.digits(permuted=True)
    again = gr.tasks.digits(permuted=True)
    read = [draw(permuted, 0, MANY, 64), draw(again.held_out, 1, MANY, 64)]
    for there, here in zip(shown, read, strict=True):
        np.testing.assert_array_equal(here.targets, there.targets)
    places = defaultdict(list)
    for place, row in enumerate(np.concatenate([batch.xs for batch in shown], axis=1)):
        places[row.tobytes()].append(place)  # several where pixels are never inked
    order = [places[row.tobytes()].pop() for row in np.concatenate([batch.xs for batch in read], axis=1)]
    assert sorted(order) == list(range(64))
    assert np.abs(np.diff(order)).mean() > 16  # two random places are 64 / 3 apart
    assert (permuted.name, permuted.chance(64)) == ("permuted-digits", plain.chance(64))


def test_digits_refused(monkeypatch):
    """Fewer steps than pixels; and without scikit-learn, one sentence that says what to install."""
    with pytest.raises(ValueError, match="^`steps` must be at least 64 .*'digits'; got 63"):
        gr.tasks.digits()(jax.random.key(0), 1, 63)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ValueError, match="scikit-learn, which is not installed: pip install scikit-learn"):
        gr.tasks.digits()


def bytes_in_two_halves(length):
    """A text whose last tenth is of other bytes than the rest."""
    rng = np.random.default_rng(0)
    cut = length - length // 10
    return bytes(rng.integers(0, 100, cut, np.uint8)) + bytes(rng.integers(100, 256, length - cut, np.uint8))


def test_text_is_predicted_byte_by_byte():
    """Stretches of the text from uniformly drawn places, each byte's target the one after it, from the right part."""
    data, steps = bytes_in_two_halves(300), 12
    task = text.prediction(data)
    for part, here in ((data[:270], task), (data[270:], task.held_out)):
        batch = draw(here, 0, MANY, steps)
        assert (batch.xs.shape, batch.xs.dtype, batch.targets.dtype) == ((steps, MANY), np.int32, np.int32)
        assert batch.mask.shape == (steps, MANY) and batch.mask.all()
        np.testing.assert_array_equal(batch.xs[1:], batch.targets[:-1])
        places = {part[i : i + steps + 1]: i for i in range(len(part) - steps)}
        whole = np.concatenate([batch.xs, batch.targets[-1:]]).T.astype(np.uint8)
        starts = Counter(places[row.tobytes()] for row in np.ascontiguousarray(whole))
        assert sorted(starts) == list(range(len(part) - steps))  # from the first place to the last
        assert stats.chisquare(list(starts.values())).pvalue > LIMIT


def test_text_chance_is_the_entropy_of_its_bytes():
    """Of what is not held out, in nats; a text of one byte has none; of 256 bytes evenly, ln 256."""
    data = text.help_text()
    cut = len(data) - len(data) // 10
    counts = Counter(data[:cut])
    entropy = math.log(cut) - math.fsum(n * math.log(n) for n in counts.values()) / cut
    task = text.prediction(data)
    assert task.chance(10) == pytest.approx(entropy, rel=1e-12)
    assert text.prediction(b"a" * 50).chance(1) == 0
    assert text.prediction(bytes(range(256)) * 9 + b"x" * 256).chance(1) == pytest.approx(math.log(256), rel=1e-12)
    assert (task.name, task.input_size, task.output_size) == ("text", 256, 256)
    assert task.symbols and task.classes and not task.at_end
    assert task.memory(100) == 99


@pytest.mark.parametrize("length", [20, 29, 300])
def test_text_longest(length):
    """As long as the held-out tenth allows, with one more byte to be predicted."""
    data = bytes_in_two_halves(length)
    task = text.prediction(data)
    held_out = length // 10
    assert task.longest == held_out - 1
    batch = draw(task.held_out, 0, 2, held_out - 1)
    whole = np.concatenate([batch.xs, batch.targets[-1:]]).T.astype(np.uint8)
    assert {row.tobytes() for row in np.ascontiguousarray(whole)} == {data[length - held_out :]}
    with pytest.raises(ValueError, match=f"`steps` must be at most {held_out - 1} .*'text'; got"):
        task(jax.random.key(0), 2, held_out)


@pytest.mark.parametrize("length", [0, 1, 19])
def test_text_too_short(length):
    with pytest.raises(ValueError, match=f"`text` must be at least 20 bytes, .* held out; got {length} "):
        text.prediction(b"a" * length)
