"""Generated tasks against literal readings of them: answers, chance, memory, what is drawn, and what gives away."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import NamedTuple

import chex
import jax
import numpy as np
import pytest
import task_reference
from scipy import stats

import gatedrnn as gr

B = 100_000
THREE_SIGMA = 0.0027  # the probability of more than three standard errors


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
    "adding": Spec(task_reference.read_adding, 12, 2, 2, 1),
    "adding_1997": Spec(task_reference.read_adding_1997, 30, 6, 2, 1),
    "copy": Spec(task_reference.read_fixed_copy, 5, 1, 10, 9, extra=20, at_end=False),
    "variable_copy": Spec(task_reference.read_any_copy, 5, 1, 10, 9, extra=20, at_end=False),
    "temporal_order": Spec(task_reference.read_order_2, 30, 10, 8, 4),
    "temporal_order_3": Spec(task_reference.read_order_3, 30, 10, 8, 8),
    "parity": Spec(task_reference.read_parity, 12, 1, 2, 2, at_end=False),
    "anbn": Spec(task_reference.read_anbn, 16, 4, 3, 2),
    "delayed_recall": Spec(task_reference.read_recall, 10, 1, 2, 2),
    "noisy_latch": Spec(task_reference.read_latch, 36, 3, 1, 2),
}
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


@every_task
@pytest.mark.parametrize("x64", [False, True])
def test_shapes_and_dtypes(name, x64):
    """[N, B, D] as the task's own fields say; float32 and int32, whatever the default."""
    task, spec, steps = getattr(gr.tasks, name), SPECS[name], 13
    with jax.enable_x64(x64):
        batch = jax.eval_shape(lambda key: task(key, 3, steps), jax.random.key(0))
    chex.assert_shape(batch.xs, (steps + spec.extra, 3, spec.input_size))
    chex.assert_shape([batch.targets, batch.mask], (steps + spec.extra, 3))
    dtypes = [np.float32, np.int32 if task.classes else np.float32, bool]
    assert [(leaf.dtype, leaf.weak_type) for leaf in batch] == [(dtype, False) for dtype in dtypes]
    assert (task.name, task.shortest, task.symbols) == (name.replace("_", "-"), spec.shortest, False)
    assert (task.input_size, task.output_size) == (spec.input_size, spec.output_size)
    assert (task.classes, task.at_end) == (spec.output_size > 1, spec.at_end)


@every_task
def test_ten_thousand_steps(name):
    """At the length this is all for, inside `jit`."""
    task, spec = getattr(gr.tasks, name), SPECS[name]
    batch = jax.jit(lambda key: task(key, 16, 10_000))(jax.random.key(2))
    assert batch.xs.shape == (10_000 + spec.extra, 16, spec.input_size)
    reading = spec.read(np.asarray(batch.xs))
    np.testing.assert_array_equal(batch.targets, reading.targets)
    assert reading.lag.max() <= task.memory(10_000)


@every_task
def test_keys(name):
    """Equal keys, equal batches; other keys, others; the task itself crosses `jit` and `vmap` over keys."""
    task, keys, steps = getattr(gr.tasks, name), jax.random.split(jax.random.key(3), 2), SPECS[name].shortest + 1
    first, second = (task(key, 500, steps) for key in keys)
    chex.assert_trees_all_equal(first, task(keys[0], 500, steps))
    assert (first.xs != second.xs).any()
    both = jax.jit(jax.vmap(lambda task, key: task(key, 500, steps), in_axes=(None, 0)))(task, keys)
    chex.assert_trees_all_equal(jax.tree.map(lambda *pair: np.stack(pair), first, second), both)


@every_task
def test_traced_once(name):
    """For each task, batch and number of steps, whatever the key, and however the equal task was made."""
    seen = []

    def sample(key, *sizes_and_data):
        seen.append(sizes_and_data[:2])
        return getattr(gr.tasks, name).sample(key, *sizes_and_data)

    task = replace(getattr(gr.tasks, name), sample=sample)
    for seed, size in enumerate([(2, 12), (2, 12), (3, 12), (np.int64(2), np.int64(12)), (2, 13), (3, 12)]):
        jax.eval_shape(lambda key, size=size: replace(task)(key, *size), jax.random.key(seed))
    assert seen == [(2, 12), (3, 12), (2, 13)]


@every_task
def test_a_task_is_a_value(name):
    """Equal and hashed by its fields, a pytree without leaves, frozen, and its own held-out part."""
    task = getattr(gr.tasks, name)
    assert (replace(task), hash(replace(task))) == (task, hash(task))
    assert [other for other in SPECS if getattr(gr.tasks, other) == task] == [name]
    assert replace(task, name="other") != task
    leaves, structure = jax.tree.flatten(task)
    assert (leaves, jax.tree.unflatten(structure, []), task.held_out) == ([], task, task)
    with pytest.raises(FrozenInstanceError):
        task.name = "other"


@every_task
def test_errors(name):
    """Sizes that are none, and lengths without room, which the message names with the task."""
    task, key, least = getattr(gr.tasks, name), jax.random.key(0), SPECS[name].shortest
    for size in (0, -1, 1.5, True, None, "3"):
        with pytest.raises(ValueError, match=f"^`batch` must be a whole number of at least 1; got {size!r}"):
            task(key, size, 20)
        with pytest.raises(ValueError, match=f"^`steps` must be a whole number of at least 1; got {size!r}"):
            task(key, 2, size)
    for steps in range(1, least):
        with pytest.raises(ValueError, match=f"^`steps` must be at least {least} .*'{task.name}'; got {steps}"):
            task(key, 2, steps)
