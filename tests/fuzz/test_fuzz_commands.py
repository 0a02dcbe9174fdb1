"""Random command lines with something in them that must be refused.

Of the kinds of faults that were found from outside, these would have shown: options that are ignored or mean another
thing; numbers beyond what is held; names that are no file's; files that were not asked for and are changed; tracebacks
beside the sentence; refusals that leave something behind.
"""

import contextlib
import io
import os
import re

import pytest
from fuzz_settings import bounded
from hypothesis import strategies as st

from gatedrnn.cli import app

HOSTILE = ["", " ", "-1", "nan", "1e400", "1e-400", "2.5", "9" * 400, "0x3", "ten", "\0", "a\nb", "\ud800", "x" * 5_000]
HOSTILE += [
    "/",
    "nowhere/file",
    "data.csv",
    "folder.csv",
    "--help",
    "-",
    ":",
    "data.csv:nothing",
    "²",
    "os:path",
    "a,b",
]
NUMBERS = ["horizon", "hidden", "batch", "steps", "seeds", "seed", "rate", "clip", "target", "test-every", "window"]
TRAINED = [*NUMBERS, "cell", "init", "rule", "method", "devices", "text", "series", "delimiter", "decimal", "header"]
TRAINED += ["embedding", "attractors", "differ"]
OPTIONS = {
    "train adding": [*TRAINED, "test-batches", "metrics", "save-every", "resume"],
    "train series": TRAINED,
    "train text": TRAINED,
    "race adding": [*TRAINED, "cells"],
    "compare": ["cells", "horizon", "hidden", "batch", "text", "series", "seeds"],
    "generate nowhere": ["prompt", "length", "temperature", "seed", "cell"],
    "inspect nowhere": ["horizon", "batch", "shown", "back", "at", "predict", "text", "series", "seed", "cell"],
    "nothing": ["horizon"],
}


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A folder with a series, the current one from here on."""
    folder, before = tmp_path_factory.mktemp("here"), os.getcwd()
    os.chdir(folder)
    (folder / "data.csv").write_text("x\n1\n2\n")
    (folder / "folder.csv").mkdir()
    yield folder
    os.chdir(before)


@bounded(150)
def test_refusals(there, tree, data):
    """Status 2 and one sentence, or what was asked for in words; nothing is written."""
    command = data.draw(st.sampled_from(sorted(OPTIONS)))
    names = data.draw(st.lists(st.sampled_from(OPTIONS[command]), max_size=3))
    line = command.split() + [part for name in names for part in (f"--{name}", data.draw(st.sampled_from(HOSTILE)))]
    line += ["--batch", "0"] if command != "generate nowhere" else []  # in any case refused
    out, err, before = io.StringIO(), io.StringIO(), tree(there)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        app(line)
    assert end.value.code in (0, 2), line
    if end.value.code:
        assert re.fullmatch(r"gatedrnn: [^\n]+\n", err.getvalue()), (line, err.getvalue())
    assert tree(there) == before, line
