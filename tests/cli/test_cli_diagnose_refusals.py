"""gatedrnn diagnose on folders that are none, spoilt, moved, or of a cell of one's own."""

import json
import shutil
from pathlib import Path

import pytest

from gatedrnn.cli import _trained


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def later(path):
    path.write_text(path.read_text().replace("gatedrnn checkpoint 1", "gatedrnn checkpoint 2"))


def renamed(path):
    path.write_text(path.read_text().replace('"horizon"', '"length"'))


SPOILT = {
    "run.json": (cut, "`folder` must be the folder of a training; got "),
    "run.json of another version": (renamed, "other settings than those of a training"),
    "checkpoints/4/about.json": (cut, "`folder` must be one whose checkpoints can be read; got "),
    "checkpoints/4/about.json of a later version": (later, "'gatedrnn checkpoint 2', of a later version"),
    "checkpoints/4/state.safetensors": (cut, "state.safetensors is not as it was written"),
    "metrics.csv": (lambda path: path.write_text("step,seed\n1,5\n"), "`folder` must be one whose metrics can be read"),
    "metrics.csv of one endless field": (lambda path: path.write_text("9" * 200_000 + "\n"), "field limit"),
    "checkpoints": (shutil.rmtree, "`folder` must be one that holds a checkpoint; got none in "),
    "run.json that is gone": (Path.unlink, "run.json': No such file or directory."),
}


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_folders(copy, name, check_refused):
    """One sentence for each."""
    spoil, message = SPOILT[name]
    spoil(copy / name.split()[0])
    check_refused(("diagnose", copy), message)


def test_no_folders(there, adding, check_refused):
    """Nothing, a file, and what is to be written in the place of something."""
    check_refused(("diagnose", "absent"), "`folder` must be the folder of a training; got 'absent', which is none.")
    check_refused(("diagnose", "file"), "'file', which is none.")
    check_refused(("diagnose", "."), "run.json': No such file or directory.")
    check_refused(("diagnose", "adding", "--json", "folder.csv"), "`json` must be a file that can be written to")
    check_refused(("diagnose", "adding", "--json", "file/x.json"), "`json` must be a folder that can be written to")
    check_refused(("diagnose", "adding", "--json", "file"), "`json` must be free of what other runs left, or `force`")
    check_refused(("diagnose", "adding", "--json", "adding/run.json", "--force"), "`json` must be apart from `folder`")
    check_refused(
        ("diagnose", "adding", "--cell", "my:cell"), "`cell` must be left out: the cell is rnn; got 'my:cell'."
    )


@pytest.mark.slow
def test_a_series_that_has_moved(there, tiny, succeeds, check_refused):
    """It is named; where it is, the training is diagnosed beside persistence."""
    shutil.copy("data.csv", "moving.csv")
    succeeds("train", "series", *tiny, "--cell", "rnn", "--series", "moving.csv:temp", "--out", "series")
    printed = succeeds("diagnose", "series").stdout
    assert "What to change" in printed and "Test loss without a model: persistence " in printed
    Path("moving.csv").rename("moved.csv")
    check_refused(("diagnose", "series"), "moving.csv': No such file or directory")
    Path("moving.csv").write_text("day,temp\n" + "\n".join(f"{i},{i * i % 5}" for i in range(80)))
    check_refused(("diagnose", "series"), "`folder` must be one of a run with data")


def test_a_cell_of_ones_own(copy, check_refused):
    """It is not imported because a file names it."""
    text = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(text | {"cell": "my:cell"}))
    message = "`cell` must be given as it was when this training was begun, 'my:cell'; got "
    check_refused(("diagnose", copy), f"{message}nothing.")
    check_refused(("diagnose", copy, "--cell", "my:other"), f"{message}'my:other'.")


def test_nothing_is_assumed_of_a_file(copy):
    """Metrics of another run are left aside."""
    (copy / "metrics.csv").write_text("step,seed,train_loss,test_loss,test_accuracy\n1,5,0,0,0\n2,5,0,0,0\n")
    settings, _ = _trained.settings_of(copy, None)
    assert [row.step for row in _trained.read(copy, settings).rows] == [2, 2, 4, 4]
