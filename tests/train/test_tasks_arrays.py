"""A task of arrays: trained as the same one written by hand, and refused where it cannot be what was meant."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.tasks import Batch, Task

RNG = np.random.default_rng(0)
XS = RNG.normal(size=(30, 6, 2))  # N, T, D
LABELS = (XS[:, 0, 0] > 0).astype(int)
STEPS = (XS[..., 0] > 0).astype(int)
from_arrays = Task.from_arrays


def rows_of(task, horizon=6, **options):
    """Of a short training."""
    setup = gr.train.Setup(task, gr.gru, horizon=horizon, hidden_size=3, batch=4)
    return gr.train.fit(setup, steps=4, test_every=2, test_batches=1, **options).rows


def by_hand(kind):
    """The same task with a sampler of its own."""

    def sample(key, batch, steps, data):
        xs, targets = data
        rows = jax.random.randint(key, (batch,), 0, xs.shape[0], jnp.int32)
        mask = jnp.ones((steps, batch), bool)
        if kind == "labels":
            targets, mask = jnp.zeros((steps, batch), jnp.int32).at[-1].set(targets[rows]), ~mask.at[-1].set(False)
            mask = jnp.zeros((steps, batch), bool).at[-1].set(True)
        else:
            targets = jnp.moveaxis(targets[rows, :steps], 0, 1)
        return Batch(jnp.moveaxis(xs[rows, :steps], 0, 1), targets, mask)

    targets = {"labels": LABELS, "steps": STEPS, "values": XS[..., 1], "several": XS[..., ::-1].copy()}[kind]
    classes = kind in ("labels", "steps")
    arrays = jnp.asarray(XS, jnp.float32), jnp.asarray(targets, jnp.int32 if classes else jnp.float32)
    task = Task(
        name="own",
        sample=sample,
        chance=lambda steps: 1.0,
        memory=lambda steps: steps - 1,
        input_size=2,
        output_size=1 if kind == "values" else 2,
        classes=classes,
        at_end=kind == "labels",
        data=tuple(a[:24] for a in arrays),
        held_out_data=tuple(a[24:] for a in arrays),
    )
    return task, targets


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["labels", "steps", "values", "several"])
def test_as_written_by_hand(kind):
    """Every loss of a training, to the last bit: by a share, and by separate arrays."""
    task, targets = by_hand(kind)
    shared = from_arrays(XS, targets)
    apart = from_arrays(XS[:24], targets[:24], held_out=(XS[24:], targets[24:]))
    want = rows_of(task)
    assert rows_of(shared) == rows_of(apart) == want
    gr.tasks.check_task(shared, steps=6)
    if kind != "labels":
        assert rows_of(shared, 3) == rows_of(task, 3)


def test_chance():
    """The best constant answer to the training part."""
    p = LABELS[:24].mean()
    assert from_arrays(XS, LABELS).chance(6) == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p))
    values = XS[..., 0]
    assert from_arrays(XS, values).chance(3) == pytest.approx(values[:24].var())
    mask = RNG.random((30, 6)) < 0.5
    assert from_arrays(XS, values, mask).chance(3) == pytest.approx(values[:24][mask[:24]].var())
    assert from_arrays(XS, XS).chance(3) == pytest.approx(XS[:24].var(axis=(0, 1)).mean())


def test_padded_sequences():
    """One label each, asked at each sequence's own last step: the outputs of the model there, by hand."""
    lengths = RNG.integers(2, 7, 30)
    mask = np.arange(6)[None] == lengths[:, None] - 1
    task = from_arrays(XS, LABELS, mask)
    setup = gr.train.Setup(task, gr.lstm, horizon=6, hidden_size=3, batch=8)
    params, batch = setup.model.init(jax.random.key(1)), task(jax.random.key(2), 8, 6)
    assert (batch.mask.sum(0) == 1).all()
    logits = np.asarray(setup.model(params, batch.xs)[1], np.float64)
    at = np.asarray(batch.mask).argmax(0)
    last = logits[at, np.arange(8)]
    labels = np.asarray(batch.targets)[at, np.arange(8)]
    losses = np.log(np.exp(last).sum(1)) - last[np.arange(8), labels]
    found = gr.train.evaluate(setup.model, task, params, task.draw(jax.random.key(2), 8, 6), setup.method)
    assert float(found.loss) == pytest.approx(losses.mean(), rel=1e-5)


