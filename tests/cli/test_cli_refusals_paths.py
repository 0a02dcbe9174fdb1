"""Every command: paths that are empty, files that are none, and files that hold too little."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gatedrnn.cli import app
from gatedrnn.cli._options import split_column


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
    "--text pipe": "`text` must be a readable text file; got '{}pipe': not a regular file.",
    "--text device": "`text` must be a readable text file; got '{}device': not a regular file.",
    "--text folder": "`text` must be a readable text file; got '{}folder': Is a directory.",
    "--text absent": "`text` must be a readable text file; got '{}absent': No such file or directory.",
    "--series pipe": "`series` must be a readable file of numbers; got '{}pipe': not a regular file.",
    "--series pipe.npy": "`series` must be a readable file of numbers; got '{}pipe.npy': No such file or directory.",
    "--series device": "`series` must be a readable file of numbers; got '{}device': not a regular file.",
    "--series folder": "`series` must be a readable file of numbers; got '{}folder': Is a directory.",
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


DIALECTS = {
    "train series --series comma.csv": "`series` must be a file with as many fields in every line, or `delimiter`, ",
    "train series --series numbers.csv": "`series` must be a file that says whether its first line is one of names, or",
    "compare --series comma.csv": "`series` must be a file with as many fields in every line, or `delimiter`, ",
    "train series --series comma.csv --decimal ;": "`decimal` must be '.' or ','; got ';'.",
    "race series --series comma.csv --delimiter ab": "`delimiter` must be one character or one of comma, ",
    "train series --series comma.csv --header -1": "`header` must be a whole number of at least 0; got -1.",
    "train text --header 1": "`header` must be left out: it is for the task 'series', not for 'text'; got 1.",
    "train series --series data.npy --header 1": "`header` must be left out: it is for text files; got it for '",
    "compare --decimal ,": "`decimal` must be left out: it is for `series`; got ,.",
    "compare --series C:/data.csv:OT": "`series` must be a readable file of numbers; got 'C:/data.csv': No such file",
}


@pytest.fixture
def dialects():
    """Files that do not say how they are written."""
    Path("comma.csv").write_text("x\n" + "1,5\n2,25\n" * 20)
    Path("numbers.csv").write_text("0;1\n" + "7;8\n9;5\n" * 20)
    Path("data.npy").write_bytes(b"")


@pytest.mark.parametrize("line", DIALECTS)
@pytest.mark.usefixtures("dialects")
def test_a_dialect_in_doubt(line, check_refused):
    """Asked for by the names of the options, which belong to a series in a text file alone."""
    check_refused(line.split(), DIALECTS[line])


@pytest.mark.parametrize(
    "line", ["comma.csv --decimal ,", "comma.csv --delimiter comma --header 1", "numbers.csv:1 --header 0"]
)
@pytest.mark.usefixtures("dialects")
def test_a_dialect_that_is_told(line, succeeds, tiny):
    """Read as it was said."""
    succeeds("train", "series", "--series", *line.split(), *tiny[2:], "--horizon", "4", "--seed", "3")


@pytest.mark.parametrize(
    ("asked", "want"),
    [
        (r"C:\data.csv:OT", (r"C:\data.csv", "OT")),
        ("C:/data.csv:", ("C:/data.csv", "")),
        (r"C:\data.csv", (r"C:\data.csv", None)),
        ("data.csv:a:b", ("data.csv:a", "b")),
        ("short.csv:a:b", ("short.csv", "a:b")),
        ("x:1", ("x", "1")),
    ],
)
def test_a_file_and_its_column(asked, want):
    """The longest file that is there; a drive's colon is none of a column."""
    assert split_column(asked) == want


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


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_stream_that_is_closed(closed, monkeypatch):
    """As by `>&-`: nobody reads what is printed, and the status is what it would have been."""
    monkeypatch.setattr(sys, closed, None)
    with pytest.raises(SystemExit) as ended:
        app(["generate", "nowhere"])
    assert ended.value.code == 2
    with pytest.raises(SystemExit) as ended:
        app(["--version"])
    assert ended.value.code == 0
