"""`gatedrnn compare` from end to end: what it prints and writes, every kind of bad input, and being interrupted."""

import json
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import sysconfig
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

import gatedrnn as gr
from gatedrnn.cli import app
from gatedrnn.tasks import text

FILES = ["comparison.json", "gates.png", "gates.svg", "report.html", "waterfall.png", "waterfall.svg"]
RUN_KEYS = {
    *("cell", "input", "init", "horizon", "hidden_size", "seed", "lags", "log10_norm", "rate_log10_per_step"),
    *("half_life", "lag_below_1e3", "lag_below_float32", "lag_below_float64", "lyapunov_max", "verdict"),
}
TINY = ("--cells", "rnn", "--horizon", "20", "--hidden", "2", "--seeds", "1")


def command(*arguments, cwd, program=None, **environment):
    """Runs the installed command (or `program`, Python code) in a process of its own."""
    executable = (
        [os.path.join(sysconfig.get_path("scripts"), "gatedrnn")]
        if program is None
        else [sys.executable, "-c", program]
    )
    env = {**os.environ, "COLUMNS": "80", **environment}
    return subprocess.Popen(
        [*executable, "compare", *arguments],
        cwd=cwd,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process):
    """Waits for a process: its exit status, standard output and standard error."""
    out, err = process.communicate()
    return process.returncode, out, err


def invoke(*arguments):
    """The command inside this process."""
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], env={"COLUMNS": "80"})


