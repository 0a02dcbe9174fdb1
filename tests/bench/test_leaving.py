"""When a run left its plateau: found between two tests of a record that are far apart, by training it once more."""

import math

import pytest

import gatedrnn as gr
from benchmarks.learning import leaving, recorded

SETUP = gr.train.Setup(gr.tasks.adding, gr.gru, 8, 8, 64, gr.train.Optimiser(learning_rate=3e-2))


def test_between_two_tests():
    """The first that is low enough counts; one that never is leaves the end open."""
    assert leaving.between([(10, 1.2), (20, 0.76), (30, 0.75), (40, 0.9)]) == (20, 30)
    assert leaving.between([(10, 0.2)]) == (0, 10) and leaving.between([(10, 1.0), (20, 0.8)]) == (20, None)
    assert not leaving.far_apart([(10, 1.0), (20, 1.0)]) and not leaving.far_apart([(100, 1.0), (110, 0.5)])
    assert leaving.far_apart([(100, 1.0), (120, 0.5)]) and leaving.far_apart([(2, 0.5)])
    assert not leaving.far_apart([(1, 0.5)])


def test_drawn_straight():
    """Between the two tests, from the loss of the first; from that without memory where no test came before."""
    assert recorded.left([(10, 1.2), (20, 0.6)]) == {"after": 10, "until": 20, "left": pytest.approx(17.5)}
    assert recorded.left([(10, 0.5)]) == {"after": 0, "until": 10, "left": pytest.approx(5.0)}
    assert recorded.left([(0, 2.0), (4, 0.5)])["left"] == pytest.approx(4 * 1.25 / 1.5)
    assert recorded.left([(10, 1.2), (20, 0.8)]) == {"after": 20, "until": None, "left": None}


@pytest.mark.slow
def test_closer_tests_are_of_the_same_training():
    """Beside one update after the other: the same losses, as close as promised, within what the record had."""
    chance = SETUP.task.chance(8)
    states, shares = {0: gr.train.init(SETUP, (3, 4))}, {}
    for step in range(1, 121):
        states[step] = gr.train.step(SETUP, states[step - 1])[0]
    for step, state in states.items():
        shares[step] = gr.train.measure(SETUP, state.params, 3).loss / chance
    record = {seed: [(step, float(shares[step][place])) for step in (60, 120)] for place, seed in enumerate((3, 4))}
    assert all(map(leaving.far_apart, record.values()))
    found = leaving.closer(SETUP, record, chance)
    for place, (seed, tests) in enumerate(found.items()):
        (before, until), (after, most) = leaving.between(tests), leaving.between(record[seed])
        assert after <= before < until <= most + 10 and until - before <= max(1, math.ceil(leaving.CLOSE * before))
        for step, share in tests:
            assert share == pytest.approx(float(shares[step][place]), rel=1e-3)
    never = {5: [(60, 1.0), (120, 1.0)]}
    assert leaving.closer(SETUP, never, chance) == never


def test_what_is_too_long_is_left(monkeypatch):
    """No update is made twice."""
    monkeypatch.setattr(leaving, "LONGEST", 7)
    record = {3: [(60, 0.5)]}
    assert leaving.closer(SETUP, record, 1.0) is record
