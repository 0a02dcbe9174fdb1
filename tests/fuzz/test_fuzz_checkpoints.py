"""Damaged runs, settings of JAX and files of others, met by a training that goes on.

Of the kinds of faults that were found from outside, these would have shown: checkpoints whose own description is
believed; sound ones that are called damaged; two runs in one folder; names that are no checkpoint's; a pipe that is
waited for, a device that is read without end; what other libraries print beside the sentence; files that are removed.
"""

import contextlib
import os
import re
import shutil

import jax
import pytest
from fuzz_settings import attempted, bounded, limited
from hypothesis import strategies as st

import gatedrnn as gr

SETUP = gr.train.Setup(gr.tasks.adding, gr.rnn, horizon=4, hidden_size=2, batch=2)
NUMBERS = [b"0", b"-1", b"1e-9", b"NaN", b'"2"', b"null", b"1e999", b"9" * 400, b"[]"]
SETTINGS = {"jax_enable_x64": True, "jax_default_prng_impl": "rbg", "jax_default_matmul_precision": "highest"}
NAMES = st.text("0129²٣.~-x", min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))


def fit(folder, steps, **more):
    return gr.train.fit(SETUP, steps=steps, test_every=2, test_batches=1, save_every=0.0, folder=folder, **more)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A run of 4 updates in a folder, and what it is after 6."""
    folder, longer = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("longer")
    fit(folder, 4)
    return folder, fit(longer, 6)


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def flipped(draw, run):
    """One bit of one file."""
    path = draw(st.sampled_from(files_of(run / "checkpoints")))
    content = bytearray(path.read_bytes())
    content[draw(st.integers(0, len(content) - 1))] ^= 1 << draw(st.integers(0, 7))
    path.write_bytes(content)


def cut(draw, run):
    """One file, or no file any more."""
    path = draw(st.sampled_from(files_of(run / "checkpoints")))
    path.write_bytes(path.read_bytes()[: draw(st.integers(0, path.stat().st_size - 1))])
    if draw(st.booleans()):
        path.unlink()


def renumbered(draw, run):
    """One number in one file that says what the others are."""
    texts = [(path, path.read_bytes()) for path in files_of(run / "checkpoints")]
    path, content = draw(st.sampled_from([(path, text) for path, text in texts if text.lstrip()[:1] in (b"{", b"[")]))
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?(e-?\d+)?", content))
    if numbers:
        place = draw(st.sampled_from(numbers))
        path.write_bytes(content[: place.start()] + draw(st.sampled_from(NUMBERS)) + content[place.end() :])


def endless(draw, run):
    """What is no regular file, in the place of one."""
    path = draw(st.sampled_from(files_of(run)))
    path.unlink()
    if draw(st.booleans()):
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")


def foreign(draw, run):
    """Something of somebody else's, by any name."""
    place = draw(st.sampled_from([run, run / "checkpoints"])) / draw(NAMES)
    with contextlib.suppress(FileExistsError):
        place.mkdir()
        (place / "mine").write_text("mine")


def nothing(draw, run):
    """As it was."""


DAMAGES = [flipped, cut, renumbered, endless, foreign, nothing]


def others(run, tree):
    """What is not the run's: everything but its rows and its checkpoints."""
    own = re.compile(r"metrics\.csv|checkpoints/[0-6](/.*)?")
    return {name: content for name, content in tree(run).items() if not own.fullmatch(name)}


def same(got, want):
    """To the last bit."""
    plain = lambda state: state._replace(key=jax.random.key_data(state.key))
    bits = lambda state: [leaf.tobytes() for leaf in jax.tree.leaves(jax.device_get(plain(state)))]
    assert bits(got.state) == bits(want.state) and got.rows == want.rows


@bounded(60)
def test_a_run_goes_on_or_is_refused(good, tmp_path_factory, tree, capfd, data):
    """As if nothing had happened, or with one sentence; and nothing of anybody's is lost."""
    folder, longer = good
    run = shutil.copytree(folder, tmp_path_factory.mktemp("damaged") / "run")
    damage = data.draw(st.sampled_from(DAMAGES))
    damage(data.draw, run)
    regular = damage is not endless
    before, kept = (tree(run), others(run, tree)) if regular else ({}, {})
    capfd.readouterr()
    with limited():
        found, refused = attempted(lambda: fit(run, 6, resume=True))
    if refused is None:
        same(found, longer)
    else:
        assert damage not in (nothing, foreign), refused
        assert not regular or tree(run) == before
    assert not regular or kept.items() <= others(run, tree).items()
    assert capfd.readouterr() == ("", "")


@bounded(4)
def test_set_otherwise(good, tmp_path_factory, tree, data):
    """A setting is named, and nobody is told to remove what it would read."""
    run = shutil.copytree(good[0], tmp_path_factory.mktemp("set") / "run")
    before = tree(run)
    name, value = data.draw(st.sampled_from(sorted(SETTINGS.items())))
    was = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        found, refused = attempted(lambda: fit(run, 6, resume=True))
    finally:
        jax.config.update(name, was)
    if refused is None:
        same(found, good[1])
    else:
        assert name.upper() in refused and "remove" not in refused
        assert tree(run) == before


@bounded(4)
def test_one_at_a_time(good, tmp_path_factory, data):
    """Another run in the folder, begun at any moment of this one, is refused, and this one is what it is alone."""
    run = shutil.copytree(good[0], tmp_path_factory.mktemp("two") / "run")
    at, resume = data.draw(st.integers(5, 6)), data.draw(st.booleans())
    refused = []

    def meanwhile(progress):
        if progress.step == at:
            refused.append(attempted(lambda: fit(run, 8, resume=resume, force=not resume))[1])

    same(fit(run, 6, resume=True, on_progress=meanwhile), good[1])
    assert len(refused) == 1 and refused[0]