def tree(folder):
    """Everything below a folder, with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def reject(constant):
    """NaN and Infinity are no JSON."""
    raise AssertionError(constant)


def read_json(out):
    """The results, strictly parsed."""
    return json.loads((out / "comparison.json").read_text("utf-8"), parse_constant=reject)


class Links(HTMLParser):
    """Collects what a page would load, and checks that its tags are closed in order."""

    def __init__(self, page):
        """Reads a whole page."""
        super().__init__()
        self.open, self.links, self.tags = [], [], set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links += [value for name, value in attributes if name in ("src", "srcset", "href", "data", "poster")]
        if tag not in ("meta", "source", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check_files(out):
    """Every file is whole and of its kind; returns the parsed results."""
    names = [name for name in FILES if not name.startswith("gates") or (out / name).exists()]
    assert sorted(path.name for path in out.iterdir()) == names
    for name in names:
        content = (out / name).read_bytes()
        if name.endswith(".png"):
            assert content.startswith(b"\x89PNG\r\n\x1a\n")
            assert content.endswith(b"IEND\xaeB`\x82")
            width, height = struct.unpack(">II", content[16:24])
            assert 800 < width < 10_000
            assert 400 < height < 10_000
        if name.endswith(".svg"):
            assert ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
    page = (out / "report.html").read_text("utf-8")
    links = Links(page)
    assert links.open == []
    assert links.links
    assert all(link.startswith(("data:", "#")) for link in links.links)
    assert not links.tags & {"script", "link", "iframe", "object"}
    assert not re.search(r"@import|url\((?!data:|#)", page)
    return read_json(out)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """One run with the default input, in a folder whose name needs quoting: (status, out, err, arguments, folder)."""
    cwd = tmp_path_factory.mktemp("good run")
    arguments = ("--quick", "--horizon", "80", "--hidden", "4", "--batch", "2", "--out", "new/größe out")
    return *finish(command(*arguments, cwd=cwd)), arguments, cwd / "new/größe out"


def test_a_good_run_says_what_it_found(good):
    """A table of 80 columns on standard output, nothing on standard error, status 0."""
    status, out, err, _, folder = good
    assert (status, err.strip()) == (0, "")
    assert "\x1b" not in out
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= 80
    for cell in ("rnn", "gru", "lstm"):
        inits = ("default",) if cell == "rnn" else ("default", "chrono")
        for init in inits:
            for name in ("silent", "text"):
                assert re.search(rf"^{cell} +{init} +{name} .*(isometric|vanishing|exploding) *$", out, re.MULTILINE)
    assert "80 steps, 4 units" in out
    assert "note: rnn has no gate" in out
    words = " ".join(out.split())
    assert all(name in words for name in FILES)
    assert str(folder.relative_to(folder.parents[1])) in words


def test_a_good_run_leaves_standard_error_empty(good):
    """Not even an empty line, where it is no terminal."""
    assert good[2] == ""


def test_a_good_run_writes_what_it_says(good):
    """Exactly the files; the results hold every key, run and provenance."""
    *_, arguments, folder = good
    record = check_files(folder)
    assert len(record["runs"]) == 10
    assert all(set(run) >= RUN_KEYS for run in record["runs"])
    assert {run["input"] for run in record["runs"]} == {"silent", "text"}
    assert {(run["horizon"], run["hidden_size"], run["batch"], run["seed"]) for run in record["runs"]} == {
        (80, 4, 2, 0)
    }
    assert record["command"] == shlex.join(["gatedrnn", "compare", *arguments])
    assert record["versions"]["gatedrnn"] == gr.__version__
    page = (folder / "report.html").read_text("utf-8")
    assert "gatedrnn compare --quick" in page
    assert (folder / "gates.png").exists()


def test_float64_text_file_one_hot(tmp_path):
    """In float64 the measured profile at rest is the closed form to nine digits; a relative folder through a link."""
    (tmp_path / "a text.txt").write_text("Grüße, 世界. " * 10, "utf-8")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    arguments = (
        "--dtype",
        "float64",
        "--text",
        "a text.txt",
        "--encoding",
        "one-hot",
        "--cells",
        "lstm",
        "--seeds",
        "1",
    )
    process = command(*arguments, "--horizon", "50", "--hidden", "3", "--out", "link/../link", cwd=tmp_path)
    status, _, err = finish(process)
    assert (status, err.strip()) == (0, "")
    record = check_files(tmp_path / "real")
    for run in record["runs"]:
        if run["input"] == "silent":
            np.testing.assert_allclose(run["log10_norm"], run["closed_form_log10_norm"], rtol=1e-9, atol=1e-9)


def test_a_series_in_this_process(tmp_path, monkeypatch):
    """The same without a process of its own, over a CSV column, in bfloat16; the folder existed and keeps its file."""
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text("day,temp\n" + "\n".join(f"{i},{i * i % 7}" for i in range(30)))
    Path("out").mkdir()
    result = invoke(*TINY, "--series", "data.csv:temp", "--dtype", "bfloat16", "--out", "out")
    assert (result.exit_code, result.stderr.strip()) == (0, "")
    assert re.search(r"^rnn +default +series ", result.stdout, re.MULTILINE)
    assert {run["input"] for run in check_files(tmp_path / "out")["runs"]} == {"silent", "series"}


SAMPLE = gr.flow.Run(
    cell="lstm", input="series", init="default", horizon=1_000_000, hidden_size=128, batch=1, seed=0, lags=[0, 1],
    log10_norm=[0.0, -1.0], closed_form_log10_norm=None, rate_log10_per_step=-1.05e-9, half_life=301_029_995.7,
    lag_below_1e3=1_000_000, lag_below_float32=1_000_000, lag_below_float64=None, lyapunov_max=-1e-10,
    timescale_quantiles=None, verdict="vanishing: so it is",
)  # fmt: skip


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Stands in for the measurement: what the command asked of it, as (cells, inputs, options)."""
    calls = []

    def compare(cells, inputs, on_run, **options):
        calls.append(([cell.name for cell in cells], inputs, options))
        return gr.flow.Comparison((SAMPLE,))

    monkeypatch.setattr(gr.flow, "compare", compare)
    monkeypatch.setattr(gr.flow.Comparison, "save", lambda self, out: [out / "comparison.json"])
    monkeypatch.chdir(tmp_path)
    return calls


