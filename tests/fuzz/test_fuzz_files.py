"""Damaged models, settings, series and texts.

Of the kinds of faults that were found from outside, these would have shown: series that are read as other numbers;
descriptions that are believed or end in a traceback; errors of other libraries beside the sentence; memory that grows
with what a file says of itself; pipes that are waited for, devices and holes that are read without end.
"""

import json
import os
import shutil

import jax
import numpy as np
import pytest
from fuzz_settings import bounded, limited, memory, refusal
from hypothesis import strategies as st

import gatedrnn as gr
from gatedrnn.cli._settings import Settings
from gatedrnn.models import Model, load, save
from gatedrnn.tasks import series, text

JUNK = [b"", b"\0" * 64, b"[" * 100_000, b"NaN", b'{"a": 1, "a": 2}', b"1e999", b"\xff\xfe", b"9" * 5_000, b"null"]
MOST = 2**24  # bytes, beyond some times a file's own


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder with one file of each kind, and how each is read."""
    folder = tmp_path_factory.mktemp("good")
    model = Model(gr.gru, 3, 2, 3, 2)
    save(folder, model, model.init(jax.random.key(0)), {"task": "none"})
    Settings(task="adding").save(folder)
    rows = np.arange(12.0).reshape(6, 2)
    np.save(folder / "a.npy", rows)
    np.savez(folder / "a.npz", x=rows)
    np.savetxt(folder / "a.csv.gz", rows, delimiter=",")
    (folder / "a.csv").write_text("day,x\n" + "\n".join(f"{i},{i * 1.5}" for i in range(9)))
    (folder / "a.txt").write_text("a text, ünïcode too\n" * 5)
    of_model = lambda folder: load(folder / "model.safetensors")
    of_series = lambda name: lambda folder: series.read_series(folder / name)
    return folder, {
        "model.json": of_model,
        "model.safetensors": of_model,
        "run.json": Settings.load,
        "a.txt": lambda folder: text.read_text(folder / "a.txt"),
        **{name: of_series(name) for name in ("a.npy", "a.npz", "a.csv", "a.csv.gz")},
    }


def mutated(draw, data):
    """Bytes that are no longer what they were."""
    kind = draw(st.sampled_from(["flip", "cut", "append", "junk", "noise", "number"]))
    if kind == "junk":
        return draw(st.sampled_from(JUNK))
    if kind == "noise":
        return draw(st.binary(max_size=200))
    place = draw(st.integers(0, len(data) - 1))
    if kind == "cut":
        return data[:place]
    if kind == "append":
        return data + draw(st.binary(min_size=1, max_size=20))
    if kind == "number":
        return data.replace(b"2", draw(st.sampled_from([b"-2", b"1e999", b"NaN", b"9" * 400, b"2.5", b'"2"', b"null"])))
    return data[:place] + bytes([data[place] ^ 1 << draw(st.integers(0, 7))]) + data[place + 1 :]


@bounded(250)
def test_damaged_files(good, tmp_path_factory, tree, data):
    """A value, or one sentence, and little memory; and the folder stays as it was."""
    folder, readers = good
    name = data.draw(st.sampled_from(sorted(readers)))
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("damaged") / "copy")
    content = (folder / data.draw(st.sampled_from([name] * 9 + sorted(readers)))).read_bytes()
    (copy / name).write_bytes(mutated(data.draw, content))
    before = tree(copy)
    try:
        with memory(64 * (copy / name).stat().st_size + MOST):
            readers[name](copy)
    except ValueError as error:
        refusal(error)
    assert tree(copy) == before


@bounded(40)
def test_what_is_no_file(good, tmp_path_factory, data):
    """A pipe, a device, a folder or nothing, and one of 3 GB of holes: refused, at once and in little memory."""
    folder, readers = good
    name = data.draw(st.sampled_from(sorted(readers)))
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("damaged") / "copy")
    (copy / name).unlink()
    kind = data.draw(st.sampled_from(["pipe", "device", "folder", "nothing", "holes"]))
    if kind == "pipe":
        os.mkfifo(copy / name)
    elif kind == "device":
        (copy / name).symlink_to("/dev/zero")
    elif kind == "folder":
        (copy / name).mkdir()
    elif kind == "holes":
        with (copy / name).open("wb") as file:
            file.truncate(3 * 2**30)
    with limited(), memory(MOST), pytest.raises(ValueError, match="^`") as caught:
        readers[name](copy)
    refusal(caught.value)


def test_the_files_are_sound(good):
    """What is damaged above is read as it is."""
    folder, readers = good
    for read in readers.values():
        read(folder)
    assert json.loads((folder / "run.json").read_text())["task"] == "adding"
