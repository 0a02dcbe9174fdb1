"""The task of a measured series: what is drawn, from which part, at which scale, and chance."""

import math
from collections import Counter

import jax
import numpy as np
import pytest
from scipy import stats

from gatedrnn.tasks import series

MANY = 100_000
LIMIT = 1e-3


def draw(task, seed, batch, steps):
    """A batch, as NumPy."""
    return jax.tree.map(np.asarray, task(jax.random.key(seed), batch, steps))


def scaled(values):
    """By the mean and the deviation of all but the last fifth, summed without rounding; and where that begins."""
    cut = len(values) - len(values) // 5
    mean = math.fsum(values[:cut]) / cut
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values[:cut]) / cut)
    return np.array([(v - mean) / deviation for v in values]), cut


def test_series_is_predicted_value_by_value():
    """Standardised by the training part alone; each value's target is the next; both parts from end to end."""
    rng = np.random.default_rng(0)
    values, steps = np.concatenate([rng.gamma(2.0, size=120) * 7 + 3, rng.normal(size=30) + 40]), 9
    want, cut = scaled(values)
    assert cut == 120
    task = series.prediction(values)
    for part, here in ((want[:cut], task), (want[cut:], task.held_out)):
        batch = draw(here, 0, MANY, steps)
        assert (batch.xs.shape, batch.xs.dtype, batch.targets.dtype) == ((steps, MANY, 1), np.float32, np.float32)
        assert batch.mask.shape == (steps, MANY) and batch.mask.all()
        np.testing.assert_array_equal(batch.xs[1:, :, 0], batch.targets[:-1])
        starts = abs(part[:, None] - batch.xs[0, None, :, 0]).argmin(0)
        places = Counter(starts.tolist())
        assert sorted(places) == list(range(len(part) - steps))
        assert stats.chisquare(list(places.values())).pvalue > LIMIT
        np.testing.assert_allclose(
            batch.targets, part[starts[None] + 1 + np.arange(steps)[:, None]], rtol=1e-5, atol=1e-6
        )
    assert abs(want[:cut].mean()) < 1e-12 and want[cut:].mean() > 2


def test_series_chance_is_the_error_of_the_best_constant():
    """The variance of what is trained on: no constant answer errs less than the mean, by 1."""
    values = np.random.default_rng(1).exponential(size=200)
    task = series.prediction(values)
    train = np.asarray(task.data, np.float64)
    errors = [((train - constant) ** 2).mean() for constant in np.linspace(-1, 1, 201)]
    assert task.chance(5) == 1.0
    assert min(errors) == errors[100] == pytest.approx(1.0, rel=1e-5)
    assert (task.name, task.input_size, task.output_size) == ("series", 1, 1)
    assert not task.classes and not task.symbols and not task.at_end
    assert task.memory(100) == 99


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-20, 1e20, 1e200, 1e300])
def test_series_at_any_scale(scale):
    """Units do not matter: the same batches, though the square of 1e200 is no float."""
    values = np.random.default_rng(0).integers(-99, 99, 60).astype(np.float64)
    got, want = (draw(series.prediction(v), 0, 8, 5) for v in (values * scale, values))
    np.testing.assert_allclose(got.xs, want.xs, rtol=1e-2 if scale < 1e-310 else 1e-6, atol=1e-6)


def test_series_about_a_large_mean():
    """A small variation about a large mean is still one."""
    values = np.tile([1e9, 1e9 + 1], 20)
    np.testing.assert_allclose(np.unique(series.prediction(values).data), [-1, 1], rtol=1e-6)


@pytest.mark.parametrize("length", [20, 24, 57])
def test_series_longest(length):
    """As long as the held-out fifth allows, with one more value to be predicted."""
    task = series.prediction(np.arange(float(length)))
    assert task.longest == length // 5 - 1
    batch = draw(task.held_out, 0, 1, length // 5 - 1)
    want, cut = scaled(np.arange(float(length)))
    np.testing.assert_allclose(batch.targets[:, 0], want[cut + 1 :], rtol=1e-5)
    with pytest.raises(ValueError, match="`steps` must be at most .* for the data of the task 'series'; got"):
        task(jax.random.key(0), 1, length // 5)


def test_series_refused():
    """Too few values; no variation in what is trained on, whatever comes after; a leap that no float32 holds."""
    for length in (0, 1, 19):
        with pytest.raises(ValueError, match=f"`series` must be at least 20 numbers, .* held out; got {length}"):
            series.prediction(np.arange(float(length)))
    for values in (np.zeros(30), np.full(30, 1e300), np.repeat([5.0, 6.0], [80, 20])):
        with pytest.raises(ValueError, match="`series` must be a series that varies; got the constant"):
            series.prediction(values)
    for leap in (1e60, 1e300):
        values = np.concatenate([np.arange(80.0) / leap, np.full(20, leap)])
        with pytest.raises(ValueError, match="`series` must be a series whose last fifth is of the size of the rest"):
            series.prediction(values)
