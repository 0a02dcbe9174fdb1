"""`gatedrnn train` and `race` whose loss stops being finite: the rate is named, and the folder is free again."""

from pathlib import Path

import pytest
from commands import TINY, check_refused, invoke, names, succeeds, tree

import gatedrnn as gr
from gatedrnn.train import Progress
from gatedrnn.train._metrics import Row

SAID = "`rate` must be small enough for the loss to stay finite; got 1e+38, with which rnn, default init, has"
LINE = ("adding", *TINY, "--cell", "rnn", "--out", "new/run", "--metrics", "new/numbers/m.csv")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a file of the user's, the current one."""
    monkeypatch.chdir(tmp_path)
    Path("new").mkdir()
    Path("new/mine.txt").write_text("kept")


def test_at_a_test(tmp_path):
    """The training loss is infinite; nothing is left, and a smaller rate is tried in the same folder."""
    check_refused(("train", *LINE, "--rate", "1e38"), f"{SAID} a loss of inf at step 2.")
    succeeds("train", *LINE)
    assert names(tmp_path / "new/run") == ["checkpoints", "model.json", "model.safetensors", "result.json", "run.json"]
    assert names(tmp_path / "new/numbers") == ["m.csv"]


def test_at_the_end(tmp_path):
    """After one update only the test shows it; a folder that was there stays, with what was in it."""
    before = tree(tmp_path)
    result = invoke("train", *LINE, "--rate", "1e38", "--steps", "1", "--out", "new")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == f"gatedrnn: {SAID} a test loss of inf at step 1."
    assert tree(tmp_path) == before


def test_in_a_race():
    """The entry is named."""
    line = ("race", "adding", *TINY, "--cells", "rnn,gru", "--rate", "1e38", "--out", "new/race")
    check_refused(line, f"{SAID} a loss of inf at step 2.")


def diverging(losses, checkpoint):
    """Stands in for the training: tests with these losses, a checkpoint, and then a loss that is no number."""

    def fit(setup, *, folder, on_progress, **_):
        for step, loss in enumerate(losses, 1):
            on_progress(Progress(step, 4, 1.0, 1.0, (Row(step, 0, 1.0, loss, 0.5),)))
        (folder / "checkpoints" / str(checkpoint)).mkdir(parents=True)
        (folder / "checkpoints" / str(checkpoint) / "state").write_text("weights")
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
def test_work_that_can_be_gone_on_with_is_kept(tmp_path, monkeypatch, losses, checkpoint, kept):
    """What a later checkpoint holds may be worth hours; it is not removed with the rest."""
    monkeypatch.setattr(gr.train, "fit", diverging(losses, checkpoint))
    assert invoke("train", *LINE).exit_code == 2
    assert (tmp_path / "new/run").exists() == kept
    if kept:
        assert names(tmp_path / "new/run") == ["checkpoints", "run.json"]
    assert names(tmp_path / "new") == (["mine.txt", "run"] if kept else ["mine.txt"])


def test_a_resumed_training_is_kept(tmp_path, monkeypatch):
    """It was there before."""
    succeeds("train", *LINE, "--out", "run")
    before = tree(tmp_path / "run")
    monkeypatch.setattr(gr.train, "fit", diverging([], 5))
    result = invoke("train", "--resume", "run", "--steps", "8")
    assert (result.exit_code, result.stdout) == (2, "")
    after = tree(tmp_path / "run")
    assert [name for name in before if after[name] != before[name]] == ["run.json"]  # which has the new steps


def test_other_errors_stay_what_they_are(monkeypatch):
    """Only what is raised as a divergence is one, whatever a sentence says."""
    said = "`setup` must be one that stays finite; got a full disk."

    def fit(*_, **__):
        raise ValueError(said)

    monkeypatch.setattr(gr.train, "fit", fit)
    assert invoke("train", *LINE).stderr == f"gatedrnn: {said}\n"
