"""`gatedrnn compare`: every kind of bad input, and errors while it runs, in one sentence each."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import gatedrnn as gr
from gatedrnn.cli import app

CELLS = ", ".join(gr.cells.CELLS)


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


BIG = 10**6
BAD = {
    "--horizon 0": "`horizon` must be a whole number of at least 1; got 0",
    "--horizon -5": "`horizon` must be a whole number of at least 1; got -5",
    "--horizon ten": "'--horizon': must be a whole number; got 'ten'.",
    "--horizon 1.5": "'--horizon': must be a whole number; got '1.5'.",
    "--horizon 2000000": "`horizon` must be at most 1,000,000 steps; got 2,000,000",
    "--hidden 0": "`hidden` must be a whole number of at least 1; got 0",
    "--hidden 1e3": "'--hidden': must be a whole number; got '1e3'.",
    "--batch 0": "`batch` must be a whole number of at least 1; got 0",
    "--seeds 0": "`seeds` must be a whole number of at least 1; got 0",
    "--seeds -1 --quick": "`seeds` must be a whole number of at least 1; got -1",
    "--seeds 1000000000": "`seeds` must be at most 1,000; got 1,000,000,000",
    "--cells rnn,elman": f"`cells` must be some of {CELLS}, separated by commas; got 'elman'",
    "--cells ''": f"`cells` must be some of {CELLS}, separated by commas; got ''",
    "--cells RNN": f"`cells` must be some of {CELLS}, separated by commas; got 'RNN'",
    "--text empty": "`text` must be a file with at least one byte; got the empty file 'empty'",
    "--text binary": "`text` must be a text file; got a binary one: 'binary' has a NUL byte at offset 2",
    "--text latin": "`text` must be a UTF-8 file; got byte 0xfc at offset 2 of 'latin'",
    "--text short": "`text` must be at least as long as the horizon, 10,000 bytes; got 999 bytes",
    "--text absent": "`text` must be a readable text file; got 'absent': No such file or directory",
    "--text full": "`text` must be a readable text file; got 'full': Is a directory",
    "--series words.csv:rain": "`series` must be a column, one of 'day', 'temp' or a number from 0 to 1; got",
    "--series words.csv:temp": "`series` must be finite numbers; got 'warm' in line 2, column 1 of 'words.csv'",
    "--series short.csv": "`series` must be at least as long as the horizon, 10,000 values; got 2 values",
    "--series flat.csv --quick": "`series` must be a series that varies; got the constant 1",
    "--series pickled.npy": "`series` must be a NPY file of numbers; got 'pickled.npy'",
    "--series absent.csv:x": "`series` must be a readable file of numbers; got 'absent.csv': No such file",
    f"--series {'n' * 300}": "`series` must be a readable file of numbers; got 'nnn",
    "--dtype int8": "'--dtype': Value error, 'int8' is not one of 'float32', 'float64', 'bfloat16'.",
    "--encoding x": "'--encoding': Value error, 'x' is not one of 'embedded', 'one-hot'.",
    "--noise loud": "'--noise': must be a number; got 'loud'.",
    "--noise -1": "`noise` must be a positive standard deviation; got -1.0",
    "--noise nan": "`noise` must be a positive standard deviation; got nan",
    "--noise inf": "`noise` must be a positive standard deviation; got inf",
    "--quick --noise 0": "`noise` must be a positive standard deviation; got 0.0",
    "--noise 1e-320": "`noise` must be a standard deviation that float32 holds, from 1.2e-38 to 3.4e+38; got 1e-320",
    "--noise 1e39": "`noise` must be a standard deviation that float32 holds, from 1.2e-38 to 3.4e+38; got 1e+39",
    "--noise 1e39 --dtype bfloat16": "`noise` must be a standard deviation that bfloat16 holds, from 1.2e-38 to 3.4",
    "--noise 1e-320 --dtype float64": "`noise` must be a standard deviation that float64 holds, from 2.2e-308 to 1.8",
    "--quick --noise 1e38": "of the input 'noise'",
    "--text short --silent": "`silent` must be left out beside `text`",
    "--series short.csv --noise 1": "`noise` must be left out beside `series`",
    "--quick --noise 0 --silent": "`silent` must be left out beside `noise`",
    f"--hidden {BIG}": "1000000 hidden units, about",
    f"--horizon {BIG} --batch 10000": "1,000,000 steps, batch 10000, 32 features",
    f"--encoding one-hot --horizon {BIG} --batch 1000": "256 features",
    f"--hidden 1{'0' * 400}": "must fit in memory",
    "--out short": "`out` must be a folder that can be written to; got 'short': File exists",
    "--out short/below": "`out` must be a folder that can be written to; got 'short/below': Not a directory",
    "--out /proc/no/folder": "`out` must be a folder that can be written to; got '/proc/no/folder'",
    f"--out {'n' * 300}": "`out` must be a folder that can be written to; got 'nnn",
}  # fmt: skip


def in_a_full_folder(line):
    """The arguments of a line, which may replace the results in a folder unless it names another."""
    return [*shlex.split(line), *([] if "--out" in line else ["--out", "full", "--force"])]


@pytest.mark.parametrize("line", BAD, ids=[line[:40] for line in BAD])
def test_bad_input(inputs_on_disk, line, check_refused):
    """One sentence that names the argument, what was expected and what came; nothing is written, nothing left."""
    check_refused(("compare", *in_a_full_folder(line)), BAD[line])


@pytest.mark.parametrize("line", ["--horizon -5", "--text binary", f"--hidden {BIG}", "--out short"])
def test_bad_input_in_a_process_of_its_own(inputs_on_disk, line, check_refused, start_compare, finish):
    """The same through the installed command: horizon, text, memory and folder."""
    check_refused(in_a_full_folder(line), BAD[line], run=lambda *line: finish(start_compare(*line, cwd=inputs_on_disk)))


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted; no file was changed"),
        (MemoryError(), 2, "out of memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes"), 2, "out of memory"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (RuntimeError("a bug of ours"), 1, ""),
    ],
)
def test_errors_while_it_runs(inputs_on_disk, monkeypatch, error, status, message, invoke, tree):
    """What the reader can act upon is a sentence; what is a mistake of the program's own stays an error."""

    def compare(*_, **__):
        raise error

    monkeypatch.setattr(gr.flow, "compare", compare)
    before = tree(inputs_on_disk)
    result = invoke("compare", "--silent", "--out", "new/er")
    assert (result.exit_code, result.stdout) == (status, "")
    assert message in result.stderr
    assert (result.exception is error) == (status == 1)
    assert tree(inputs_on_disk) == before
