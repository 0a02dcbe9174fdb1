"""`gatedrnn train` from end to end: files, resumption, interruption, and what a run shows."""

import io
import os
import re
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

import gatedrnn as gr
from gatedrnn.cli import _progress
from gatedrnn.train import Progress

RNN = ("--cell", "rnn")
WEIGHTS = 3 * (2 + 3) + 3 + 3 + 1


def test_a_generated_task(adding, defaults, read_json, names):
    """One row per seed; the options as they were given; models that load and are as good as is said."""
    result, folder = adding
    models = [f"model-{seed}.{kind}" for seed in (5, 6) for kind in ("json", "safetensors")]
    assert names(folder) == ["checkpoints", "metrics.csv", *models, "result.json", "run.json"]
    given = defaults | {"task": "adding", "cell": "rnn", "seeds": 2, "first_seed": 5}
    given["devices"] = min(2, jax.device_count())  # of which each takes a seed, wherever it goes on
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
def test_other_tasks(there, task, options, inputs, outputs, chance, tiny, succeeds, read_json):
    """Each end to end, and told beside its own chance."""
    succeeds("train", task, *tiny, *RNN, *options, "--out", task)
    found, model = read_json(there / task / "result.json"), gr.load(there / task).model
    assert (found["task"], found["last"][-1]["step"]) == (task, found["steps"])
    assert found["chance"] == pytest.approx(chance, rel=1e-3)
    assert np.isfinite(found["last"][-1]["test_loss"])
    assert (model.embedding_size or model.input_size, model.output_size) == (inputs, outputs)
    if task == "series":
        assert found["series"] == f"{there / 'data.csv'}:temp"


def test_a_window(adding, tiny, succeeds, read_json):
    """The backward pass is cut after four of eight steps: another course from the same weights on the same data."""
    _, folder = adding
    succeeds("train", "adding", *tiny, *RNN, "--seeds", 2, "--seed", 5, "--window", 4, "--out", "windowed")
    assert read_json(Path("windowed/run.json"))["window"] == 4
    got, whole = (np.loadtxt(place / "metrics.csv", delimiter=",", skiprows=1) for place in (Path("windowed"), folder))
    np.testing.assert_array_equal(got[:, :2], whole[:, :2])
    assert np.isfinite(got).all() and (got[:, 3] != whole[:, 3]).all()


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 1])
def test_two_devices(adding, seeds, tiny, succeeds, read_json):
    """They share two seeds, or the two sequences of a batch; the numbers are those of one device, but for rounding."""
    _, folder = adding
    sizes = ("--seeds", seeds, "--seed", 5, "--devices", 2)
    succeeds("train", "adding", *tiny, *RNN, *sizes, "--out", f"shared by {seeds}")
    assert read_json(Path(f"shared by {seeds}/run.json"))["devices"] == 2
    got = np.loadtxt(f"shared by {seeds}/metrics.csv", delimiter=",", skiprows=1)
    want = np.loadtxt(folder / "metrics.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(got, want[want[:, 1] < 5 + seeds], rtol=1e-5)


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


def test_a_terminal_gets_the_bar_and_no_lines(adding, tmp_path, invoke):
    """The same command where standard error is one."""
    shutil.copytree(adding[1], tmp_path / "run")
    result = invoke("train", "--resume", tmp_path / "run", "--steps", 6, FORCE_COLOR="1")
    assert result.exit_code == 0
    assert plain(result.stderr)[-1].startswith("rnn adding ")
    assert "6/6 loss " in plain(result.stderr)[-1] and "chance 0.167" in plain(result.stderr)[-1]
    assert "test loss" not in result.stderr


def test_a_resumed_run_is_the_uninterrupted_one(adding, tmp_path, tiny, succeeds, read_json):
    """With more updates: every byte of the models and metrics as in one long run; run.json knows the new number."""
    _, folder = adding
    shutil.copytree(folder, tmp_path / "part")
    succeeds("train", "adding", *tiny, *RNN, "--seeds", 2, "--seed", 5, "--steps", 10, "--out", tmp_path / "whole")
    for steps in (6, 10):
        result = succeeds("train", "--resume", tmp_path / "part", "--steps", steps)
        assert read_json(tmp_path / "part" / "run.json")["steps"] == steps
    assert "10 " in result.stdout
    for name in ("model-5.safetensors", "model-6.safetensors", "metrics.csv", "run.json"):
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_run_killed_before_its_first_checkpoint_begins_again(adding, tmp_path, succeeds, names):
    """All that is left is run.json."""
    _, folder = adding
    (tmp_path / "run").mkdir()
    shutil.copy(folder / "run.json", tmp_path / "run")
    succeeds("train", "--resume", tmp_path / "run")
    assert names(tmp_path / "run") == names(folder)
    for name in ("model-6.safetensors", "metrics.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (folder / name).read_bytes()


def test_resumed_to_a_target_that_is_reached(adding, tmp_path, succeeds, read_json):
    """Nothing is left to do, and the step is told at which it was reached."""
    _, folder = adding
    shutil.copytree(folder, tmp_path / "run")
    result = succeeds("train", "--resume", tmp_path / "run", "--steps", 100, "--target", 1e9)
    found = read_json(tmp_path / "run" / "result.json")
    assert (found["reached"], found["target"], found["last"][0]["step"]) == ({"5": 2, "6": 2}, 1e9, 4)
    assert re.search(r"^ +5 +4 .* 2 *$", result.stdout, re.MULTILINE)


@pytest.mark.slow
def test_interrupted(there, tiny, succeeds, names):
    """SIGINT: status 130 and the command to go on with; it goes on from the checkpoint; the name needs quoting."""
    command = [os.path.join(sysconfig.get_path("scripts"), "gatedrnn"), "train", "adding", *tiny, *RNN]
    arguments = ["--steps", "100000000", "--test-every", "50", "--save-every", "0", "--out", "a run"]
    process = subprocess.Popen([*command, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = [process.stderr.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert all(line.startswith("rnn adding ") for line in first)
    assert (process.returncode, out) == (130, "")
    assert re.search("interrupted; .*: gatedrnn train --resume 'a run'$", err.splitlines()[-1])
    done = max(int(path.name) for path in Path("a run/checkpoints").iterdir() if path.name.isdigit())
    assert done >= 50 and names(there / "a run") == ["checkpoints", "metrics.csv", "run.json"]
    result = succeeds("train", "--resume", "a run", "--steps", done + 50)
    assert re.search(rf"^ +0 +{done + 50:,} ", result.stdout, re.MULTILINE)
    steps = np.loadtxt("a run/metrics.csv", delimiter=",", skiprows=1)[:, 0]
    assert sorted(set(steps)) == list(steps) and steps[-1] == done + 50
    assert set(range(50, done, 50)) <= set(steps)
