"""Runs of `gatedrnn train` in a folder with data, as fixtures."""

import os
from pathlib import Path

import pytest
from commands import TINY, WORDS, succeeds

RNN = ("--cell", "rnn")


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A folder with a text and a series, the current one from here on."""
    folder, before = tmp_path_factory.mktemp("here"), os.getcwd()
    os.chdir(folder)
    Path("cats.txt").write_text(WORDS)
    Path("data.csv").write_text("day,temp\n" + "\n".join(f"{i},{i * i % 7}" for i in range(80)))
    Path("file").write_text("a file")
    Path("folder.csv").mkdir()
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def adding(there):
    """Two seeds on a generated task: (what was printed, the folder)."""
    return succeeds("train", "adding", *TINY, *RNN, "--seeds", 2, "--seed", 5, "--out", "adding"), there / "adding"
