"""Short trainings by the command, with any options, in a folder where others' files lie.

Of the kinds of faults that were found from outside, these would have shown: files that were not asked for and are
replaced or removed; options that are ignored, or mean what another one means; seeds that are not those that were asked
for; files that only their owner can read.
"""

import contextlib
import io
import itertools
import os
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from fuzz_settings import bounded
from hypothesis import strategies as st

import gatedrnn as gr
from gatedrnn.cli import app, train
from gatedrnn.cli._prepare import prepare
from gatedrnn.tasks import text

SIZES = {"cell": "rnn", "horizon": 4, "hidden": 2, "batch": 2, "steps": 2, "test-every": 1, "test-batches": 1}
TINY = [part for name, value in SIZES.items() for part in (f"--{name}", str(value))]
FILES = [
    "data.csv",
    "linked.csv",
    "notes.csv",
    "new.jsonl",
    "done/metrics.csv",
    "done/m.csv",
    "data.txt",
    "mine/run.json",
]
OPTIONS = {
    "metrics": FILES,
    "out": ["new", "done", "mine", ".", "data.csv", "mine/new"],
    "save-every": ["0", "1e9", "0.001", "-1", "nan", "1e400"],
    "rate": ["0.01", "1e38", "1e-3"],
    "target": ["1e9", "0", "-1e400"],
    "seed": ["0", "7", str(2**31)],
}
OWN = re.compile(r"(run|result|model)\.json|model\.safetensors|metrics\.csv|checkpoints(/.*)?")


def command(line):
    """Status, what it printed and what it said."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        app([*line])
    out.flush()
    return end.value.code, out.buffer.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run, in a folder of its own."""
    folder = tmp_path_factory.mktemp("made")
    assert command(["train", "adding", *TINY, "--out", str(folder / "done")])[0] == 0
    return folder


@pytest.fixture
def there(made, tmp_path_factory, monkeypatch):
    """() -> a new folder with that run, a series by two names, and files of others; the current one from then on."""

    def make():
        folder = tmp_path_factory.mktemp("there")
        monkeypatch.chdir(folder)
        for path in sorted(made.rglob("*")):
            copy = folder / path.relative_to(made)
            copy.mkdir() if path.is_dir() else copy.write_bytes(path.read_bytes())
        Path("data.csv").write_text("x\n" + "".join(f"{i * i % 7}\n" for i in range(80)))
        Path("linked.csv").symlink_to("data.csv")
        Path("notes.csv").write_text("mine")
        Path("mine/checkpoints/99999").mkdir(parents=True)
        for name in ("run.json", "metrics.csv", "model.json", "checkpoints/99999/data", "checkpoints/.unfinished"):
            Path("mine", name).write_text("mine")
        return folder

    return make


def replaceable(name, place, line):
    """Whether a command may change a file that was there before it: its run's own, or, if forced, what it writes."""
    forced, resumed = "--force" in line, "--resume" in line
    within = os.path.relpath(name, place)
    if not (forced or resumed) or os.path.realpath(name) == os.path.realpath("data.csv"):
        return False
    rows = line[line.index("--metrics") + 1] if "--metrics" in line else None
    return ("99999" not in name and bool(OWN.fullmatch(within))) or (forced and name == rows)


