"""`pointwise` taken apart beside `pointwise` whole: the same gradients from programs that differ."""

import jax
import numpy as np
import pytest

import gatedrnn as gr
from benchmarks.speed.problem import Size, problem
from benchmarks.speed.whole import WAYS, ready


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "alike"), [(gr.lstm, False), (gr.gru, True)])
def test_both_ways_give_the_gradients(cell, alike):
    """The LSTM's h' reads c'; the GRU has one part, which nothing can read."""
    size = Size(2, 3, 4, 50)
    apart, whole = (ready(cell, problem(cell, size), way) for way in WAYS)
    for one, other in zip(jax.tree.leaves(apart.gradient()), jax.tree.leaves(whole.gradient()), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    programs = [each.programs[1]().as_text() for each in (apart, whole)]
    assert (programs[0].count("f32[50,2,4]") == programs[1].count("f32[50,2,4]")) is alike


@pytest.mark.slow
def test_it_is_a_command(run):
    """One row for each way."""
    done = run("-m", "benchmarks.speed.whole", "lstm", "1", "2", "3", "20", "--repeats", "1")
    assert done.returncode == 0, done.stderr
    assert [line.split(" | ")[0] for line in done.stdout.splitlines()[2:]] == ["| taken apart", "| whole"]
