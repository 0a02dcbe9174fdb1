"""The marked steps of a task's sequences, told from what its batches show."""

import jax
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.tasks._marks import marks


@pytest.mark.parametrize(
    ("task", "steps", "number", "lags"),
    [
        (gr.tasks.adding, 20, 2, (0, 19)),
        (gr.tasks.adding_1997, 20, 2, (1, 18)),
        (gr.tasks.temporal_order, 100, 2, (39, 89)),
        (gr.tasks.temporal_order_3, 100, 3, (23, 89)),
        (gr.tasks.copy, 5, 10, (15, 24)),
        (gr.tasks.delayed_recall, 9, 1, (8, 8)),
        (gr.tasks.noisy_latch, 9, 3, (6, 8)),
        (gr.tasks.agreement, 20, 1, (14, 18)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_marks(task, steps, number, lags):
    """So many in each sequence, at the lags that the task gives them; nothing else looks like them."""
    xs = np.asarray(task(jax.random.key(0), 16, steps).xs)
    got = marks(task, xs)
    assert len(got.lags) == 16 * number and lags[0] <= got.lags.min() <= got.lags.max() <= lags[1]
    assert len(got.marked) + len(got.unmarked) == xs.shape[0] * 16
    if task.name != "noisy-latch":  # where nothing but time tells
        assert not {tuple(row) for row in got.marked} & {tuple(row) for row in got.unmarked}


def test_no_marks():
    """Where every step matters."""
    for task in (gr.tasks.parity, gr.tasks.anbn):
        assert marks(task, np.asarray(task(jax.random.key(0), 2, 8).xs)) is None
