"""Nothing that was there before a command is changed by it, unless it is the run's own or `--force` is given."""

import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

RNN = ("--cell", "rnn")
LEFT = "free of what other runs left, or `force` given to replace it; got "


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a text and a series, each by a second name too, the current one."""
    monkeypatch.chdir(tmp_path)
    Path("cats.txt").write_text("the cat sat on the mat and saw the rat. " * 10)
    Path("data.csv").write_text("day,temp\n" + "\n".join(f"{i},{i * i % 7}" for i in range(80)))
    Path("linked.csv").symlink_to("data.csv")
    os.link("data.csv", "second.csv")
    Path("out").mkdir()
    os.link("cats.txt", "out/run.json")
    os.link("cats.txt", "out/report.html")
    os.link("data.csv", "out/race.json")


INPUTS = {
    "train series --series data.csv:temp --metrics data.csv": "`metrics` must be apart from `series`",
    "train series --series data.csv:temp --metrics data.csv --force": "`metrics` must be apart from `series`",
    "train series --series data.csv:temp --metrics linked.csv --force": "`metrics` must be apart from `series`",
    "train series --series linked.csv:1 --metrics out/../data.csv": "`metrics` must be apart from `series`",
    "train series --series data.csv:1 --metrics second.csv --force": "`metrics` must be apart from `series`",
    "train text --text cats.txt --out out --force": "`out` must be apart from `text`",
    "train text --text out/run.json --out ./out --force": "`out` must be apart from `text`",
    "race series --series data.csv:1 --out out --force": "`out` must be apart from `series`",
    "compare --text cats.txt --out out --force": "`out` must be apart from `text`",
}


@pytest.mark.parametrize("line", INPUTS)
def test_an_input_is_never_an_output(line, tiny, check_refused):
    """By whatever name, and whatever is given."""
    command, *rest = line.split()
    sizes = () if command == "compare" else (rest[0], *tiny, "--horizon", "4")
    check_refused((command, *sizes, *rest[bool(sizes) :]), f"{INPUTS[line]}, which is only read; got '")


OUTPUTS = {
    "train adding": ("run.json", "result.json", "model.json", "model.safetensors", "metrics.csv"),
    "train adding --seeds 2": ("model-0.json", "model-1.safetensors"),
    "train adding --metrics new/m.jsonl": ("m.jsonl", "run.json"),
    "race adding": ("race.json", "plateau.png", "plateau.svg"),
    "compare --silent": ("comparison.json", "report.html", "gates.svg"),
}


@pytest.mark.parametrize(("line", "name"), [(line, name) for line, names in OUTPUTS.items() for name in names])
@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_what_is_there_is_refused(line, name, kind, tiny, check_refused):
    """In one sentence that names it."""
    Path("new").mkdir()
    if kind == "file":
        Path("new", name).write_text("mine")
    else:
        Path("new", name).symlink_to("nowhere")
    sizes = () if line.startswith("compare") else tiny
    check_refused((*line.split(), *sizes, "--out", "new"), f"{LEFT}'new/{name}'.")


def test_what_is_not_replaced_stays(tiny, succeeds, tree):
    """Other files in the folders of a run, before and after one that diverges, and one that is forced."""
    Path("new/checkpoints/99999").mkdir(parents=True)
    Path("new/checkpoints/²").mkdir()
    for name in ("notes.txt", "checkpoints/99999/data", "checkpoints/8", "checkpoints/.unfinished", "metrics.jsonl"):
        Path("new", name).write_text("mine")
    before = tree(Path())
    succeeds("train", "adding", *tiny, *RNN, "--out", "new")
    after = tree(Path())
    assert {name: after[name] for name in before} == before
    made = {name for name in after if name not in before and name.startswith("new/checkpoints/")}
    assert {Path(name).parts[2] for name in made} == {"0", "4"}


def test_divergence_removes_what_it_made(tiny, invoke, tree):
    """And nothing else, though it would have had the same place under another option."""
    Path("new/checkpoints/99999").mkdir(parents=True)
    for name in ("metrics.csv", "checkpoints/99999/state", "m.jsonl"):
        Path("new", name).write_text("mine")
    before = tree(Path())
    line = ("train", "adding", *tiny, *RNN, "--rate", "1e38", "--out", "new", "--metrics", "new/m.csv")
    assert "`rate` must be small enough" in invoke(*line).stderr
    assert tree(Path()) == before


@pytest.fixture
def run(tiny, succeeds):
    """A finished run."""
    succeeds("train", "adding", *tiny, *RNN, "--out", "run", "--metrics", "m.csv")
    return Path("run")


def test_forced(run, tiny, succeeds, read_json):
    """A training begins anew in the folder of another, and replaces its files."""
    Path("m.csv").write_text("other")
    Path("run/checkpoints/8").mkdir()
    Path("run/checkpoints/8/about.json").write_text("[]")
    line = ("train", "adding", *tiny, *RNN, "--rate", "0.1", "--out", run, "--metrics", "m.csv", "--force")
    succeeds(*line)
    assert read_json(run / "run.json")["rate"] == read_json(run / "result.json")["rate"] == 0.1
    assert Path("m.csv").read_text().startswith("step,seed")
    assert sorted(os.listdir(run / "checkpoints")) == ["0", "4"]


def test_resumed_beside_what_is_not_its_own(run, succeeds, check_refused, read_json):
    """Another run's rows or model, moved there meanwhile, are refused before anything is written; its own are not."""
    Path("other.csv").write_text("step,seed,train_loss,test_loss,test_accuracy\n2,0,1.0,1.0,0.0\n")
    again = ("train", "--resume", run, "--steps", "6")
    check_refused((*again, "--metrics", "other.csv"), f"`metrics` must be {LEFT}'other.csv'.")
    shutil.copy(run / "model.json", "kept")
    (run / "model.json").write_text(json.dumps(read_json(run / "model.json") | {"about": {"task": "copy"}}))
    check_refused((*again, "--metrics", "m.csv"), f"`resume` must be {LEFT}'run/model.json'.")
    shutil.copy("kept", run / "model.json")
    shutil.copy("m.csv", "copy.csv")
    succeeds(*again, "--metrics", "copy.csv")  # which holds its rows
    assert [line.split(",")[0] for line in Path("copy.csv").read_text().splitlines()] == ["step", "2", "4", "6"]
    succeeds("train", "--resume", run, "--steps", "8", "--metrics", "m.csv")  # which holds the first of them
    assert [line.split(",")[0] for line in Path("m.csv").read_text().splitlines()] == ["step", "2", "4", "6", "8"]


