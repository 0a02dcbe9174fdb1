"""Tasks of the user: what `sample` makes is looked at, and what is no class is never taken for one."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.tasks import Batch, Task, check_task

CLASSES, WIDTH = 3, 2


def sampled(key, batch, steps, data):
    """A class to be said at every step."""
    xs = jax.random.normal(key, (steps, batch, WIDTH))
    return Batch(xs, (xs[..., 0] > 0).astype(jnp.int32), jnp.ones((steps, batch), bool))


def made(change=lambda batch: batch, **fields):
    """The task, or one whose batches are changed."""
    told = {"name": "own", "chance": lambda steps: 1.0, "memory": lambda steps: 1, "at_end": False}
    sizes = {"input_size": WIDTH, "output_size": CLASSES}
    return Task(sample=lambda *given: change(sampled(*given)), **told | sizes | fields)


def loss(task, batch=4, horizon=6):
    """Of a first step."""
    setup = gr.train.Setup(task, gr.rnn, horizon=horizon, hidden_size=3, batch=batch)
    return float(gr.train.step(setup, gr.train.init(setup))[1].loss[0])


def labelled(label, masked):
    """A class in place of the first one, asked for or not."""
    return lambda batch: batch._replace(targets=batch.targets.at[0].set(label), mask=batch.mask.at[0].set(not masked))


@pytest.mark.slow
@pytest.mark.thinned(3)
@pytest.mark.parametrize("label", [-1, -100, CLASSES, 2**31 - 1])
def test_a_class_that_is_none(label):
    """Where it is asked for the loss is NaN, and `check_task` says why; where it is not, it does not matter."""
    assert np.isnan(loss(made(labelled(label, masked=False))))
    with pytest.raises(ValueError, match=f"^`task` must be one of classes from 0 to 2 .*; got {label}"):
        check_task(made(labelled(label, masked=False)), steps=6)
    assert loss(made(labelled(label, masked=True))) == loss(made(labelled(0, masked=True)))
    check_task(made(labelled(label, masked=True)), steps=6)


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_a_training_blames_the_task(label):
    """Not the setup, whose numbers are sound."""
    setup = gr.train.Setup(made(labelled(label, masked=False)), gr.rnn, horizon=6, hidden_size=3, batch=4)
    with pytest.raises(ValueError, match=f"^`task` must be one of classes from 0 to 2 .*; got {label}"):
        gr.train.fit(setup, steps=2, test_every=1, test_batches=1)


@pytest.mark.slow
@pytest.mark.thinned(5)
@pytest.mark.parametrize("symbol", [-1, 7, 300])
@pytest.mark.parametrize("classes", [True, False])
def test_a_symbol_that_is_none(symbol, classes):
    """The last symbol does not stand for it."""

    def change(batch, symbol=symbol):
        targets = batch.targets if classes else batch.targets.astype(jnp.float32)
        return batch._replace(xs=batch.targets.at[2, 1].set(symbol), targets=targets)

    told = {"symbols": True, "input_size": 7, "classes": classes, "output_size": CLASSES if classes else 1}
    assert np.isnan(loss(made(change, **told)))
    assert np.isfinite(loss(made(lambda batch: change(batch, 6), **told)))
    with pytest.raises(ValueError, match=f"^`task` must be one of symbols from 0 to 6 .*; got {symbol}"):
        check_task(made(change, **told), steps=6)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16"])
def test_classes_of_small_types(dtype):
    """More classes than the type has numbers."""
    task = made(lambda batch: batch._replace(targets=batch.targets.astype(dtype)), output_size=256)
    check_task(task, steps=6)
    assert np.isfinite(loss(task))


NONE = {
    "batch first": lambda batch: Batch(*(jnp.moveaxis(part, 0, 1) for part in batch)),
    "xs batch first": lambda batch: batch._replace(xs=jnp.moveaxis(batch.xs, 0, 1)),
    "targets batch first": lambda batch: batch._replace(targets=batch.targets.T),
    "no axis of features": lambda batch: batch._replace(xs=batch.xs[..., 0]),
    "too few features": lambda batch: batch._replace(xs=batch.xs[..., :1]),
    "one target for a sequence": lambda batch: batch._replace(targets=batch.targets[-1]),
    "targets one-hot": lambda batch: batch._replace(targets=jax.nn.one_hot(batch.targets, 3)),
    "classes as floats": lambda batch: batch._replace(targets=batch.targets.astype(jnp.float32)),
    "inputs as integers": lambda batch: batch._replace(xs=batch.xs.astype(jnp.int32)),
    "a mask of floats": lambda batch: batch._replace(mask=batch.mask.astype(jnp.float32)),
    "a mask of one step": lambda batch: batch._replace(mask=batch.mask[-1:]),
    "fewer steps in xs": lambda batch: batch._replace(xs=batch.xs[1:]),
    "no mask": lambda batch: batch._replace(mask=None),
    "a tuple": tuple,
    "nothing": lambda batch: None,
}


@pytest.mark.parametrize("change", NONE.values(), ids=NONE)
@pytest.mark.parametrize("batch", [4, 6], ids=["B < T", "B = T"])
def test_a_batch_that_is_none(tmp_path, change, batch):
    """Refused when it is first used, before a file is written."""
    task = made(change)
    message = "^`task` must be one whose "
    setup = gr.train.Setup(task, gr.rnn, horizon=6, hidden_size=3, batch=batch)
    with pytest.raises(ValueError, match=message):
        gr.train.init(setup)
    with pytest.raises(ValueError, match=message):
        gr.train.fit(setup, steps=2, folder=tmp_path)
    with pytest.raises(ValueError, match=message):
        check_task(task, batch, 6)
    assert not list(tmp_path.iterdir())


def test_what_is_checked_in_values():
    """A mask that asks for nothing, a target that is no number; values keep what they are."""
    with pytest.raises(ValueError, match="^`task` must be one whose mask is True somewhere"):
        check_task(made(lambda batch: batch._replace(mask=jnp.zeros_like(batch.mask))), steps=6)
    nan = made(lambda batch: batch._replace(targets=batch.xs[..., 0] / 0 * 0), classes=False, output_size=1)
    with pytest.raises(ValueError, match="^`task` must be one of finite targets"):
        check_task(nan, steps=6)


@pytest.mark.parametrize("name", ["adding", "copy", "parity"])
def test_the_tasks_of_the_package_are_tasks(name):
    task = getattr(gr.tasks, name)
    check_task(task, steps=12)
    key = jax.random.key(1)
    for own, drawn in zip(task(key, 3, 12), jax.jit(lambda key: task.draw(key, 3, 12))(key), strict=True):
        np.testing.assert_array_equal(own, drawn)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "copy"}, "`task` must be a `gatedrnn.tasks.Task`, such as `gr.tasks.adding`; got 'copy'"),
        ({"task": sampled}, "`task` must be a `gatedrnn.tasks.Task`"),
        ({"task": Task}, "`task` must be a `gatedrnn.tasks.Task`"),
        ({"cell": "lstm"}, "`cell` must be a `gatedrnn.Cell`, such as `gr.lstm`; got 'lstm'"),
        ({"cell": gr.cells.lstm}, "`cell` must be a `gatedrnn.Cell`"),
        ({"cell": None}, "`cell` must be a `gatedrnn.Cell`"),
    ],
)
def test_words_in_place_of_a_task_or_a_cell(change, message):
    """Refused where they are given."""
    with pytest.raises(ValueError, match=f"^{message}"):
        gr.train.Setup(**{"task": gr.tasks.copy, "cell": gr.lstm, "horizon": 4} | change)
    with pytest.raises(ValueError, match=f"^{message}"):
        replace(gr.train.Setup(gr.tasks.copy, gr.lstm, 4), **change)