def only(asked, *arguments):
    """The one measurement that a command line asks for."""
    result = invoke(*arguments)
    assert (result.exit_code, result.stderr.strip()) == (0, "")
    (call,) = asked
    return call


def test_defaults(asked):
    """Three cells, 10,000 steps of the help text, 128 units, three seeds, at rest and driven."""
    cells, inputs, options = only(asked)
    assert cells == ["rnn", "gru", "lstm"]
    assert options == {"hidden_size": 128, "seeds": 3, "dtype": "float32"}
    assert list(inputs) == ["silent", "text"]
    assert not inputs["silent"].any()
    want = text.embed(text.windows(text.help_text(), 10_000, 1), 32)
    np.testing.assert_array_equal(inputs["text"], want)
    assert inputs["silent"].shape == want.shape == (10_000, 1, 32)


def test_quick_is_a_bound(asked):
    """At most 1,000 steps, 32 units and one seed; less stays less."""
    _, inputs, options = only(asked, "--quick", "--hidden", "5", "--seeds", "4", "--cells", " gru , rnn,gru")
    assert (inputs["text"].shape, options["hidden_size"], options["seeds"]) == ((1000, 1, 32), 5, 1)
    assert asked[0][0] == ["gru", "rnn"]


def test_text_one_hot(asked, tmp_path):
    """The bytes of the file, batch by batch from its beginning to its end."""
    (tmp_path / "t").write_bytes("äbc".encode())
    _, inputs, _ = only(asked, "--text", "t", "--encoding", "one-hot", "--horizon", 3, "--batch", 2)
    assert inputs["text"].shape == inputs["silent"].shape == (3, 2, 256)
    np.testing.assert_array_equal(np.asarray(inputs["text"]).argmax(-1).T, [[0xC3, 0xA4, 0x62], [0xA4, 0x62, 0x63]])


@pytest.mark.parametrize("name", ["d.csv:b", "d.csv:1", "d:1.csv:b", "d:1.csv:a:b", "d.npy:1", "e.npy", "d:2.csv"])
def test_series_columns(asked, tmp_path, name):
    """FILE or FILE:COLUMN, by name or number; both may contain colons."""
    table = np.array([[5.0, 1.0], [6.0, -1.0]])
    np.save(tmp_path / "d.npy", table)
    np.save(tmp_path / "e.npy", table[:, 1])
    (tmp_path / "d.csv").write_text("a,b\n5,1\n6,-1\n")
    (tmp_path / "d:1.csv").write_text("b,a:b\n1,1\n-1,-1\n")
    (tmp_path / "d:2.csv").write_text("1\n-1\n")
    _, inputs, _ = only(asked, "--series", name, "--horizon", 2)
    np.testing.assert_array_equal(inputs["series"], [[[1]], [[-1]]])
    assert inputs["silent"].shape == (2, 1, 1)


def test_noise(asked):
    """Gaussian, of the deviation asked for, the same each time."""
    _, inputs, _ = only(asked, "--noise", "2.5", "--horizon", 2000)
    noise = np.asarray(inputs["noise"], np.float64)
    assert noise.shape == (2000, 1, 32)
    assert abs(noise.std() / 2.5 - 1) < 4 / noise.size**0.5
    assert abs(noise.mean()) < 4 * 2.5 / noise.size**0.5


def test_silent_alone(asked):
    """No other input."""
    _, inputs, options = only(asked, "--silent", "--dtype", "bfloat16", "--horizon", 7)
    assert list(inputs) == ["silent"]
    assert (inputs["silent"].dtype, options["dtype"]) == (jnp.bfloat16, "bfloat16")


def test_help_text_is_read_again_for_a_longer_horizon(asked):
    """A million steps of half a million bytes, with a note."""
    result = invoke("--horizon", 600_000)
    assert result.exit_code == 0
    assert "bytes; it is read again from its start to fill the horizon." in " ".join(result.stdout.split())
    values = np.asarray(asked[0][1]["text"])
    count = len(text.help_text())
    np.testing.assert_array_equal(values[count : count + 1000], values[:1000])


