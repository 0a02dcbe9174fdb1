"""Files that are no sound model are refused in one sentence each; nothing in them is run."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import gatedrnn as gr
from gatedrnn.models import Model, load, save


@pytest.fixture(scope="module")
def good(tmp_path_factory, drawn):
    """A folder with a saved model."""
    model = Model(gr.gru, 5, 3, 5, 4)
    return save(tmp_path_factory.mktemp("good"), model, drawn(model), {"task": "none"}).parent


def says(**changes):
    """The JSON with other values."""

    def change(folder):
        file = folder / "model.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def holds(name, data):
    """Other bytes in a file."""
    return lambda folder: (folder / name).write_bytes(data)


def cut(size):
    """The weights end early."""
    return lambda folder: holds(W, (folder / W).read_bytes()[:size])(folder)


def weights(alter):
    """Other arrays in a sound file."""
    return lambda folder: save_file(alter(load_file(folder / W)), folder / W)


def swapped(folder):
    (folder / W).rename(folder / "other")
    (folder / J).rename(folder / W)
    (folder / "other").rename(folder / J)


def folder_for(name):
    """A folder in place of a file."""

    def change(folder):
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


W, J = "model.safetensors", "model.json"
BOMB = b"\x80\x02cbuiltins\nexec\n(Vraise SystemExit('unpickled')\ntR."  # a pickle that raises, loudly
NOISE = np.random.default_rng(0).bytes(700)
MISFIT = "weights of the sizes that its JSON says"
HOSTILE = {
    "no JSON": (lambda folder: (folder / J).unlink(), J, "No such file or directory"),
    "no weights": (lambda folder: (folder / W).unlink(), W, "No such file or directory"),
    "a folder for JSON": (folder_for(J), J, "Is a directory"),
    "a folder for weights": (folder_for(W), W, "Is a directory"),
    "swapped": (swapped, J, "can't decode"),
    "JSON is noise": (holds(J, NOISE), J, "can't decode"),
    "JSON is empty": (holds(J, b""), J, "Expecting value"),
    "JSON is cut": (holds(J, b'{"format": "gated'), J, "Unterminated string"),
    "JSON is a list": (holds(J, b"[]"), J, "not of the format"),
    "JSON of another format": (holds(J, b'{"format": "other", "cell": "gru"}'), J, "not of the format"),
    "JSON of a later format": (says(format="gatedrnn model 2"), J, "not of the format"),
    "JSON without the rest": (holds(J, b'{"format": "gatedrnn model 1", "cell": "gru"}'), J, "without about, embedd"),
    "JSON without end": (holds(J, b"[" * 100_000), J, "recursion"),
    "unknown cell": (says(cell="elman"), J, "the unknown cell 'elman'"),
    "a list of cells": (says(cell=["gru"]), J, "the unknown cell ['gru']"),
    "another cell": (says(cell="lstm"), W, MISFIT),
    "wrong size": (says(input_size=6), W, MISFIT),
    "no embedding": (says(embedding_size=None), W, MISFIT),
    "huge size": (says(hidden_size=10**9), W, MISFIT),
    "size beyond any array": (says(hidden_size=10**30), J, "from 1 to 2,147,483,647"),
    "negative size": (says(hidden_size=-3), J, "`hidden_size` must be a whole number of at least 1; got -3"),
    "size zero": (says(output_size=0), J, "`output_size` must be a whole number of at least 1; got 0"),
    "size in words": (says(embedding_size="4"), J, "`embedding_size` must be a whole number of at least 1; got '4'"),
    "fraction": (says(hidden_size=2.5), J, "`hidden_size` must be a whole number of at least 1; got 2.5"),
    "about is a word": (says(about="ab"), J, "`about` is no object"),
    "weights are empty": (cut(0), W, "header too small"),
    "weights are cut in the header": (cut(100), W, "header"),
    "weights are cut by a byte": (cut(-1), W, "not fully covered"),
    "weights are noise": (holds(W, NOISE), W, "header"),
    "weights are a pickle": (holds(W, BOMB), W, "header"),
    "JSON is a pickle": (holds(J, BOMB), J, "can't decode"),
    "an array too many": (weights(lambda a: a | {"more": np.zeros(2, np.float32)}), W, MISFIT),
    "an array too few": (weights(lambda a: {name: a[name] for name in a if name != "embedding"}), W, MISFIT),
    "whole numbers": (weights(lambda a: {n: v.astype(np.int32) for n, v in a.items()}), W, "weights of the type I32"),
    "float64": (weights(lambda a: {n: v.astype(np.float64) for n, v in a.items()}), W, "jax_enable_x64"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "name", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files(good, tmp_path, change, name, message, tree):
    """One sentence that names the file at fault; nothing in it is run, nothing on the disk is changed."""
    folder = tmp_path / "model"
    shutil.copytree(good, folder)
    change(folder)
    before = tree(tmp_path)
    with pytest.raises(ValueError, match="^`path` must be ") as caught:
        load(folder)
    said = str(caught.value)
    assert message in said
    assert repr(str(folder / name)) in said
    assert said.endswith(".") and not said.endswith("..") and "\n" not in said
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["absent", "absent.safetensors", "empty", "n" * 300, "a\0b", "model.json/below"])
def test_where_no_model_is(good, name):
    """A path to nothing, a folder without a model, a path that no system knows."""
    (good / "empty").mkdir(exist_ok=True)
    with pytest.raises(ValueError, match="^`path` must be a saved model, its JSON beside it; got '") as caught:
        load(good / name)
    assert repr(str(good / name).split("\0")[0])[1:-1] in str(caught.value).replace("\\x00", "\0")
