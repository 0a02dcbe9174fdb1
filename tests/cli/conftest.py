"""The command inside this process and in one of its own, refusals, and a folder with data and a small run."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import jax
import pytest
from typer.testing import CliRunner

from gatedrnn.cli import app

NOBODY = 65_534  # a user's number


@pytest.fixture(scope="session")
def tiny():
    """Sizes at which a training takes no time."""
    sizes = ("--horizon", "8", "--hidden", "3", "--batch", "2")
    return (*sizes, "--steps", "4", "--test-every", "2", "--test-batches", "1")


@pytest.fixture(scope="session")
def defaults():
    """What run.json says of a tiny run, but for its task."""
    return {
        **{"cell": "lstm", "init": "default", "horizon": 8, "hidden": 3, "batch": 2, "steps": 4, "seeds": 1},
        **{"first_seed": 0, "rule": "adam", "rate": 0.01, "clip": 1.0, "target": None, "test_every": 2},
        **{"test_batches": 1, "backward": "auto", "window": None, "devices": 1, "text": None, "series": None},
        **{"delimiter": None, "decimal": None, "header": None, "embedding": 32, "attractors": 2, "differ": 0.5},
        **{"predict": None, "period": None, "from_model": None},
    }


@pytest.fixture(scope="session")
def invoke():
    """(arguments, environment) -> the command inside this process.

    Strict where fixtures of a module call it, too, and so compiled once.
    """

    def run(*arguments, **environment):
        with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
            return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "80", **environment})

    return run


@pytest.fixture(scope="session")
def succeeds(invoke):
    """(arguments) -> what a command prints that does its work."""

    def run(*arguments):
        result = invoke(*arguments)
        assert (result.exit_code, result.exception) == (0, None), result.stderr
        return result

    return run


@pytest.fixture(scope="session")
def outcome(invoke):
    """(arguments) -> the exit status, standard output and standard error of a command that stops by itself."""

    def run(*arguments):
        result = invoke(*arguments)
        assert isinstance(result.exception, SystemExit)
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture(scope="session")
def check_refused(outcome, tree):
    """(arguments, message, run) -> status 2 and one sentence on standard error alone; nothing is written or left."""

    def check(arguments, message, run=outcome):
        before = tree(Path())
        status, out, err = run(*arguments)
        assert (status, out) == (2, "")
        assert re.fullmatch(r"gatedrnn: [^\n]*[^\n.][.)]\n", err)
        assert not re.search(r"\. [A-Z]", err)
        assert message in err
        assert tree(Path()) == before

    return check


@pytest.fixture(scope="session")
def start_compare():
    """(arguments, cwd, program) -> `gatedrnn compare`, or a program's `compare`, begun in a process of its own."""

    def start(*arguments, cwd, program=None, **environment):
        installed = [os.path.join(sysconfig.get_path("scripts"), "gatedrnn")]
        return subprocess.Popen(
            [*(installed if program is None else [sys.executable, "-c", program]), "compare", *arguments],
            cwd=cwd,
            env={**os.environ, "COLUMNS": "80", **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


@pytest.fixture(scope="session")
def finish():
    """(process) -> its exit status, standard output and standard error, when it has ended."""

    def wait(process):
        out, err = process.communicate()
        return process.returncode, out, err

    return wait


@pytest.fixture(scope="session")
def read_json(strict_json):
    """(path) -> its content, strictly parsed."""
    return lambda path: strict_json(path.read_text("utf-8"))


@pytest.fixture(scope="session")
def names():
    """(folder) -> what is in it, in order."""
    return lambda folder: sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A folder with a text and a series, the current one from here on."""
    folder, before = tmp_path_factory.mktemp("here"), os.getcwd()
    os.chdir(folder)
    Path("cats.txt").write_text("the cat sat on the mat and saw the rat. " * 10)
    Path("data.csv").write_text("day,temp\n" + "\n".join(f"{i},{i * i % 7}" for i in range(80)))
    Path("file").write_text("a file")
    Path("folder.csv").mkdir()
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def adding(there, succeeds, tiny):
    """Two seeds on a generated task: (what was printed, the folder)."""
    result = succeeds("train", "adding", *tiny, "--cell", "rnn", "--seeds", 2, "--seed", 5, "--out", "adding")
    return result, there / "adding"


@pytest.fixture
def copy(adding, tmp_path):
    """A folder with a training of two seeds, which may be spoilt."""
    return Path(shutil.copytree(adding[1], tmp_path / "copy"))


@pytest.fixture
def outcome_of_nobody(outcome):
    """(arguments) -> as `outcome`; root may read everything, so the command runs as somebody else then."""

    def run(*arguments):
        before = os.geteuid()
        os.seteuid(before or NOBODY)
        try:
            return outcome(*arguments)
        finally:
            os.seteuid(before)

    return run