@pytest.mark.slow
@bounded(60)
def test_nothing_of_others_is_lost(there, tree, data):
    """A run is made, or refused in one sentence; either way what it does not own stays as it was."""
    draw = data.draw
    folder, beginning = there(), draw(st.sampled_from(["train adding", "train series --series data.csv", "train"]))
    names = draw(st.lists(st.sampled_from(sorted(OPTIONS)), max_size=3, unique=True))
    line = beginning.split() + [part for name in names for part in (f"--{name}", draw(st.sampled_from(OPTIONS[name])))]
    if beginning == "train":
        line += ["--resume", draw(st.sampled_from(["done", "mine"])), "--steps", draw(st.sampled_from(["1", "2", "3"]))]
    else:
        line += TINY
    line += ["--force"] * draw(st.booleans())
    before = tree(folder)
    status, _, err = command(line)
    after = tree(folder)
    options = dict(itertools.pairwise(line))
    place = options.get("--resume", options.get("--out", "training"))
    lost = [name for name, content in before.items() if after.get(name, "gone") != content]
    if status == 0:
        assert [name for name in lost if not replaceable(name, place, line)] == [], line
        mode = os.stat("mine/run.json").st_mode
        assert {path.stat().st_mode for path in Path(place).glob("model*")} == {mode}, line
    else:
        last = err.splitlines()[-1]
        assert status == 2 and re.fullmatch(r"gatedrnn: [^\n]+", last) and "Traceback" not in err, (line, err)
        assert lost == [] or ("stay finite" in last and "--force" in line), line
        assert "stay finite" in last or after == before, line


VALUES = {
    "cell": ["rnn", "gru"],
    "init": ["default", "chrono"],
    "rule": ["adam", "sgd", "rmsprop"],
    "rate": ["0.01", "0.02", "1e-3", "1e-37", "1e-400"],
    "clip": ["1", "0", "0.5", "1e-37", "1e-46", "1e-400"],
    "method": ["auto", "segmented", "checkpointed", "autodiff"],
    "window": ["1", "3", "4"],
    "hidden": ["2", "3"],
    "batch": ["2", "4"],
    "horizon": ["4", "8"],
}


@bounded(60)
def test_every_option_tells(monkeypatch, tmp_path, data):
    """Two lines that differ in one option are two trainings, or one of them is refused."""
    monkeypatch.chdir(tmp_path)
    found = []
    monkeypatch.setattr(train, "_run", lambda settings, *_: found.append(prepare(settings).setup.describe()))
    draw = data.draw
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3, unique=True))
    rest = [part for name in names[1:] for part in (f"--{name}", draw(st.sampled_from(VALUES[name])))]
    values = draw(st.lists(st.sampled_from(VALUES[names[0]]), min_size=2, max_size=2, unique=True))
    lines = [["train", "adding", "--cell", "lstm", *rest, f"--{names[0]}", value] for value in values]
    ends = [command(line) for line in lines]
    assert all(status == 0 or (status == 2 and re.fullmatch(r"gatedrnn: [^\n]+\n", err)) for status, _, err in ends)
    assert len(found) < 2 or found[0] != found[1], lines


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    """A model of text with weights at random."""
    folder = tmp_path_factory.mktemp("writer")
    model = gr.models.Model(gr.rnn, text.SYMBOLS, 2, text.SYMBOLS, 2)
    gr.models.save(folder, model, model.init(jax.random.key(0)), {"task": "text"})
    return folder


@bounded(30)
def test_texts(writer, data):
    """Each seed its own text, of the length that was asked for, after the prompt; or one sentence."""
    draw = data.draw
    seed = draw(st.sampled_from(["1", "2", str(2**31), str(2**32 - 1), str(2**32), str(2**64), "-1", "1.5"]))
    heat = draw(st.sampled_from(["1", "0.5", "1e-300", "1e300", "1e39", "3e38", "nan"]))
    prompt = draw(st.sampled_from(["ab", "ü", "\udc80a", "\udcffb"]))
    line = ["generate", str(writer), "--length", "24", "--prompt", prompt, "--temperature", heat, "--seed"]
    status, out, err = command([*line, seed])
    if status:
        assert (status, out) == (2, b"") and re.fullmatch(r"gatedrnn: [^\n]+\n", err), err
        assert re.search("`(seed|temperature|prompt)`|--seed", err), err
        return
    begun = prompt.encode()
    assert out.startswith(begun) and len(out) == len(begun) + 25 and err == ""
    other = command([*line, "0"])[1]
    assert out != other or np.float32(heat) < 1e-3, line
