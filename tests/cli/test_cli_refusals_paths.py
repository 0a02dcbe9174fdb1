"""Every command: paths that are empty, files that are none, and files that hold too little."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a pipe, a link to a device and a short series, the current one."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("device").symlink_to("/dev/null")
    Path("short.csv").write_text("x\n" + "1\n2\n" * 9)
    Path("folder").mkdir()


EMPTY = {
    "train": ("out", "metrics", "resume", "text", "series"),
    "race": ("out", "text", "series"),
    "compare": ("out", "text", "series"),
}


@pytest.mark.parametrize(
    ("command", "option"), [(command, option) for command, options in EMPTY.items() for option in options]
)
def test_an_empty_path(command, option, check_refused):
    """It does not stand for the current folder."""
    task = () if command == "compare" or option == "resume" else (option if option in ("text", "series") else "adding",)
    message = f"Invalid value for '--{option}': must be the name of a file or a folder; got nothing."
    check_refused((command, *task, f"--{option}", ""), message)


def test_an_empty_model(check_refused):
    check_refused(("generate", ""), "Invalid value for 'model': must be the name of a file or a folder; got nothing.")


NOT_READ = {
    "--text pipe": "`text` must be a regular file; got '{}pipe'.",
    "--text device": "`text` must be a regular file; got '{}device'.",
    "--text folder": "`text` must be a readable text file; got '{}folder': Is a directory.",
    "--text absent": "`text` must be a readable text file; got '{}absent': No such file or directory.",
    "--series pipe": "`series` must be a regular file; got '{}pipe'.",
    "--series pipe.npy": "`series` must be a readable CSV or NPY file; got '{}pipe.npy': No such file or directory.",
    "--series device": "`series` must be a regular file; got '{}device'.",
    "--series folder": "`series` must be a readable CSV or NPY file; got '{}folder': Is a directory.",
}


@pytest.mark.parametrize("command", ["train", "race", "compare"])
@pytest.mark.parametrize("line", NOT_READ)
def test_what_is_no_regular_file(tmp_path, command, line, check_refused):
    """A pipe would be waited for, and a device may give bytes without end."""
    task = () if command == "compare" else (line.split()[0].removeprefix("--"),)
    message = NOT_READ[line].format("" if command == "compare" else f"{tmp_path}/")
    check_refused((command, *task, *line.split()), message)


@pytest.mark.parametrize("option", ["text", "series"])
def test_a_file_that_may_not_be_read(monkeypatch, option, check_refused, outcome_of_nobody):
    """In a folder that may; it is refused for its absence first, with which everything is imported."""
    with TemporaryDirectory() as current, TemporaryDirectory() as folder:
        Path(current).chmod(0o777)
        Path(folder).chmod(0o755)
        monkeypatch.chdir(current)
        path = Path(folder, "closed.csv")
        check_refused(("train", option, f"--{option}", path), f"{path}': No such file or directory.")
        path.touch(0)
        check_refused(("train", option, f"--{option}", path), f"{path}': Permission denied.", outcome_of_nobody)
        monkeypatch.undo()


def test_a_series_with_few_rows(check_refused):
    """The option is named, which the user has."""
    message = "`series` must be at least 20 numbers, of which a fifth is held out; got 18."
    check_refused(("train", "series", "--series", "short.csv", "--horizon", "2"), message)


def test_a_name_that_is_no_text(tiny, succeeds, read_json):
    """Bytes that are not UTF-8 name a folder as others do, and are told as well as they can be."""
    for name in (os.fsdecode(b"by\xfftes"), "\N{SNOWMAN} \N{LATIN SMALL LETTER E WITH ACUTE}"):
        result = succeeds("train", "adding", *tiny, "--cell", "rnn", "--out", name, "--metrics", f"{name}/{name}.csv")
        assert "wrote model, metrics and result.json to " in result.stdout
        succeeds("train", "--resume", name, "--steps", "6", "--metrics", f"{name}/{name}.csv")
        assert read_json(Path(name, "result.json"))["last"][0]["step"] == 6


def test_no_place_for_what_is_printed():
    """A full disk behind a redirection: one sentence, and no second one at the end of the process."""
    with open("/dev/full", "w") as full:
        line = [sys.executable, "-m", "gatedrnn", "--help"]
        result = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True)
    said = "gatedrnn: what is printed must have a place to go; got 'No space left on device'.\n"
    assert (result.returncode, result.stderr) == (2, said)
