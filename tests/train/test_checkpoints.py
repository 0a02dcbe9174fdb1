"""Checkpoints: written beside the training, damaged, or of another run; nothing good is ever lost."""

import json
import os
import shutil
import threading
from dataclasses import replace

import chex
import jax
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.train._about import ABOUT
from gatedrnn.train._checkpoints import STATE, Checkpoints


@pytest.fixture(scope="module")
def good(tmp_path_factory, fit):
    """A run of 8 updates with its checkpoints."""
    folder = tmp_path_factory.mktemp("run")
    fit(folder, 8)
    return folder


@pytest.fixture(scope="module")
def longer(tmp_path_factory, fit):
    """The state after 12 updates without a stop."""
    return fit(tmp_path_factory.mktemp("longer"), 12).state


@pytest.fixture
def run(good, tmp_path):
    """A copy of it."""
    shutil.copytree(good, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_all_of_the_state_is_restored(tmp_path, adding_setup, plain, dtype):
    """Into the likes of a state with other keys, weights and steps: the saved ones come back, and the rows."""
    adding_setup = replace(adding_setup, cell_options={"dtype": dtype})
    saved, _ = gr.train.step(adding_setup, gr.train.init(adding_setup, (3, 4)))
    rows = [gr.train.Row(1, seed, 0.1, float("nan"), 1 / 3) for seed in (3, 4)]
    first = Checkpoints(tmp_path, {}, None)
    first.save(1, saved, rows)
    first.close()
    like = gr.train.init(adding_setup, (5, 6))
    assert (jax.random.key_data(like.key) != jax.random.key_data(saved.key)).any()
    second = Checkpoints(tmp_path, {}, None)
    found, rows_found, _ = second.restore(like)
    second.close()
    chex.assert_trees_all_equal(plain(found), plain(saved))
    np.testing.assert_array_equal(rows_found, rows)


def test_written_beside_the_training(tmp_path, monkeypatch, adding_setup, checkpoints, plain):
    """`save` is back before the checkpoint is there; the state may be used up at once, and what it was is kept."""
    go_on, rename = threading.Event(), os.rename
    late = []

    def slow(source, target, **options):
        if os.path.basename(target) == "1":  # gives the checkpoint its name, when all of it is written
            late.append(not go_on.wait(timeout=30))
        return rename(source, target, **options)

    monkeypatch.setattr(os, "rename", slow)
    writer = Checkpoints(tmp_path / "checkpoints", {}, None)
    writer.prepare()
    state, _ = gr.train.step(adding_setup, gr.train.init(adding_setup))
    want = jax.tree.map(np.array, plain(state))
    writer.save(1, state, [])
    state, _ = gr.train.step(adding_setup, state)  # in the same buffers
    assert checkpoints(tmp_path) == [] and int(state.step[0]) == 2
    go_on.set()
    writer.close()
    assert (checkpoints(tmp_path), late) == ([1], [False])
    found = Checkpoints(tmp_path / "checkpoints", {}, None).restore(state).state
    chex.assert_trees_all_equal(plain(found), want)


def damage(path):
    """Flips the bits of one byte."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("how", "name"),
    [(how, STATE) for how in ("flipped", "cut", "emptied", "gone")]
    + [(how, ABOUT) for how in ("cut", "emptied", "gone")],
)
def test_damaged(run, longer, how, name, fit, checkpoints, plain):
    """A damaged checkpoint is named, and stays; without it the run goes on from the one before."""
    last = run / "checkpoints" / "8"
    if how == "flipped":
        damage(last / name)
    elif how == "gone":
        (last / name).unlink()
    else:
        data = (last / name).read_bytes()
        (last / name).write_bytes(data[: len(data) // 2] if how == "cut" else b"")
    with pytest.raises(
        ValueError, match="`folder` must be one whose checkpoints can be read; got '.*; remove it to go"
    ):
        fit(run, 12, resume=True)
    assert last.exists() and len(checkpoints(run)) == 2
    shutil.rmtree(last)
    chex.assert_trees_all_equal(plain(fit(run, 12, resume=True).state), plain(longer))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 9}, "a run with horizon 9; got one with 8"),
        ({"cell": gr.gru}, "a run with cell 'gru'; got one with 'lstm'"),
        ({"hidden_size": 5}, "a run with hidden_size 5; got one with 4"),
        ({"optimiser": gr.train.Optimiser(learning_rate=0.5)}, "a run with optimiser"),
        ({"task": gr.tasks.adding_1997}, "a run with task 'adding-1997'; got one with 'adding'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_of_another_run(run, change, message, adding_setup, checkpoints):
    """What the numbers depend on must be what it was."""
    with pytest.raises(ValueError, match=message):
        gr.train.fit(replace(adding_setup, **change), steps=12, folder=run, resume=True)
    with pytest.raises(ValueError, match=r"a run with seeds \[1\]; got one with \[0\]"):
        gr.train.fit(adding_setup, steps=12, folder=run, seeds=(1,), resume=True)
    assert checkpoints(run)[-1] == 8


def test_of_another_program(run, fit):
    """JSON, but not of this library."""
    about = run / "checkpoints" / "8" / ABOUT
    about.write_text(json.dumps([1, 2, 3]))
    with pytest.raises(ValueError, match="`folder` must be one with checkpoints of this library"):
        fit(run, 12, resume=True)


def test_folders(run, tmp_path, fit):
    """A new run does not overwrite an old one; a resumption needs one."""
    with pytest.raises(ValueError, match="`folder` must be empty, or resumed; got .*, which holds a run at step 8"):
        fit(run, 12)
    with pytest.raises(ValueError, match="`folder` must be one that holds a checkpoint; got none"):
        fit(tmp_path / "none", 12, resume=True)
    with pytest.raises(ValueError, match="`folder` must be a folder that can be written to"):
        fit("/proc/none", 12)


def test_finished_run_is_left_alone(run, fit, checkpoints):
    """Resumed with nothing to do: the same state, the same rows, no new checkpoint."""
    before = checkpoints(run)
    got = fit(run, 8, resume=True)
    assert int(got.state.step[0]) == 8 and [row.step for row in got.rows] == [4, 8]
    assert checkpoints(run) == before
    np.testing.assert_array_equal(got.state.loss, 0)
