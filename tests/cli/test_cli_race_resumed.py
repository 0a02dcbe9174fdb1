"""A race that is interrupted or killed ends, resumed, with the numbers of one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

import gatedrnn as gr

COMMAND = os.path.join(sysconfig.get_path("scripts"), "gatedrnn")
SIZES = ("--horizon", "8", "--hidden", "3", "--batch", "2", "--test-every", "2", "--test-batches", "1", "--seeds", "2")
LINE = ("race", "adding", *SIZES, "--steps", "6", "--cells", "rnn,gru")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def numbers(read_json):
    """(folder) -> what race.json says, but for what was measured by a clock."""

    def read(folder):
        found = read_json(Path(folder, "race.json"))
        for run in found["runs"]:
            for name in ("seconds", "compile_seconds", "timed"):
                del run[name]
        return found

    return read


@pytest.fixture
def stopped(monkeypatch, invoke):
    """(entrants, steps) -> a race that is interrupted in the entrant after so many, after so many updates of it."""

    def race(entrants, steps, *more):
        fit, begun = gr.train.fit, []

        def interrupted(setup, *, on_progress, **given):
            begun.append(setup)

            def tell(progress):
                on_progress(progress)
                if len(begun) > entrants and progress.step >= steps:
                    raise KeyboardInterrupt

            return fit(setup, on_progress=tell, **given)

        with monkeypatch.context() as patch:
            patch.setattr(gr.train, "fit", interrupted)
            return invoke(*LINE, "--out", "part", "--save-every", 0, *more)

    return race


@pytest.mark.slow
@pytest.mark.parametrize(("entrants", "steps"), [(0, 1), (0, 4), (1, 2), (2, 6)])
def test_interrupted(entrants, steps, stopped, succeeds, numbers, names, monkeypatch):
    """Status 130 and how to go on; entrants that are done are not run again; what was kept meanwhile is gone."""
    result = stopped(entrants, steps)
    assert result.exit_code == 130
    assert result.stderr.endswith("gatedrnn: interrupted; go on with: gatedrnn race --resume part\n")
    assert names(Path("part")) == ["entrants"]
    assert len(list(Path("part/entrants").glob("*/entrant.json"))) == entrants
    ran, fit = [], gr.train.fit
    monkeypatch.setattr(gr.train, "fit", lambda setup, **given: ran.append(setup.cell.name) or fit(setup, **given))
    again = succeeds("race", "--resume", "part")
    assert ran == ["rnn", "gru", "gru"][entrants:]
    whole = succeeds(*LINE, "--out", "whole")
    assert numbers("part") == numbers("whole")
    assert names(Path("part")) == ["plateau.png", "plateau.svg", "race.json"]
    table = [[line.split()[:-1] for line in said.stdout.splitlines()[3:6]] for said in (again, whole)]
    assert table[0] == table[1]


@pytest.mark.slow
def test_killed_before_the_first_checkpoint(stopped, succeeds, numbers):
    """All that an entrant has is its folder."""
    stopped(1, 2)
    for place in Path("part/entrants").glob("1-*"):
        shutil.rmtree(place / "checkpoints")
    succeeds("race", "--resume", "part")
    succeeds(*LINE, "--out", "whole")
    assert numbers("part") == numbers("whole")


@pytest.mark.slow
def test_refused_beside_one_that_was_interrupted(stopped, check_refused, succeeds, tree):
    """A new race in its folder, unless it is forced; other options; a folder without one; what is damaged."""
    stopped(1, 2)
    check_refused(
        (*LINE, "--out", "part"), "`out` must be a new folder, or `resume` given to go on with its race; got 'p"
    )
    check_refused(("race", "--resume", "part", "--steps", 9), "`steps` must be left out beside `resume`")
    check_refused(("race", "--resume", "part", "--cells", "rnn"), "`cells` must be left out beside `resume`")
    check_refused(
        ("race", "--resume", "nowhere"), "`resume` must be the folder of a race that was interrupted; got 'no"
    )
    (path,) = Path("part/entrants").glob("*/entrant.json")
    kept = path.read_text()
    for damage in ("", "[]", "{}", kept[:100]):
        path.write_text(damage)
        check_refused(("race", "--resume", "part"), "`resume` must be the folder of a race whose entrants can be read")
    path.write_text(kept)
    run = Path("part/entrants/run.json")
    kept = run.read_text()
    for damage in ("", "[]", json.dumps(json.loads(kept) | {"cells": ["elman"]}), json.dumps({"cells": ["rnn"]})):
        run.write_text(damage)
        check_refused(
            ("race", "--resume", "part"), "`resume` must be the folder of a race that was interrupted; got 'pa"
        )
    run.write_text(kept)
    Path("part/entrants/mine.txt").write_text("mine")
    succeeds(*LINE, "--out", "part", "--force")
    assert Path("part/entrants/mine.txt").read_text() == "mine"
    assert [path.name for path in Path("part/entrants").iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_one_that_is_done_has_nothing_to_go_on_with(succeeds, check_refused):
    succeeds(*LINE, "--out", "done")
    check_refused(("race", "--resume", "done"), "`resume` must be the folder of a race that was interrupted; got 'done")


@pytest.mark.slow
@pytest.mark.parametrize("sort", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])
def test_killed(sort, succeeds, numbers):
    """In a process of its own, in the middle of the second entrant."""
    line = (*LINE, "--steps", "200", "--cells", "rnn,gru")
    process = subprocess.Popen([COMMAND, *line, "--out", "part", "--save-every", "0"], stderr=subprocess.DEVNULL)
    later = lambda: [path for path in Path("part").glob("entrants/1-*/checkpoints/[1-9]*") if path.name.isdigit()]
    deadline = time.monotonic() + 120
    while not later() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(sort)
    process.communicate()
    assert process.returncode == (130 if sort == signal.SIGINT else -signal.SIGKILL)
    done = [json.loads(path.read_text())["cell"] for path in Path("part").glob("entrants/*/entrant.json")]
    assert done[:1] == ["rnn"]
    for arguments in (("race", "--resume", "part"), (*line, "--out", "whole")):
        subprocess.run([COMMAND, *arguments], check=True, capture_output=True)
    assert numbers("part") == numbers("whole")
