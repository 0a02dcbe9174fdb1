"""`gatedrnn compare` from end to end: what it prints and writes, and being interrupted."""

import re
import shlex
import shutil
import signal
import struct
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import gatedrnn as gr

FILES = ["comparison.json", "gates.png", "gates.svg", "report.html", "waterfall.png", "waterfall.svg"]
RUN_KEYS = {
    *("cell", "input", "init", "horizon", "hidden_size", "seed", "lags", "log10_norm", "rate_log10_per_step"),
    *("half_life", "lag_below_1e3", "lag_below_float32", "lag_below_float64", "lowest", "highest", "lyapunov_max"),
    "verdict",
}
PROGRESS = re.compile(r"compare \d+/\d+: [^\n]+\n")
TINY = ("--cells", "rnn", "--horizon", "20", "--hidden", "2", "--seeds", "1")


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


@pytest.fixture
def check_files(read_json):
    """(out) -> the results; every file is whole and of its kind."""

    def check(out):
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
        return read_json(out / "comparison.json")

    return check


@pytest.fixture(scope="module")
def good(tmp_path_factory, start_compare, finish):
    """One run with the default input, in a folder whose name needs quoting: (status, out, err, arguments, folder)."""
    cwd = tmp_path_factory.mktemp("good run")
    arguments = ("--quick", "--horizon", "80", "--hidden", "4", "--batch", "2", "--out", "new/größe out")
    return *finish(start_compare(*arguments, cwd=cwd)), arguments, cwd / "new/größe out"


def test_a_good_run_says_what_it_found(good):
    """A table of 80 columns on standard output, lines of progress on standard error, status 0."""
    status, out, err, _, folder = good
    assert status == 0
    assert not PROGRESS.sub("", err) and re.search(r"compare (\d+)/\1: \S+[^\n]*\n$", err)
    assert "\x1b" not in out
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= 80
    for cell in gr.cells.CLASSICS:
        inits = ("default", "chrono") if gr.cells.CLASSICS[cell].horizon_option else ("default",)
        for init in inits:
            for name in ("silent", "text"):
                assert re.search(rf"^{cell} +{init} +{name} .*(isometric|vanishing|exploding) *$", out, re.MULTILINE)
    assert "80 steps, 4 units" in out
    assert "note: rnn names no option" in out
    words = " ".join(out.split())
    assert all(name in words for name in FILES)
    assert str(folder.relative_to(folder.parents[1])) in words


def test_a_good_run_writes_what_it_says(good, check_files):
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


@pytest.mark.slow
def test_float64_text_file_one_hot(tmp_path, check_files, start_compare, finish):
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
    process = start_compare(*arguments, "--horizon", "50", "--hidden", "3", "--out", "link/../link", cwd=tmp_path)
    status, _, err = finish(process)
    assert (status, PROGRESS.sub("", err)) == (0, "")
    record = check_files(tmp_path / "real")
    for run in record["runs"]:
        if run["input"] == "silent":
            np.testing.assert_allclose(run["log10_norm"], run["closed_form_log10_norm"], rtol=1e-9, atol=1e-9)


def test_a_series_in_this_process(tmp_path, monkeypatch, check_files, invoke):
    """The same without a process of its own, over a CSV column, in bfloat16; the folder existed and keeps its file."""
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text("day,temp\n" + "\n".join(f"{i},{i * i % 7}" for i in range(30)))
    Path("out").mkdir()
    result = invoke("compare", *TINY, "--series", "data.csv:temp", "--dtype", "bfloat16", "--out", "out")
    assert (result.exit_code, PROGRESS.sub("", result.stderr)) == (0, "")
    assert re.search(r"^rnn +default +series ", result.stdout, re.MULTILINE)
    assert {run["input"] for run in check_files(tmp_path / "out")["runs"]} == {"silent", "series"}


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


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])
@pytest.mark.parametrize(
    ("program", "arguments"), [(RUNNING, MANY), (WRITING, (*TINY, "--silent"))], ids=["run", "write"]
)
def test_interrupted(good, tmp_path, program, arguments, stop, start_compare, finish, read_json, tree):
    """Earlier results stay byte for byte; SIGINT leaves nothing and says so; after SIGKILL a rerun succeeds."""
    out = tmp_path / "out"
    shutil.copytree(good[-1], out)
    before = tree(tmp_path)
    process = start_compare(*arguments, "--out", "out", "--force", cwd=tmp_path, program=program)
    assert process.stdout.readline() == "here\n"
    process.send_signal(stop)
    status, _, err = finish(process)
    after = tree(tmp_path)
    assert {name: after[name] for name in before} == before
    added = {name for name in after if name not in before}
    if stop == signal.SIGINT:
        assert (status, PROGRESS.sub("", err).strip().count("\n")) == (130, 0)
        assert "interrupted; no file was changed" in err
        assert added == set()
    else:
        assert status == -signal.SIGKILL
        assert all(name.startswith(("out/.unfinished-", "out/.gatedrnn.lock")) for name in added)
        assert len(read_json(out / "comparison.json")["runs"]) == 10
    if program is WRITING and stop == signal.SIGKILL:
        rerun = finish(start_compare(*TINY, "--silent", "--out", "out", "--force", cwd=tmp_path))
        assert (rerun[0], PROGRESS.sub("", rerun[2])) == (0, "")
        assert len(read_json(out / "comparison.json")["runs"]) == 1