@pytest.mark.slow
def test_symbols():
    """Whole numbers [N, T] are embedded; what a mask leaves out may be anything."""
    symbols = RNG.integers(0, 5, (20, 4))
    symbols[0, 0] = 4
    next_ones = np.concatenate([symbols[:, 1:], np.full((20, 1), -100)], axis=1)
    task = from_arrays(symbols, next_ones, next_ones >= 0, input_size=9, output_size=9)
    assert (task.symbols, task.input_size, task.output_size) == (True, 9, 9)
    assert from_arrays(symbols, next_ones, next_ones >= 0).input_size == 5
    gr.tasks.check_task(task, steps=4)
    assert np.isfinite([row.test_loss for row in rows_of(task, 4)]).all()


def test_resumed(tmp_path):
    """It is known again by its data."""
    task = from_arrays(XS, LABELS)
    whole = rows_of(task)
    setup = gr.train.Setup(task, gr.gru, horizon=6, hidden_size=3, batch=4)
    sizes = {"test_every": 2, "test_batches": 1, "folder": tmp_path}
    gr.train.fit(setup, steps=2, **sizes)
    assert gr.train.fit(setup, steps=4, resume=True, **sizes).rows == whole
    other = gr.train.Setup(from_arrays(XS, 1 - LABELS), gr.gru, horizon=6, hidden_size=3, batch=4)
    with pytest.raises(ValueError, match="^`folder` must be one of a run with data"):
        gr.train.fit(other, steps=4, resume=True, **sizes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((XS.swapaxes(0, 1), LABELS), "`targets` must be .* with N = 6 and T = 30, sequences first"),
        ((XS, STEPS.T), "`targets` must be .* with N = 30 and T = 6, sequences first, .*; got int64 \\(6, 30\\)"),
        ((XS, STEPS[:, :5]), "`targets` must be .*; got int64 \\(30, 5\\)"),
        ((XS, LABELS[:29]), "`targets` must be .*; got int64 \\(29,\\)"),
        ((XS, LABELS[:, None]), "`targets` must be .*; got int64 \\(30, 1\\)"),
        ((XS, LABELS > 0), "`targets` must be whole numbers .*; got bool"),
        ((XS, STEPS[..., None]), "`targets` must be .*; got int64 \\(30, 6, 1\\)"),
        ((XS[..., 0], LABELS), "`xs` must be real numbers \\[N, T, D\\].*; got float64 \\(30, 6\\)"),
        ((XS[:, :0], LABELS), "`xs` must be at least one sequence of one step"),
        ((XS * np.nan, LABELS), "`xs` must be finite numbers"),
        ((XS * 1e300, LABELS), "`xs` must be finite numbers that float32 holds"),
        ((XS, XS[..., 0] * np.nan), "`targets` must be finite numbers"),
        (
            (XS, LABELS - 1),
            "`targets` must be whole numbers 0 or above; where nothing is asked, `mask` says so; got -1",
        ),
        ((XS, STEPS, np.ones((6, 30), bool)), "`mask` must be truths"),
        ((XS, STEPS, np.ones((30, 6))), "`mask` must be truths"),
        ((XS, STEPS, np.zeros((30, 6), bool)), "`mask` must be True somewhere"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_refused(given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        from_arrays(*given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"output_size": 1}, "`targets` must be whole numbers from 0 to 0; where nothing .*; got 1"),
        ({"output_size": 0}, "`output_size` must be a whole number"),
        ({"input_size": 3}, "`input_size` must be 2, as many as the features; got 3"),
        ({"held_out": 0}, "`held_out` must be a positive finite number"),
        ({"held_out": 0.001}, "`held_out` must be a share that leaves a sequence"),
        ({"held_out": 1}, "`held_out` must be a share that leaves a sequence"),
        ({"held_out": (XS,)}, "`held_out` must be a share, or arrays"),
        ({"held_out": (XS[..., :1], LABELS)}, "`held_out` must be arrays like those of the training, with xs real"),
        ({"held_out": (XS, XS[:, 0, 0])}, "`held_out` must be arrays like those of the training, with targets whole"),
        ({"held_out": (XS, LABELS[:3])}, "`targets` must be held_out whole numbers"),
        ({"held_out": (XS, LABELS, np.ones((30, 6), bool))}, "`held_out` must be arrays like .* with mask None"),
        ({"name": ""}, "`name` must be a name"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_options_refused(given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        from_arrays(XS, LABELS, **given)


def test_a_horizon_that_would_not_be_asked():
    """One label for a whole sequence is not asked of its beginning."""
    with pytest.raises(ValueError, match="^`horizon` must be at least 6"):
        rows_of(from_arrays(XS, LABELS), 5)
    with pytest.raises(ValueError, match="^`horizon` must be at most 6"):
        rows_of(from_arrays(XS, STEPS), 7)
