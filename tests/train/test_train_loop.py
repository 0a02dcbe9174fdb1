"""The loop: what is compiled, how much one device call does, when it ends, where it goes on, and every refusal."""

import pickle
import re
from collections import Counter
from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.train import _loop, _state

SETUP = gr.train.Setup(gr.tasks.adding, gr.lstm, horizon=12, hidden_size=6, batch=4, cell_options={"chrono": 12})
MESH = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("devices",))
EXPLICIT = jax.make_mesh((2,), ("devices",), axis_types=(jax.sharding.AxisType.Explicit,), devices=jax.devices()[:2])
PLACES = {
    "one device": {},
    "seeds on two devices": {"mesh": MESH},
    "seeds on two devices, axes explicit": {"mesh": EXPLICIT},
    "a batch on two devices": {"method": gr.Sharded(MESH)},
    "a batch on the devices there are": {"method": gr.Sharded()},
    "a batch on two devices, axes explicit": {"method": gr.Sharded(EXPLICIT)},
}


@pytest.mark.thinned(7)
@pytest.mark.parametrize("place", PLACES)
def test_one_compilation_per_run(place, monkeypatch, caplog, tmp_path, plain):
    """XLA compiles the updates once and the test once: for any number of updates, tests and calls, and resumed, too."""
    options = dict(PLACES[place])
    setup = replace(SETUP, horizon=13, method=options.pop("method", SETUP.method))
    traced, update = [], _state.updated
    monkeypatch.setattr(_state, "updated", lambda *given: traced.append(1) or update(*given))
    monkeypatch.setattr(_loop, "CALL_SECONDS", 0.0)  # a call for every update
    _loop._programs.cache_clear()
    options |= {"seeds": (0, 1), "test_batches": 1}
    with jax.log_compiles():
        whole = gr.train.fit(setup, steps=10, test_every=4, folder=tmp_path / "whole", **options)
        gr.train.fit(setup, steps=5, test_every=4, folder=tmp_path / "parts", **options)
        got = gr.train.fit(setup, steps=10, test_every=4, folder=tmp_path / "parts", resume=True, **options)
    found = Counter(re.findall(r"Finished XLA compilation of jit\((advance|measure)\)", caplog.text))
    assert (sorted(found.values()), len(traced)) == ([1, 1], 1)
    chex.assert_trees_all_equal(plain(got.state), plain(whole.state))


def test_many_updates_in_one_call(monkeypatch):
    """Twice as many as in the last call while they take less than the time of one: 64 in seven."""
    monkeypatch.setattr(_loop, "CALL_SECONDS", 1e9)
    steps = []
    gr.train.fit(SETUP, steps=64, test_every=64, test_batches=1, on_progress=lambda at: steps.append(at.step))
    assert steps == [1, 3, 7, 15, 31, 63, 64]


def test_the_old_state_is_used_up_by_the_loop_alone():
    """Its buffers are those of the new one in the calls of `fit`, which made it; the caller's stay."""
    state = gr.train.init(SETUP)
    new, _ = gr.train.step(SETUP, state)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    loop = _loop.Loop(SETUP, new, [], None, 1)
    old = loop.state
    loop.run(until=2)
    for used in (new, old):
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(used))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(loop.state)) and loop.step == 2


def test_numbers_do_not_depend_on_calls(monkeypatch, plain):
    """How many updates one device call makes follows the clock; what they compute does not."""
    want = gr.train.fit(SETUP, steps=20, test_every=10)
    monkeypatch.setattr(_loop, "CALL_SECONDS", 0.0)
    got = gr.train.fit(SETUP, steps=20, test_every=10)
    chex.assert_trees_all_equal(plain(got.state), plain(want.state))
    assert got.rows == want.rows


def test_time_that_is_up_ends_at_a_test_and_can_be_resumed(tmp_path):
    """At the first test where there is none left; a resumed run has all of it again; plenty of it changes nothing."""
    whole = gr.train.fit(SETUP, steps=15, test_every=5)
    assert gr.train.fit(SETUP, steps=15, test_every=5, seconds=1e9).rows == whole.rows
    got = gr.train.fit(SETUP, steps=15, test_every=5, seconds=1e-9, folder=tmp_path)
    assert [row.step for row in got.rows] == [5]
    got = gr.train.fit(SETUP, steps=15, test_every=5, seconds=1e9, folder=tmp_path, resume=True)
    assert got.rows == whole.rows


def test_resumed_run_is_the_uninterrupted_one(tmp_path, plain):
    """Stopped twice and resumed in the same process, at steps that are no test's."""
    want = gr.train.fit(SETUP, steps=23, test_every=5, folder=tmp_path / "whole")
    for steps, resume in ((3, False), (11, True), (23, True)):
        got = gr.train.fit(SETUP, steps=steps, test_every=5, folder=tmp_path / "parts", resume=resume, save_every=0.0)
    chex.assert_trees_all_equal(plain(got.state), plain(want.state))
    kept = [row for row in got.rows if row.step % 5 == 0 or row.step == 23]
    assert [row.step for row in kept] == [row.step for row in want.rows]
    assert [row.test_loss for row in kept] == [row.test_loss for row in want.rows]


REFUSED = [
    ({"steps": 0}, "`steps` must be a whole number of at least 1"),
    ({"seeds": ()}, "`seeds` must be different whole numbers"),
    ({"seeds": (1, 1)}, "`seeds` must be different whole numbers"),
    ({"seeds": (-1,)}, "`seeds` must be a whole number of at least 0"),
    ({"resume": True}, "`folder` must be one to resume from"),
    ({"seconds": 0}, "`seconds` must be a positive finite number; got 0"),
    ({"seconds": float("nan")}, "`seconds` must be a positive finite number; got nan"),
    ({"metrics": "metrics.txt"}, "`metrics` must be a file whose name ends in .csv or .jsonl"),
    ({"metrics": "/proc/none/metrics.csv"}, "`metrics` must be a folder that can be written to"),
    ({"mesh": MESH}, "`seeds` must be a number that 2 devices divide evenly"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=lambda value: str(value)[:30])
def test_fit_refuses(options, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        gr.train.fit(SETUP, **{"steps": 3, **options})


def test_a_loss_that_is_no_number_ends_the_run():
    broken = replace(gr.tasks.adding, sample=lambda *given: _with_nan(gr.tasks.adding.sample(*given)))
    with pytest.raises(gr.train.Diverged, match="`setup` must be one that stays finite; got a loss of nan") as caught:
        gr.train.fit(replace(SETUP, task=broken), steps=50, test_every=5, test_batches=1)
    assert np.isnan(caught.value.loss) and caught.value.step == 5
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def _with_nan(batch):
    return batch._replace(xs=batch.xs * jnp.nan)
