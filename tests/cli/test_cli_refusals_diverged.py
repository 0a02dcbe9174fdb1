"""`gatedrnn train` and `race` whose loss stops being finite: the rate is named, and the folder is free again."""

from pathlib import Path

import pytest

import gatedrnn as gr
from gatedrnn.train import Progress
from gatedrnn.train._metrics import Row

SAID = "`rate` must be small enough for the loss to stay finite; got 1e+38, with which rnn, default init, has"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a file of the user's, the current one."""
    monkeypatch.chdir(tmp_path)
    Path("new").mkdir()
    Path("new/mine.txt").write_text("kept")


@pytest.fixture
def line(tiny):
    """A tiny training of an RNN in the folder that was there."""
    return ("adding", *tiny, "--cell", "rnn", "--out", "new/run", "--metrics", "new/numbers/m.csv")


def test_at_a_test(tmp_path, succeeds, check_refused, names, line):
    """The training loss is infinite; nothing is left, and a smaller rate is tried in the same folder."""
    check_refused(("train", *line, "--rate", "1e38"), f"{SAID} a loss of inf at step 2.")
    succeeds("train", *line)
    assert names(tmp_path / "new/run") == ["checkpoints", "model.json", "model.safetensors", "result.json", "run.json"]
    assert names(tmp_path / "new/numbers") == ["m.csv"]


def test_at_the_end(tmp_path, invoke, tree, line):
    """After one update only the test shows it; a folder that was there stays, with what was in it."""
    before = tree(tmp_path)
    result = invoke("train", *line, "--rate", "1e38", "--steps", "1", "--out", "new")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{SAID} a test loss of inf at step 1" in result.stderr.splitlines()[-1]
    assert tree(tmp_path) == before


def test_in_a_race(tiny, check_refused):
    """The entry is named."""
    line = ("race", "adding", *tiny, "--cells", "rnn,gru", "--rate", "1e38", "--out", "new/race")
    check_refused(line, f"{SAID} a loss of inf at step 2.")


def diverging(losses, checkpoint):
    """Stands in for the training: tests with these losses, a checkpoint, and then a loss that is no number."""

    def fit(setup, *, folder, on_progress, **_):
        for step, loss in enumerate(losses, 1):
            on_progress(Progress(step, 4, 1.0, 1.0, (Row(step, 0, 1.0, loss, 0.5),)))
        (folder / "checkpoints" / str(checkpoint)).mkdir(parents=True)
        (folder / "checkpoints" / str(checkpoint) / "about.json").write_text("weights")
        raise gr.train.Diverged(float("nan"), 4)

    return fit


@pytest.mark.parametrize(
    ("losses", "checkpoint", "kept"),
    [
        pytest.param([0.2, float("nan")], 2, True, id="it had learned"),
        pytest.param([0.2], 0, False, id="no checkpoint but the first"),
        pytest.param([float("inf")], 2, False, id="it had learned nothing"),
        pytest.param([], 2, False, id="no test before"),
    ],
)
def test_work_that_can_be_gone_on_with_is_kept(tmp_path, monkeypatch, losses, checkpoint, kept, invoke, names, line):
    """What a later checkpoint holds may be worth hours; it is not removed with the rest."""
    monkeypatch.setattr(gr.train, "fit", diverging(losses, checkpoint))
    assert invoke("train", *line).exit_code == 2
    assert (tmp_path / "new/run").exists() == kept
    if kept:
        assert names(tmp_path / "new/run") == ["checkpoints", "run.json"]
    assert names(tmp_path / "new") == (["mine.txt", "run"] if kept else ["mine.txt"])


def test_a_resumed_training_is_kept(tmp_path, monkeypatch, invoke, succeeds, tree, line):
    """It was there before."""
    succeeds("train", *line, "--out", "run")
    before = tree(tmp_path / "run")
    monkeypatch.setattr(gr.train, "fit", diverging([0.2], 5))
    result = invoke("train", "--resume", "run", "--steps", "8")
    assert (result.exit_code, result.stdout) == (2, "")
    after = tree(tmp_path / "run")
    assert [name for name in before if after[name] != before[name]] == ["run.json"]  # which has the new steps


def test_other_errors_stay_what_they_are(monkeypatch, invoke, line):
    """Only what is raised as a divergence is one, whatever a sentence says."""
    said = "`setup` must be one that stays finite; got a full disk."

    def fit(*_, **__):
        raise ValueError(said)

    monkeypatch.setattr(gr.train, "fit", fit)
    assert invoke("train", *line).stderr == f"gatedrnn: {said}\n"
