"""Generated tasks against literal readings of them: answers, chance, memory, what is drawn, and what gives away."""

import math
from collections import Counter

import jax
import numpy as np
import pytest
import task_reference
from scipy import stats
from task_reference import SPECS

import gatedrnn as gr

B = 100_000
THREE_SIGMA = 0.0027  # the probability of more than three standard errors


every_task = pytest.mark.parametrize("name", SPECS)


def draw(name, seed, batch, steps):
    return jax.tree.map(np.asarray, getattr(gr.tasks, name)(jax.random.key(seed), batch, steps))


@pytest.fixture(scope="module", params=SPECS)
def many(request):
    """A task, what is specified of it, 1e5 sequences, and their reading."""
    spec = SPECS[request.param]
    batch = draw(request.param, 0, B, spec.steps)
    return getattr(gr.tasks, request.param), spec, batch, spec.read(batch.xs)


@pytest.mark.thinned(3)
def test_answers_and_memory(many):
    """Every target is what the inputs say, and asked where it should be; the longest lag is the memory stated."""
    task, spec, batch, reading = many
    np.testing.assert_array_equal(batch.targets, reading.targets)
    assert reading.lag.max() == task.memory(spec.steps)
    asked = np.arange(len(batch.xs)) >= (spec.steps - 1 if spec.at_end else 0)
    np.testing.assert_array_equal(batch.mask, np.broadcast_to(asked[:, None], batch.mask.shape))
    assert batch.xs.any((0, 1)).all()


@every_task
@pytest.mark.parametrize("longer", [0, 1])
def test_answers_and_memory_at_the_least_length(name, longer):
    """The same where there is hardly room, at odd and even T."""
    spec, steps = SPECS[name], SPECS[name].shortest + longer
    batch = draw(name, 1, 500, steps)
    reading = spec.read(batch.xs)
    np.testing.assert_array_equal(batch.targets, reading.targets)
    assert reading.lag.max() == getattr(gr.tasks, name).memory(steps)
    assert all(set(np.unique(observed)) == set(law) for observed, law in reading.draws())


def test_chance(many):
    """The best constant answer scores what is stated, and no class is missing or more frequent than another."""
    task, spec, batch, _ = many
    asked = batch.targets[batch.mask].astype(float)
    if not task.classes:
        error = math.sqrt((stats.moment(asked, 4) - asked.var() ** 2) / B)
        assert abs(asked.var() - task.chance(spec.steps)) < 3 * error
        return
    assert set(np.unique(asked)) == set(range(spec.output_size))
    unsure, k = asked[asked < 8], min(spec.output_size, 8)  # that a blank (8) is due needs no memory
    share = np.bincount(unsure.astype(int)) / unsure.size
    np.testing.assert_array_less(abs(share - 1 / k), 3 * math.sqrt((k - 1) / unsure.size) / k)
    loss = stats.entropy(share) * unsure.size / asked.size
    gained = 2 * asked.size * (task.chance(spec.steps) - loss)  # by fitting the constant: chi-square
    assert -1e-6 < gained < stats.chi2.isf(THREE_SIGMA, k - 1)


def test_draws(many):
    """Each place, symbol and word that the specification allows comes as often as it says; no other ever comes."""
    for observed, law in many[-1].draws():
        values, times = np.unique(observed, return_counts=True)
        assert set(values) == set(law)
        if len(law) > 1:
            assert stats.chisquare(times, [law[v] * observed.size for v in values.tolist()]).pvalue > THREE_SIGMA


def test_adding_1997_in_a_short_first_half():
    """Where that has no more than ten places for marks, every two of them are alike: 21 pairs of 7 at T = 16."""
    ((pairs, law),) = task_reference.read_adding_1997(draw("adding_1997", 0, 10_000, 16).xs).draws()
    assert law == pytest.approx(task_reference.alike(law)) and len(law) == 21
    assert stats.chisquare(np.unique(pairs, return_counts=True)[1]).pvalue > THREE_SIGMA


def latch_noise(xs):
    return xs - np.where(np.arange(len(xs))[:, None, None] < 3, np.sign(xs[:1]), 0)


@pytest.mark.parametrize(
    ("name", "values", "law"),
    [
        ("adding", lambda xs: xs[..., 0], stats.uniform(0, 1)),
        ("adding_1997", lambda xs: xs[..., 0], stats.uniform(-1, 2)),
        ("noisy_latch", latch_noise, stats.norm(0, 0.2)),
    ],
)
def test_values(name, values, law):
    """U[0, 1]; U[-1, 1]; +1 or -1 for three steps, then 0, under noise of deviation 0.2."""
    assert stats.kstest(values(draw(name, 1, 500, SPECS[name].shortest + 1).xs).ravel(), law.cdf).pvalue > THREE_SIGMA


def test_adding_with_one_value_known():
    """Whoever has the second value and not the first is at 1/12."""
    xs, targets, _ = draw("adding", 0, B, 12)
    rest = targets[-1] - (xs[6:, :, 0] * xs[6:, :, 1]).sum(0)
    assert abs(rest.var() - 1 / 12) < 3 * math.sqrt((1 / 80 - 1 / 144) / B)


def test_latch_error_of_averaging():
    """The sign of the mean of all T inputs errs at Phi(-3 / (0.2 sqrt T)): 0.62 % at T = 36, half at T without end."""
    (xs, targets, _), rate = draw("noisy_latch", 0, B, 36), stats.norm.cdf(-2.5)
    wrong = ((xs[..., 0].mean(0) > 0) != targets[-1]).mean()
    assert abs(wrong - rate) < 3 * math.sqrt(rate * (1 - rate) / B)


@pytest.mark.parametrize(
    ("steps", "loss"), [(100, 0.1732868), (500, 0.0399893), (1000, 0.0203867), (10_000, 0.0020753)]
)
def test_copy_published_chance(steps, loss):
    """10 ln 8 / (T + 20)."""
    assert gr.tasks.copy.chance(steps) == pytest.approx(loss, abs=1e-7)


def best_guess(law, feature):
    """Feature -> answer, and how often that is right, for one who sees nothing else of the word."""
    right, wrong = Counter(), Counter()
    for (a, b), p in ((divmod(word, 100), p) for word, p in law.items()):
        (right if a == b else wrong)[feature(a, b)] += p
    seen = {*right, *wrong}
    return {v: right[v] > wrong[v] for v in seen}, sum(max(right[v], wrong[v]) for v in seen)


def test_anbn_gives_little_away():
    """The length says nothing; one count alone what follows from its law, by enumeration; most wrong words are near."""
    xs, targets, _ = draw("anbn", 0, B, 16)
    a, b, right = (xs[..., 1].sum(0), xs[..., 2].sum(0), targets[-1] == 1)
    assert best_guess(task_reference.words(16), lambda a, b: a + b)[1] == pytest.approx(1 / 2)
    assert stats.chi2_contingency(stats.contingency.crosstab(a + b, right).count).pvalue > THREE_SIGMA
    for seen, feature in ((a, lambda a, b: a), (b, lambda a, b: b)):
        answers, rate = best_guess(task_reference.words(16), feature)
        assert rate < 0.65
        hit = np.vectorize(answers.get)(seen) == right
        assert abs(hit.mean() - rate) < 3 * math.sqrt(rate * (1 - rate) / B)
    rate = 2 * sum(p for word, p in task_reference.words(16).items() if abs(word // 100 - word % 100) == 2)
    assert rate > 1 / 2
    assert abs((abs(a - b)[~right] == 2).mean() - rate) < 3 * math.sqrt(rate * (1 - rate) / (~right).sum())
