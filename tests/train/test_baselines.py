"""What a series scores without a model: the last value, and the value one period ago, by plain loops over the file."""

import jax
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.tasks import series
from gatedrnn.tasks._baselines import lag_errors


def by_hand(values, lag):
    """Mean squared difference to `lag` steps before, over the test part but its first value, in units of deviations."""
    cut = len(values) - len(values) // 5
    deviation = np.std(values[:cut])
    errors = [((values[t] - values[t - lag]) / deviation) ** 2 for t in range(cut + 1, len(values))]
    return sum(errors) / len(errors)


def seasonal(period, noise=0.2, length=500, seed=0):
    """A jagged period with noise."""
    rng = np.random.default_rng(seed)
    return np.resize(rng.normal(size=period), length) * 7 + 40 + noise * rng.normal(size=length)


@pytest.mark.parametrize("period", [2, 3, 7, 24, 97])
def test_persistence_and_season(period):
    """The period is found, and both errors are those of a loop over the values as they are."""
    values = seasonal(period)
    persistence, season = series.prediction(values).baselines
    assert (persistence.name, persistence.lag, season.name, season.lag) == ("persistence", 1, "seasonal", period)
    assert persistence.loss == pytest.approx(by_hand(values, 1), rel=1e-9)
    assert season.loss == pytest.approx(by_hand(values, period), rel=1e-9)
    assert season.loss < persistence.loss


def test_persistence_is_what_the_task_asks():
    """The task's own held-out windows, answered by their inputs, in the task's own loss."""
    task = series.prediction(seasonal(7, length=60))
    batch = task.held_out(jax.random.key(0), 1, task.longest)
    want = float(np.square(np.asarray(batch.xs[..., 0]) - np.asarray(batch.targets)).mean())
    assert task.baselines[0].loss == pytest.approx(want, rel=1e-5)


def test_a_period_that_is_no_whole_number():
    """The nearest lag, and not the multiple of it that happens to fit better."""
    values = np.sin(2 * np.pi * np.arange(800) / 25.13)
    assert series.prediction(values).baselines[1].lag == 25


def test_a_period_is_found_on_the_training_part_alone():
    """Whatever comes after."""
    values = seasonal(12)
    other = np.concatenate([values[:400], seasonal(5, seed=1)[:100]])
    assert [series.prediction(v).baselines[1].lag for v in (values, other)] == [12, 12]


def test_no_period():
    """A line has no valley: persistence alone."""
    assert [each.name for each in series.prediction(np.arange(100.0)).baselines] == ["persistence"]


def test_a_given_period():
    values = seasonal(12)
    found = series.prediction(values, period=17).baselines[1]
    assert (found.lag, found.loss) == (17, pytest.approx(by_hand(values, 17), rel=1e-9))
    assert series.prediction(values, period=400).baselines[1].lag == 400
    for period in (0, -1, 2.5, True, 401):
        with pytest.raises(ValueError, match="^`period` must be a whole number"):
            series.prediction(values, period=period)


def test_lag_errors_by_loops():
    """The Fourier transform gives what differences give."""
    values = np.random.default_rng(0).normal(size=41)
    want = [np.square(values[p:] - values[: len(values) - p]).mean() for p in range(22)]
    np.testing.assert_allclose(lag_errors(values), want, atol=1e-12)


def test_of_several_columns():
    """The mean over those that are predicted, each by its own deviation."""
    values = np.stack([seasonal(7), 1000 * seasonal(7, seed=3)], axis=1)
    for target, places in ((None, (0, 1)), ("1", (1,))):
        for found in series.prediction(values, target=target).baselines:
            want = np.mean([by_hand(values[:, c], found.lag) for c in places])
            assert found.loss == pytest.approx(want, rel=1e-9)


def test_baselines_across_blocks(monkeypatch):
    """Blocks of any size."""
    values = seasonal(7)
    want = series.prediction(values).baselines
    monkeypatch.setattr("gatedrnn.tasks._baselines.BLOCK", 9)
    assert [each.loss for each in series.prediction(values).baselines] == pytest.approx([each.loss for each in want])


def test_generated_tasks_have_none():
    assert gr.tasks.adding.baselines == ()