def test_an_input_among_the_checkpoints(check_refused, tiny):
    """Old ones are removed, and it would go with them."""
    Path("new/checkpoints/3").mkdir(parents=True)
    shutil.copy("cats.txt", "new/checkpoints/3/about.txt")
    line = ("train", "text", *tiny, "--text", "new/checkpoints/3/about.txt", "--out", "new")
    check_refused(line, "`text` must be a file that is not among the checkpoints; got '")


CLOSED = {
    "train adding --out run/new": "`out` must be",
    "train --resume run --steps 6": "`resume` must be",
    "train --resume half --steps 6": "`folder` must be one whose checkpoints can be written to",
}


def test_a_folder_that_is_closed(tiny, succeeds, check_refused, outcome_of_nobody, monkeypatch):
    """To a new training and to a resumed one, the whole of it or its checkpoints alone: nothing is changed."""
    with TemporaryDirectory() as folder:
        monkeypatch.chdir(folder)
        succeeds("train", "adding", *tiny, *RNN, "--out", "run")
        shutil.copytree("run", "half")
        for path in (Path(folder), *Path(folder).rglob("*")):
            path.chmod(0o555)
        for path in (Path("half"), *Path("half").glob("*.*")):  # its owner may write there, but not its checkpoints
            path.chmod(0o777)
        for line, said in CLOSED.items():
            sizes = () if "--resume" in line else (*tiny, *RNN)
            check_refused((*line.split(), *sizes), said, outcome_of_nobody)
        for path in (Path(folder), *Path(folder).rglob("*")):
            path.chmod(0o777)
        monkeypatch.undo()


@pytest.mark.parametrize("name", ["run.json", "model.json", "model.safetensors"])
def test_a_pipe_is_not_waited_for(name, outcome):
    """Nor a device read without end."""
    line = ("train", "--resume", "new") if name == "run.json" else ("generate", "new")
    argument = "resume" if name == "run.json" else "path"
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        Path("new").mkdir()
        Path("new/model.safetensors").write_bytes(b"weights")
        Path("new", name).unlink(missing_ok=True)
        make(Path("new", name))
        status, out, err = outcome(*line)
        assert (status, out) == (2, "") and err.startswith(f"gatedrnn: `{argument}` must be ")
        assert err.endswith(f"'new/{name}': not a regular file.\n")
        shutil.rmtree("new")
