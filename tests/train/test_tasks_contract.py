"""What every generated task keeps: shapes and dtypes, keys, one trace, a value, and sentences for wrong sizes."""

from dataclasses import FrozenInstanceError, replace

import chex
import jax
import numpy as np
import pytest
from task_reference import SPECS

import gatedrnn as gr

every_task = pytest.mark.parametrize("name", SPECS)


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
