"""The parts of the lesson on agreement: selective units, rows of several tasks in a batch, the sentence strip."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn import plots


def test_selectivity_is_the_count_of_pairs():
    """Against all pairs by hand, ties among them; no unit changes another's."""
    rng = np.random.default_rng(0)
    values, labels = rng.integers(0, 5, (40, 6)).astype(np.float32), rng.random(40) < 0.4
    want = [np.mean(np.sign(v[labels][:, None] - v[~labels][None])) for v in values.T]
    np.testing.assert_allclose(gr.flow.selectivity(values, labels), want, atol=1e-6)


def test_selectivity_refuses():
    with pytest.raises(ValueError, match="`labels` must be of both classes; got 0 of class 1 among 3"):
        gr.flow.selectivity(np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(ValueError, match="`labels` must be"):
        gr.flow.selectivity(np.zeros((3, 2)), np.zeros(4))


@pytest.mark.slow
def test_mixture_holds_rows_of_each():
    """Seven rows of three tasks: 3, 2 and 2, each drawn as the task alone draws them."""
    tasks = [gr.tasks.agreement_with(k) for k in (0, 1, 2)]
    mixed = gr.tasks.mixture(*tasks)
    key = jax.random.key(3)
    batch = mixed(key, 7, 16)
    parts = [task(k, b, 16) for task, k, b in zip(tasks, jax.random.split(key, 3), (3, 2, 2), strict=True)]
    for name in batch._fields:
        want = jnp.concatenate([getattr(part, name) for part in parts], axis=1)
        np.testing.assert_array_equal(getattr(batch, name), want)
    assert mixed.shortest == tasks[-1].shortest
    assert mixed.chance(16) == tasks[0].chance(16)
    assert gr.tasks.mixture(*tasks) == mixed


def test_mixture_refuses():
    with pytest.raises(ValueError, match="`tasks` must be at least one task"):
        gr.tasks.mixture()
    with pytest.raises(ValueError, match="`tasks` must be of the same inputs and targets as 'adding'; got 'copy'"):
        gr.tasks.mixture(gr.tasks.adding, gr.tasks.copy)
    with pytest.raises(ValueError, match="`tasks` must be generated ones; got 'text'"):
        gr.tasks.mixture(gr.tasks.text.prediction(b"abc" * 20))
    with pytest.raises(ValueError, match="`batch` must be at least 2"):
        gr.tasks.mixture(gr.tasks.adding, gr.tasks.adding_1997)(jax.random.key(0), 1, 20)


def test_strip_shows_words_and_numbers():
    rows = [plots.Strip("gate", [0.25, 1.0], 0, 1), plots.Strip("unit", [-0.5, 0.75], -1, 1)]
    figure = plots.sentence_strip(["the", "keys"], [("LSTM", rows)], title="A title", subtitle="How")
    (axis,) = figure.axes
    shown = [text.get_text() for text in axis.texts]
    assert {"LSTM", "the", "keys", "gate", "unit", "0.25", "1.00", "−0.50", "0.75"} == set(shown)
    assert len(axis.patches) == 4
    with pytest.raises(ValueError, match="`gate` must hold 1 numbers, one per word; got 2"):
        plots.sentence_strip(["the"], [("LSTM", rows)], title="", subtitle="")
    with pytest.raises(ValueError, match="must not be empty"):
        plots.sentence_strip([], [], title="", subtitle="")
