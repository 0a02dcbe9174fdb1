"""Training: against the same model in flax and torch, and against itself in other arrangements."""

import csv
import json
import math
from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gatedrnn as gr
from gatedrnn.train import _state

SETUP = gr.train.Setup(gr.tasks.adding, gr.lstm, horizon=12, hidden_size=6, batch=4, cell_options={"chrono": 12})
CURVE_STEPS = 50


def batches(setup, seed=0):
    """The training data of a seed, as the data key promises it."""
    state = gr.train.init(setup, (seed,))
    return [setup.task(jax.random.fold_in(state.key[0], n), setup.batch, setup.horizon) for n in range(CURVE_STEPS)]


def curve(setup):
    """Training losses of the first updates, and the weights they began from."""
    state = gr.train.init(setup)
    first = jax.tree.map(lambda a: np.array(a[0]), state.params)
    losses = []
    for _ in range(CURVE_STEPS):
        state, metrics = gr.train.step(setup, state)
        losses.append(float(metrics.loss[0]))
    return np.array(losses), first


@pytest.mark.slow
@pytest.mark.parametrize("cell", [gr.rnn, gr.gru, gr.lstm], ids=lambda cell: cell.name)
def test_losses_are_those_of_flax(cell):
    """50 updates of linen's cell under linen's own loop, from the same weights on the same data."""
    from flax import linen as nn

    from gatedrnn.interop.flax import to_linen

    setup = replace(SETUP, cell=cell, cell_options={})
    losses, first = curve(setup)
    module, variables = to_linen(cell, first.cell)
    layer = nn.RNN(module, time_major=True)
    params = {"cell": {"params": {"cell": variables["params"]}}, "readout": dict(first.readout)}
    rule = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))

    def loss(params, batch):
        last = layer.apply(params["cell"], batch.xs)[-1]
        return jnp.mean(
            (last @ params["readout"]["w"] + params["readout"]["b"][None] - batch.targets[-1][:, None]) ** 2
        )

    @jax.jit
    def update(params, state, batch):
        value, gradients = jax.value_and_grad(loss)(params, batch)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = rule.update(gradients, state)
        return optax.apply_updates(params, updates), state, value

    state, theirs = rule.init(params), []
    for batch in batches(setup):
        params, state, value = update(params, state, batch)
        theirs.append(float(value))
    np.testing.assert_allclose(losses, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("cell", [gr.gru, gr.lstm], ids=lambda cell: cell.name)
def test_losses_are_those_of_torch(cell):
    """50 updates in torch with its own optimiser, cross entropy at every step of a copy task."""
    torch = pytest.importorskip("torch")
    from gatedrnn.interop.torch import to_torch

    setup = gr.train.Setup(gr.tasks.copy, cell, 5, 6, 4, gr.train.Optimiser(optax.adam, 1e-2, clip=None))
    losses, first = curve(setup)
    layer, readout = to_torch(cell, first.cell), torch.nn.Linear(6, 9)
    readout.load_state_dict({"weight": torch.tensor(first.readout["w"].T), "bias": torch.tensor(first.readout["b"])})
    rule = torch.optim.Adam([*layer.parameters(), *readout.parameters()], lr=1e-2)
    theirs = []
    for batch in batches(setup):
        logits = readout(layer(torch.tensor(np.array(batch.xs)))[0])
        value = torch.nn.functional.cross_entropy(
            logits.reshape(-1, 9), torch.tensor(np.array(batch.targets)).reshape(-1).long()
        )
        rule.zero_grad()
        value.backward()
        # torch adds a second bias to every gate; ours has one, and a second for the GRU's candidate alone
        layer.bias_hh_l0.grad[: None if cell is gr.lstm else 12] = 0
        rule.step()
        theirs.append(value.item())
    np.testing.assert_allclose(losses, theirs, rtol=1e-5, atol=1e-6)


def test_metrics_are_means_over_what_counts():
    """Loss and accuracy of both kinds against NumPy in float64, with steps where nothing is asked."""
    rng = np.random.default_rng(0)
    for classes in (True, False):
        task = replace(gr.tasks.copy, classes=classes, output_size=9 if classes else 1, tolerance=0.5)
        setup = replace(SETUP, task=task, horizon=3, batch=2)
        params = jax.tree.map(lambda a: a[0], gr.train.init(setup).params)
        batch = task(jax.random.key(1), 2, 3)
        mask = rng.random(batch.mask.shape) < 0.3
        targets = batch.targets if classes else batch.targets.astype(jnp.float32) / 9
        batch = batch._replace(mask=jnp.asarray(mask), targets=targets)
        found = gr.train.evaluate(setup.model, task, params, batch, setup.method)
        ys = np.float64(setup.model(params, batch.xs)[1])
        if classes:
            logs = ys - np.log(np.exp(ys).sum(-1, keepdims=True))
            each = -np.take_along_axis(logs, np.array(targets)[..., None], -1)[..., 0]
            right = ys.argmax(-1) == np.array(targets)
        else:
            each = (ys[..., 0] - np.float64(targets)) ** 2
            right = abs(ys[..., 0] - np.float64(targets)) < 0.5
        np.testing.assert_allclose(found.loss, each[mask].mean(), rtol=1e-5)
        np.testing.assert_allclose(found.accuracy, right[mask].mean(), rtol=1e-5)


METHODS = [
    *(gr.Autodiff(), gr.Checkpointed(4), gr.Truncated(12)),  # one window: the whole of SETUP's horizon
    gr.Sharded(jax.sharding.Mesh(np.array(jax.devices()[:2]), ("rows",))),
]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("task", [gr.tasks.adding, gr.tasks.parity], ids=lambda task: task.name)
def test_every_method_trains_alike(task, method):
    """The method changes how, not what."""
    setup = replace(SETUP, task=task)
    want = gr.train.fit(setup, steps=6, test_every=6, test_batches=1)
    got = gr.train.fit(replace(setup, method=method), steps=6, test_every=6, test_batches=1)
    chex.assert_trees_all_close(got.state.params, want.state.params, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_short_window_is_a_part_of_the_gradient():
    """What the first windows' inputs do to the end is cut off: the first update with the cut written out."""
    setup = replace(SETUP, method=gr.Truncated(5), optimiser=optax.sgd(1.0))
    before = gr.train.init(setup)
    params = jax.tree.map(lambda a: a[0], before.params)
    batch = batches(setup)[0]

    def loss(params):
        carry, _ = gr.unroll(setup.cell, params.cell, batch.xs[:10])  # 5 + 5 + 2 steps
        carry, _ = gr.unroll(setup.cell, params.cell, batch.xs[10:], jax.lax.stop_gradient(carry))
        return jnp.mean((gr.models.read_out(params.readout, carry.h)[:, 0] - batch.targets[-1]) ** 2)

    want = jax.tree.map(lambda a, g: a - g, params, jax.grad(loss)(params))
    got = jax.tree.map(lambda a: a[0], gr.train.step(setup, before)[0].params)
    chex.assert_trees_all_close(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_seeds_together_are_seeds_alone():
    """Under vmap, spread over two devices, or one after the other."""
    together = gr.train.fit(SETUP, steps=8, seeds=(0, 5), test_every=4, test_batches=2)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("seeds",))
    spread = gr.train.fit(SETUP, steps=8, seeds=(0, 5), test_every=4, test_batches=2, mesh=mesh)
    chex.assert_trees_all_close(spread.state.params, together.state.params, rtol=1e-4, atol=1e-6)
    for i, seed in enumerate((0, 5)):
        alone = gr.train.fit(SETUP, steps=8, seeds=(seed,), test_every=4, test_batches=2)
        chex.assert_trees_all_close(alone.params(), together.params(i), rtol=1e-4, atol=1e-6)
        theirs = [row for row in together.rows if row.seed == seed]
        np.testing.assert_allclose(theirs, alone.rows, rtol=1e-4)


def test_tests_are_on_held_out_data():
    """`measure` is `evaluate` on the data kept apart, the same keys at every call; what is trained on differs."""
    values = np.concatenate([np.sin(np.arange(120.0)), np.random.default_rng(0).normal(size=30)])
    task = gr.tasks.series.prediction(values)
    setup = replace(SETUP, task=task)
    params = gr.train.init(setup, seeds := (0, 3)).params
    found = gr.train.measure(setup, params, 3)
    keys = jax.random.split(jax.random.key(_state.TEST_SEED), 3)

    def means(task):
        """Over the batches, for each seed."""
        each = [
            [gr.train.evaluate(setup.model, task, one, task(key, 4, 12), setup.method) for key in keys]
            for one in (jax.tree.map(lambda a, i=i: a[i], params) for i in range(len(seeds)))
        ]
        return np.mean(each, axis=1)  # [seed, loss and accuracy]

    np.testing.assert_allclose(np.stack(found, axis=1), means(task.held_out), rtol=1e-5)
    assert (abs(found.loss - means(task)[:, 0]) > 0.01).all()
    fitted = gr.train.fit(setup, steps=2, seeds=seeds, test_batches=3)
    again = gr.train.measure(setup, fitted.state.params, 3)
    np.testing.assert_allclose([row.test_loss for row in fitted.rows], again.loss, rtol=1e-6)


def test_learns_and_stops_at_the_target():
    """A short adding task falls below its target, at the first test that says so."""
    setup = gr.train.Setup(gr.tasks.adding, gr.gru, horizon=8, hidden_size=16, batch=32)
    fitted = gr.train.fit(setup, steps=3000, seeds=(0, 1), target=0.005, test_every=50)
    for seed, step in fitted.reached.items():
        losses = {row.step: row.test_loss for row in fitted.rows if row.seed == seed}
        assert step is not None and losses[step] <= 0.005 and all(losses[s] > 0.005 for s in losses if s < step)
    assert fitted.rows[-1].step == max(fitted.reached.values()) < 3000


def test_metrics_files(tmp_path):
    """CSV and JSONL hold the rows to the last bit."""
    for name in ("m.csv", "m.jsonl"):
        fitted = gr.train.fit(SETUP, steps=5, test_every=2, test_batches=1, metrics=tmp_path / name)
        assert [row.step for row in fitted.rows] == [2, 4, 5]
        text = (tmp_path / name).read_text()
        found = list(csv.DictReader(text.splitlines())) if name == "m.csv" else list(map(json.loads, text.splitlines()))
        assert [{key: float(value) for key, value in row.items()} for row in found] == [
            row._asdict() for row in fitted.rows
        ]


def test_setup_refuses():
    with pytest.raises(ValueError, match="`horizon` must be at least 2"):
        replace(SETUP, horizon=1)
    with pytest.raises(ValueError, match="`batch` must be a whole number"):
        replace(SETUP, batch=0)
    with pytest.raises(ValueError, match="`learning_rate` must be a positive finite number; got -1"):
        gr.train.Optimiser(learning_rate=-1.0)
    with pytest.raises(ValueError, match="`clip` must be a positive finite number; got nan"):
        gr.train.Optimiser(clip=math.nan)


def test_equal_setups_are_one():
    """Options in any order, and optimisers of equal values, are the same program to the compiler."""
    a = gr.train.Setup(gr.tasks.adding, gr.lstm, 5, cell_options={"chrono": 5, "forget_bias": 1.0})
    b = gr.train.Setup(gr.tasks.adding, gr.lstm, 5, cell_options={"forget_bias": 1.0, "chrono": 5})
    assert jax.tree.structure(a) == jax.tree.structure(b)
    assert hash(jax.tree.structure(a)) == hash(jax.tree.structure(b))
