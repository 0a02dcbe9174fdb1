"""The command inside this process, and what its tests share: tiny sizes, strict JSON, and refusals."""

import json
import re
from pathlib import Path

import jax
from typer.testing import CliRunner

from gatedrnn.cli import app

TINY = ("--horizon", "8", "--hidden", "3", "--batch", "2", "--steps", "4", "--test-every", "2", "--test-batches", "1")
DEFAULTS = {
    **{"cell": "lstm", "init": "default", "horizon": 8, "hidden": 3, "batch": 2, "steps": 4, "seeds": 1},
    **{"first_seed": 0, "rule": "adam", "rate": 0.01, "clip": 1.0, "target": None, "test_every": 2},
    **{"test_batches": 1, "backward": "segmented", "window": None, "devices": 1, "text": None, "series": None},
    **{"embedding": 32, "attractors": 2, "differ": 0.5},
}
WORDS = "the cat sat on the mat and saw the rat. " * 10


def invoke(*arguments, **environment):
    """The command inside this process; strict where fixtures of a module call it, too, and so compiled once."""
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "80", **environment})


def succeeds(*arguments):
    """What a command prints that does its work."""
    result = invoke(*arguments)
    assert (result.exit_code, result.exception) == (0, None), result.stderr
    return result


def tree(folder):
    """Everything below a folder, with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def reject(constant):
    """NaN and Infinity are no JSON."""
    raise AssertionError(constant)


def read_json(path):
    """Strictly parsed."""
    return json.loads(path.read_text("utf-8"), parse_constant=reject)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def outcome(*arguments):
    """What a command ends with that stops by itself: its exit status, standard output and standard error."""
    result = invoke(*arguments)
    assert isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def check_refused(arguments, message, run=outcome):
    """Exit status 2 and one sentence on standard error alone; nothing is written, nothing left."""
    before = tree(Path())
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert re.fullmatch(r"gatedrnn: [^\n]*[^\n.][.)]\n", err)
    assert not re.search(r"\. [A-Z]", err)
    assert message in err
    assert tree(Path()) == before
