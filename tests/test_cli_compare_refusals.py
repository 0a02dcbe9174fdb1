"""`gatedrnn compare`: every kind of bad input, and errors while it runs, in one sentence each."""

import re
from pathlib import Path

import pytest
from commands import tree
from compare_command import command, finish, invoke
from typer.testing import CliRunner

import gatedrnn as gr
from gatedrnn.cli import app


@pytest.mark.parametrize("line", [["--horizon", "5"], ["compere"], ["compare", "--horizons", "5"], ["compare", "x"]])
def test_what_is_no_option_or_no_command(line):
    """One sentence with the word that was not understood."""
    result = CliRunner().invoke(app, line, env={"COLUMNS": "80"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"gatedrnn: [^\n]*(--horizon|compere|--horizons|x)[^\n]*\n", result.stderr)


@pytest.fixture
def inputs_on_disk(tmp_path, monkeypatch):
    """Hostile files, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("empty").write_bytes(b"")
    Path("binary").write_bytes(b"ab\0cd" * 999)
    Path("latin").write_bytes("Grüße".encode("latin-1") * 999)
    Path("short").write_bytes(b"a" * 999)
    Path("words.csv").write_text("day,temp\n1,warm\n2,cold\n")
    Path("short.csv").write_text("x\n1\n2\n")
    Path("flat.csv").write_text("x\n" + "1\n" * 1000)
    Path("pickled.npy").write_bytes(b"\x80\x04N.")
    Path("full").mkdir()
    Path("full/comparison.json").write_text("{}")
    return tmp_path


BIG = str(10**6)
BAD = [
    (["--horizon", "0"], "`horizon` must be a whole number of at least 1; got 0"),
    (["--horizon", "-5"], "`horizon` must be a whole number of at least 1; got -5"),
    (["--horizon", "2000000"], "`horizon` must be at most 1,000,000 steps; got 2,000,000"),
    (["--hidden", "0"], "`hidden` must be a whole number of at least 1; got 0"),
    (["--batch", "0"], "`batch` must be a whole number of at least 1; got 0"),
    (["--seeds", "0"], "`seeds` must be a whole number of at least 1; got 0"),
    (["--seeds", "-1", "--quick"], "`seeds` must be a whole number of at least 1; got -1"),
    (["--seeds", "1000000000"], "`seeds` must be at most 1,000; got 1,000,000,000"),
    (["--cells", "rnn,elman"], "`cells` must be some of rnn, gru, lstm, separated by commas; got 'elman'"),
    (["--cells", ""], "`cells` must be some of rnn, gru, lstm, separated by commas; got ''"),
    (["--cells", "RNN"], "`cells` must be some of rnn, gru, lstm, separated by commas; got 'RNN'"),
    (["--text", "empty"], "`text` must be a file with at least one byte; got the empty file 'empty'"),
    (["--text", "binary"], "`text` must be a text file; got a binary one: 'binary' has a NUL byte at offset 2"),
    (["--text", "latin"], "`text` must be a UTF-8 file; got byte 0xfc at offset 2 of 'latin'"),
    (["--text", "short"], "`text` must be at least as long as the horizon, 10,000 bytes; got 999 bytes"),
    (["--text", "absent"], "`text` must be a readable text file; got 'absent': No such file or directory"),
    (["--text", "full"], "`text` must be a readable text file; got 'full': Is a directory"),
    (["--series", "words.csv:rain"], "`series` must be a column, one of 'day', 'temp' or a number from 0 to 1; got"),
    (["--series", "words.csv:temp"], "`series` must be finite numbers; got 'warm' in row 2, column 1 of 'words.csv'"),
    (["--series", "short.csv"], "`series` must be at least as long as the horizon, 10,000 values; got 2 values"),
    (["--series", "flat.csv", "--quick"], "`series` must be a series that varies; got the constant 1"),
    (["--series", "pickled.npy"], "`series` must be a NPY file of numbers; got 'pickled.npy'"),
    (["--series", "absent.csv:x"], "`series` must be a readable CSV or NPY file; got 'absent.csv': No such file"),
    (["--series", "n" * 300], "`series` must be a readable CSV or NPY file; got 'nnn"),
    (["--series", ""], "`series` must be a readable CSV or NPY file; got '"),
    (["--noise", "-1"], "`noise` must be a positive standard deviation; got -1.0"),
    (["--noise", "nan"], "`noise` must be a positive standard deviation; got nan"),
    (["--noise", "inf"], "`noise` must be a positive standard deviation; got inf"),
    (["--quick", "--noise", "0"], "`noise` must be a positive standard deviation; got 0.0"),
    (["--quick", "--noise", "1e38"], "of the input 'noise'"),
    (["--text", "short", "--silent"], "`silent` must be left out beside `text`"),
    (["--series", "short.csv", "--noise", "1"], "`noise` must be left out beside `series`"),
    (["--quick", "--noise", "0", "--silent"], "`silent` must be left out beside `noise`"),
    (["--hidden", BIG], "1000000 hidden units, about"),
    (["--horizon", BIG, "--batch", "10000"], "1,000,000 steps, batch 10000, 32 features"),
    (["--encoding", "one-hot", "--horizon", BIG, "--batch", "1000"], "256 features"),
    (["--hidden", "1" + "0" * 400], "must fit in memory"),
    (["--out", "short"], "`out` must be a folder that can be written to; got 'short': File exists"),
    (["--out", "short/below"], "`out` must be a folder that can be written to; got 'short/below': Not a directory"),
    (["--out", "/proc/no/folder"], "`out` must be a folder that can be written to; got '/proc/no/folder'"),
    (["--out", "n" * 300], "`out` must be a folder that can be written to; got 'nnn"),
]  # fmt: skip


def check_refusal(status, out, err, message):
    """Status 2 and exactly one sentence, on standard error alone."""
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    assert re.fullmatch(r"gatedrnn: `\w+`[^\n]* must [^\n]*; got [^\n]*\.\n", err)
    assert not re.search(r"\. [A-Z]", err)
    assert message in err


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(arguments)[:40] for arguments, _ in BAD])
def test_bad_input(inputs_on_disk, arguments, message):
    """One sentence that names the argument, what was expected and what came; nothing is written, nothing left."""
    before = tree(inputs_on_disk)
    out = [] if "--out" in arguments else ["--out", "full"]
    result = invoke(*arguments, *out)
    check_refusal(result.exit_code, result.stdout, result.stderr, message)
    assert tree(inputs_on_disk) == before


@pytest.mark.parametrize("index", [1, 12, 33, 37])
def test_bad_input_in_a_process_of_its_own(inputs_on_disk, index):
    """The same through the installed command: horizon, text, memory and folder."""
    arguments, message = BAD[index]
    before = tree(inputs_on_disk)
    check_refusal(*finish(command(*arguments, cwd=inputs_on_disk)), message)
    assert tree(inputs_on_disk) == before


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("horizon", "ten"),
        ("horizon", "1.5"),
        ("hidden", "1e3"),
        ("noise", "loud"),
        ("dtype", "int8"),
        ("encoding", "x"),
    ],
)
def test_what_is_no_number_or_no_choice(inputs_on_disk, option, value):
    """Refused while the line is parsed: status 2, one sentence with the option and the value, nothing written."""
    before = tree(inputs_on_disk)
    result = invoke(f"--{option}", value)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(rf"gatedrnn: [^\n]*'--{option}'[^\n]*'{value}'[^\n]*\.\n", result.stderr)
    assert tree(inputs_on_disk) == before


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "gatedrnn: interrupted; no file was changed.\n"),
        (MemoryError(), 2, "gatedrnn: out of memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes"), 2, "gatedrnn: out of memory"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (RuntimeError("a bug of ours"), 1, ""),
    ],
)
def test_errors_while_it_runs(inputs_on_disk, monkeypatch, error, status, message):
    """What the reader can act upon is a sentence; what is a mistake of the program's own stays an error."""

    def compare(*_, **__):
        raise error

    monkeypatch.setattr(gr.flow, "compare", compare)
    before = tree(inputs_on_disk)
    result = invoke("--silent", "--out", "new/er")
    assert (result.exit_code, result.stdout) == (status, "")
    assert message in result.stderr
    assert (result.exception is error) == (status == 1)
    assert tree(inputs_on_disk) == before
