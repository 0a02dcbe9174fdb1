"""`gatedrnn train` from end to end: files, resumption, bad input, interruption, and what a run shows."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from commands import DEFAULTS, TINY, WORDS, check_refused, invoke, names, read_json, succeeds
from rich.console import Console

import gatedrnn as gr
from gatedrnn.cli import _progress
from gatedrnn.train import Progress

RNN = ("--cell", "rnn")
WEIGHTS = 3 * (2 + 3) + 3 + 3 + 1


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


def test_a_generated_task(adding):
    """One row per seed; the options as they were given; models that load and are as good as is said."""
    result, folder = adding
    models = [f"model-{seed}.{kind}" for seed in (5, 6) for kind in ("json", "safetensors")]
    assert names(folder) == ["checkpoints", "metrics.csv", *models, "result.json", "run.json"]
    given = DEFAULTS | {"task": "adding", "cell": "rnn", "seeds": 2, "first_seed": 5}
    assert read_json(folder / "run.json") == given
    found = read_json(folder / "result.json")
    assert {name: found[name] for name in given} == given
    assert (found["weights"], found["reached"]) == (WEIGHTS, {"5": None, "6": None})
    assert found["chance"] == pytest.approx(1 / 6)
    assert found["seconds"] > 0 and found["compile_seconds"] > 0
    rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    assert rows[0] == ["step", "seed", "train_loss", "test_loss", "test_accuracy"]
    assert [row[:2] for row in rows[1:]] == [["2", "5"], ["2", "6"], ["4", "5"], ["4", "6"]]
    last = [{name: float(value) for name, value in zip(rows[0], row, strict=True)} for row in rows[3:]]
    assert found["last"] == last
    for row in last:
        loaded = gr.load(folder / f"model-{row['seed']:.0f}.safetensors")
        assert (loaded.about["test_loss"], loaded.about["step"]) == (row["test_loss"], 4)
        assert gr.models.count(loaded.params) == WEIGHTS
        assert re.search(rf"^ +{row['seed']:.0f} +4 +{row['test_loss']:.5g} +0.00% +- *$", result.stdout, re.MULTILINE)
    assert f"{WEIGHTS} weights; chance loss 0.16667;" in result.stdout
    assert result.stdout.endswith("wrote models, metrics and result.json to adding/\n")
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("task", "options", "inputs", "outputs", "chance"),
    [
        ("series", ("--series", "data.csv:temp"), 1, 1, 1.0),
        ("digits", ("--horizon", "64", "--steps", "2"), 1, 10, 2.3010),
    ],
)
def test_other_tasks(there, task, options, inputs, outputs, chance):
    """Each end to end, and told beside its own chance."""
    succeeds("train", task, *TINY, *RNN, *options, "--out", task)
    found, model = read_json(there / task / "result.json"), gr.load(there / task).model
    assert (found["task"], found["last"][-1]["step"]) == (task, found["steps"])
    assert found["chance"] == pytest.approx(chance, rel=1e-3)
    assert np.isfinite(found["last"][-1]["test_loss"])
    assert (model.embedding_size or model.input_size, model.output_size) == (inputs, outputs)
    if task == "series":
        assert found["series"] == f"{there / 'data.csv'}:temp"


def test_a_line_per_test_where_there_is_no_terminal(adding):
    """Which test of how many updates, the loss, chance and the speed; means over the seeds."""
    result, folder = adding
    pattern = r"^rnn adding ([24])/4: test loss ([\d.]+), chance 0.1667, \S+ steps/s$"
    found = re.findall(pattern, result.stderr, re.MULTILINE)
    assert len(result.stderr.splitlines()) == len(found) == 2
    rows = np.loadtxt(folder / "metrics.csv", delimiter=",", skiprows=1)
    assert [int(step) for step, _ in found] == [2, 4]
    np.testing.assert_allclose([float(loss) for _, loss in found], rows[:, 3].reshape(2, 2).mean(1), rtol=1e-3)


def plain(shown):
    """What a terminal shows, line by line, without its colours."""
    return [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)) if line.strip()]


def test_a_bar_on_a_terminal():
    """Updates, loss, chance, speed and the time that is left, in 80 columns; gone at the end."""
    shown = io.StringIO()
    with _progress._bar(Console(file=shown, force_terminal=True, width=80), "lstm adding-1997", 1 / 6) as tell:
        tell(Progress(100_000, 1_000_000, 250.0, 0.1234, ()))
    assert shown.getvalue().endswith("\x1b[2K")
    first, last = plain(shown.getvalue())
    assert first.endswith("compiling")
    assert re.match(r"lstm adding-1997 \S+ +100000/1000000 loss 0.123, chance 0.167 250/s 1:00:00", last)
    assert len(last) <= 80 and "…" not in last


def test_a_terminal_gets_the_bar_and_no_lines(adding, tmp_path):
    """The same command where standard error is one."""
    shutil.copytree(adding[1], tmp_path / "run")
    result = invoke("train", "--resume", tmp_path / "run", "--steps", 6, FORCE_COLOR="1")
    assert result.exit_code == 0
    assert plain(result.stderr)[-1].startswith("rnn adding ")
    assert "6/6 loss " in plain(result.stderr)[-1] and "chance 0.167" in plain(result.stderr)[-1]
    assert "test loss" not in result.stderr


def test_a_resumed_run_is_the_uninterrupted_one(adding, tmp_path):
    """With more updates: every byte of the models and metrics as in one long run; run.json knows the new number."""
    _, folder = adding
    shutil.copytree(folder, tmp_path / "part")
    succeeds("train", "adding", *TINY, *RNN, "--seeds", 2, "--seed", 5, "--steps", 10, "--out", tmp_path / "whole")
    for steps in (6, 10):
        result = succeeds("train", "--resume", tmp_path / "part", "--steps", steps)
        assert read_json(tmp_path / "part" / "run.json")["steps"] == steps
    assert "10 " in result.stdout
    for name in ("model-5.safetensors", "model-6.safetensors", "metrics.csv", "run.json"):
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_run_killed_before_its_first_checkpoint_begins_again(adding, tmp_path):
    """All that is left is run.json."""
    _, folder = adding
    (tmp_path / "run").mkdir()
    shutil.copy(folder / "run.json", tmp_path / "run")
    succeeds("train", "--resume", tmp_path / "run")
    assert names(tmp_path / "run") == names(folder)
    for name in ("model-6.safetensors", "metrics.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (folder / name).read_bytes()


def test_resumed_to_a_target_that_is_reached(adding, tmp_path):
    """Nothing is left to do, and the step is told at which it was reached."""
    _, folder = adding
    shutil.copytree(folder, tmp_path / "run")
    result = succeeds("train", "--resume", tmp_path / "run", "--steps", 100, "--target", 1e9)
    found = read_json(tmp_path / "run" / "result.json")
    assert (found["reached"], found["target"], found["last"][0]["step"]) == ({"5": 2, "6": 2}, 1e9, 4)
    assert re.search(r"^ +5 +4 .* 2 *$", result.stdout, re.MULTILINE)


OTHERS = {
    **{"cell": "gru", "init": "chrono", "horizon": "9", "hidden": "4", "batch": "4", "seeds": "1", "seed": "6"},
    **{"rule": "sgd", "rate": "0.1", "clip": "0", "test-every": "1", "test-batches": "2", "method": "autodiff"},
    **{"window": "4", "devices": "2", "text": "cats.txt", "series": "data.csv", "embedding": "4", "out": "other"},
    **{"attractors": "1", "differ": "0.1"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_resumed_with_another_option(adding, name):
    """The numbers of a run hang on it, so it stays what it was, even if it is given as it was."""
    check_refused(
        ("train", "--resume", "adding", f"--{name}", OTHERS[name]), f"`{name}` must be left out beside `resume`"
    )


BAD = {
    "train": "`task` must be one of adding, adding-1997, agreement, anbn, copy, ",
    "train sorting": "variable-copy; got 'sorting'.",
    "train adding sorting": "Got unexpected extra argument(s) (sorting)",
    "train adding --horizon 0": "`horizon` must be a whole number of at least 1; got 0.",
    "train adding --horizon 1": "`horizon` must be at least 2 for the task 'adding'; got 1.",
    "train digits --horizon 63": "`horizon` must be at least 64 for the task 'digits'; got 63.",
    "train text --text cats.txt --horizon 40": "`horizon` must be at most 39 for the data of the task 'text'; got 40.",
    "train series --series data.csv --horizon 16": "`horizon` must be at most 15 for the data of the task 'series'",
    "train adding --hidden 0": "`hidden` must be a whole number of at least 1; got 0.",
    "train adding --hidden -1": "`hidden` must be a whole number of at least 1; got -1.",
    "train adding --hidden ten": "'--hidden': must be a whole number; got 'ten'.",
    "train adding --hidden 1e3": "'--hidden': must be a whole number; got '1e3'.",
    "train adding --hidden 1000000000": "`hidden`, `horizon`, `batch` and `seeds` must fit in memory; got more than",
    f"train adding --hidden {'9' * 400}": "`hidden`, `horizon`, `batch` and `seeds` must fit in memory; got more than",
    "train text --text cats.txt --horizon 8 --embedding 1000000000000": "must fit in memory; got more than",
    "train adding --batch 0": "`batch` must be a whole number of at least 1; got 0.",
    "train adding --batch 1000000000000": "must fit in memory; got more than",
    "train adding --steps 0": "`steps` must be a whole number of at least 1; got 0.",
    "train adding --seeds 0": "`seeds` must be a whole number of at least 1; got 0.",
    "train adding --seeds 1001": "`seeds` must be at most 1,000; got 1,001.",
    "train adding --seed -1": "`seed` must be a whole number of at least 0; got -1.",
    "train adding --seed 2147483647": "`seed` must be at most 2,147,483,646; got 2,147,483,647.",
    "train adding --test-every 0": "`test-every` must be a whole number of at least 1; got 0.",
    "train adding --test-batches -2": "`test-batches` must be a whole number of at least 1; got -2.",
    "train adding --test-batches 1000000000000": "`test-batches` must be at most 1,000,000; got 1,000,000,000,000.",
    "train adding --embedding 0": "`embedding` must be a whole number of at least 1; got 0.",
    "train adding --window 0": "`window` must be a whole number of at least 1; got 0.",
    "train adding --rate -1": "`rate` must be a positive finite number; got -1.0.",
    "train adding --rate 0": "`rate` must be a positive finite number; got 0.0.",
    "train adding --rate nan": "`rate` must be a positive finite number; got nan.",
    "train adding --rate fast": "'--rate': must be a number; got 'fast'.",
    "train adding --clip -1": "`clip` must be a finite number of at least 0; got -1.0.",
    "train adding --clip inf": "`clip` must be a finite number of at least 0; got inf.",
    "train adding --target nan": "`target` must be a finite number; got nan.",
    "train adding --save-every -1": "`save-every` must be a number of seconds of at least 0; got -1.0.",
    "train adding --save-every nan": "`save-every` must be a number of seconds of at least 0; got nan.",
    "train adding --cell elman": "`cell` must be one of rnn, gru, lstm; got 'elman'.",
    "train adding --cell rnn,gru": "`cell` must be one of rnn, gru, lstm; got 'rnn,gru'.",
    "train adding --cell rnn --init chrono": "`init` must be default for the cell rnn, which has no gate; got 'chron",
    "train adding --init best": "'--init'",
    "train adding --rule lion": "'--rule'",
    "train adding --method magic": "'--method'",
    "train adding --text cats.txt": "`text` must be left out: the task 'adding' reads no file; got ",
    "train text --series data.csv": "`series` must be left out: the task 'text' reads no file; got ",
    "train series": "`series` must be given for the task 'series': FILE[:COLUMN]; got nothing.",
    "train text --text absent": "`text` must be a readable text file; got '",
    "train series --series absent.csv:x": "`series` must be a readable CSV or NPY file; got '",
    "train series --series data.csv:rain": "`series` must be a column, one of 'day', 'temp' or a number from 0",
    "train agreement --differ 2": "`differ` must be a probability, from 0 to 1; got 2.0.",
    "train agreement --attractors -1": "`attractors` must be a whole number of at least 0; got -1.",
    "train adding --devices 0": "`devices` must be a whole number of at least 1; got 0.",
    "train adding --devices 3": "`devices` must be at most 2, as many as there are; got 3.",
    "train adding --devices 1000000000": "`devices` must be at most 2, as many as there are; got 1000000000.",
    "train adding --devices 2 --batch 3": "`batch` must be a number that 2 devices divide evenly; got 3.",
    "train adding --devices 2 --window 4": "`seeds` must be a number that 2 devices divide evenly, for this method",
    "train adding --metrics m.txt": "`metrics` must be a file whose name ends in .csv or .jsonl; got 'm.txt'.",
    "train adding --metrics file/m.csv": "`metrics` must be a folder that can be written to; got 'file': ",
    "train adding --metrics folder.csv": "`metrics` must be a file that can be written to; got the folder 'folder.",
    "train adding --out file": "`out` must be a folder that can be written to; got 'file': ",
    "train adding --out /proc/none": "`out` must be a folder that can be written to; got '/proc/none': ",
    "train adding --out adding": "`out` must be a new folder, or `resume` given to go on with its training; got 'a",
    "train --resume absent": "`resume` must be the folder of a training; got 'absent/run.json': No such file or dir",
    "train --resume file": "`resume` must be the folder of a training; got 'file/run.json': Not a directory.",
    "train --resume adding --steps 3": "`steps` must be at least 4, as many as were made; got 3.",
    "train --resume adding --steps 0": "`steps` must be a whole number of at least 1; got 0.",
    "train adding --resume adding": "`task` must be left out beside `resume`, which goes on with what was begun; got",
}  # fmt: skip


@pytest.mark.parametrize("line", BAD, ids=[line[:50] for line in BAD])
def test_bad_input(adding, line):
    """One sentence that names the argument and what came."""
    check_refused(line.split(), BAD[line])


RUNS = {
    "a list": "[]",
    "cut short": '{"task": "add',
    "endless": "[" * 100_000,
    "empty": "",
    "of other settings": '{"task": "adding"}',
    "noise": "\0\1\2",
    **{f"{name}: {value!r}": {name: value} for name, value in (
        ("task", "sorting"), ("cell", 3), ("cell", "elman"), ("init", "best"), ("rule", "adamw"), ("backward", "magic"),
        ("horizon", True), ("horizon", 0), ("hidden", "4"), ("hidden", 2.5), ("seeds", 10**30), ("rate", "fast"),
        ("clip", None), ("target", []), ("window", "a"), ("series", 3), ("text", {}), ("differ", "x"), ("more", 1),
    )},
}  # fmt: skip


@pytest.mark.parametrize("content", RUNS.values(), ids=RUNS)
def test_a_damaged_run_json(adding, tmp_path, monkeypatch, content):
    """Is named, with what is wrong in it; the checkpoints stay."""
    _, folder = adding
    if isinstance(content, dict):
        content = json.dumps(read_json(folder / "run.json") | content)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(content)
    check_refused(("train", "--resume", "run"), "`resume` must be the folder of a training; got 'run/run.json': ")


def test_resumed_as_another_run(adding, tmp_path, monkeypatch):
    """Sound settings, but not those of the checkpoints."""
    _, folder = adding
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(json.dumps(read_json(folder / "run.json") | {"hidden": 4}) + "\n")
    result = invoke("train", "--resume", "run")
    assert result.exit_code == 2
    assert "`folder` must be one of a run with hidden_size 4; got one with 3 in '" in result.stderr


def test_interrupted(there):
    """SIGINT: status 130 and the command to go on with; it goes on from the checkpoint; the name needs quoting."""
    command = [os.path.join(sysconfig.get_path("scripts"), "gatedrnn"), "train", "adding", *TINY, *RNN]
    arguments = ["--steps", "100000000", "--test-every", "50", "--save-every", "0", "--out", "a run"]
    process = subprocess.Popen([*command, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = [process.stderr.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert all(line.startswith("rnn adding ") for line in first)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "gatedrnn: interrupted; go on with: gatedrnn train --resume 'a run'"
    done = max(int(path.name) for path in Path("a run/checkpoints").iterdir() if path.name.isdigit())
    assert done >= 50 and names(there / "a run") == ["checkpoints", "metrics.csv", "run.json"]
    result = succeeds("train", "--resume", "a run", "--steps", done + 50)
    assert re.search(rf"^ +0 +{done + 50:,} ", result.stdout, re.MULTILINE)
    steps = np.loadtxt("a run/metrics.csv", delimiter=",", skiprows=1)[:, 0]
    assert sorted(set(steps)) == list(steps) and steps[-1] == done + 50
    assert set(range(50, done, 50)) <= set(steps)