def test_the_widest_numbers_fit_the_terminal(asked):
    """A million steps, a half-life of 300 million: 80 columns, and no number is cut."""
    out = invoke("--silent").stdout
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    assert re.search(r"lstm +default +series +-1.\de-09 ", out)


def test_a_folder_is_printed_as_it_is_called(asked):
    """A name that looks like markup, or like an emoji, is printed and not obeyed."""
    result = invoke("--silent", "--out", "a [/b] [red] :smile:")
    assert result.exit_code == 0
    assert "to a [/b] [red] :smile:/" in " ".join(result.stdout.split())


@pytest.mark.parametrize("line", [["--horizon", "5"], ["compere"], ["compare", "--horizons", "5"], ["compare", "x"]])
def test_what_is_no_option_or_no_command(line):
    """One sentence with the word that was not understood."""
    result = CliRunner().invoke(app, line, env={"COLUMNS": "80"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"gatedrnn: [^\n]*(--horizon|compere|--horizons|x)[^\n]*\n", result.stderr)


def test_help_and_version():
    """Every option is explained, in 80 columns; the bare command lists its commands."""
    bare = CliRunner().invoke(app, [], env={"COLUMNS": "80"})
    assert (bare.exit_code, bare.stderr) == (0, "")
    assert "compare" in bare.stdout
    result = invoke("--help")
    assert result.exit_code == 0
    options = "cells horizon hidden batch seeds dtype text encoding series noise silent out quick"
    assert all(f"--{name} " in result.stdout for name in options.split())
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert CliRunner().invoke(app, ["--version"]).stdout == f"gatedrnn {gr.__version__}\n"


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


RUNNING = """
import sys, gatedrnn
compare = gatedrnn.flow.compare
def telling(*args, on_run, **options):
    def tell(*call):
        on_run(*call)
        print("here", flush=True)
    return compare(*args, on_run=tell, **options)
gatedrnn.flow.compare = telling
from gatedrnn.cli import main
main()
"""
WRITING = """
import time
from gatedrnn import plots
save = plots.save
def slow(*args):
    save(*args)
    print("here", flush=True)
    time.sleep(1000)
plots.save = slow
from gatedrnn.cli import main
main()
"""
MANY = ("--cells", "rnn", "--silent", "--horizon", "50000", "--hidden", "2", "--seeds", "1000")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])
@pytest.mark.parametrize(
    ("program", "arguments"), [(RUNNING, MANY), (WRITING, (*TINY, "--silent"))], ids=["run", "write"]
)
def test_interrupted(good, tmp_path, program, arguments, stop):
    """Earlier results stay byte for byte; SIGINT leaves nothing and says so; after SIGKILL a rerun succeeds."""
    out = tmp_path / "out"
    shutil.copytree(good[-1], out)
    before = tree(tmp_path)
    process = command(*arguments, "--out", "out", cwd=tmp_path, program=program)
    assert process.stdout.readline() == "here\n"
    process.send_signal(stop)
    status, _, err = finish(process)
    after = tree(tmp_path)
    assert {name: after[name] for name in before} == before
    added = {name for name in after if name not in before}
    if stop == signal.SIGINT:
        assert (status, err.strip()) == (130, "gatedrnn: interrupted; no file was changed.")
        assert added == set()
    else:
        assert status == -signal.SIGKILL
        assert all(name.startswith("out/.unfinished-") for name in added)
        assert len(read_json(out)["runs"]) == 10
    if program is WRITING and stop == signal.SIGKILL:
        rerun = finish(command(*TINY, "--silent", "--out", "out", cwd=tmp_path))
        assert (rerun[0], rerun[2].strip()) == (0, "")
        assert len(read_json(out)["runs"]) == 1
