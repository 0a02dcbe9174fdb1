"""The documentation's examples run and print what it says, its commands exist, and its navigation names every page."""

import contextlib
import importlib.util
import io
import operator
import re
import shlex
from pathlib import Path

import jax
import pytest
from typer.testing import CliRunner

import gatedrnn as gr
from gatedrnn.cli import app

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {page.relative_to(DOCS).as_posix(): page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md"))}
SLOW = ("guides/cells.md", "guides/methods.md", "guides/modules.md", "guides/weights.md")
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
EXAMPLES = {name: BLOCK.findall(page) for name, page in PAGES.items()}


@pytest.fixture
def plain(strict_promotion, tmp_path, monkeypatch):
    """A folder of its own, and JAX as users have it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.thinned(7)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name, found in EXAMPLES.items() if found],
)
def test_examples(name, plain):
    """All blocks of a page in one namespace; a block of text right below one is what it prints."""
    namespace = {"__name__": "page"}
    for code, wanted in EXAMPLES[name]:
        needed = re.match(r"# needs (\w+)\n", code)
        if needed and importlib.util.find_spec(needed[1]) is None:
            continue
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, name, "exec"), namespace)
        assert not wanted or printed.getvalue() == wanted


def test_there_are_examples():
    """The pattern finds every block of Python."""
    assert sum(map(len, EXAMPLES.values())) == sum(page.count("```python\n") for page in PAGES.values()) > 50


def test_the_navigation_names_every_page():
    """And no other, but for those that are made of other files."""
    named = set(re.findall(r"[\w/-]+\.md", (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")))
    made = {"changelog.md", "performance/notes.md"}
    made |= {f"lessons/{notebook.stem}.md" for notebook in (DOCS.parent / "notebooks").glob("*.ipynb")}
    assert named == made | set(PAGES)


def test_names_are_there():
    """Whatever stands as code and begins with `gr.` is a name of the library."""
    names = {name for page in PAGES.values() for name in re.findall(r"`gr\.([\w.]+)", page)}
    assert len(names) > 50
    for name in names:
        assert operator.attrgetter(name)(gr) is not None


COMMANDS = [
    line
    for page in PAGES.values()
    for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("gatedrnn ")
]


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_commands_have_these_options(command):
    """What stands in the documentation is understood as far as `--help` goes."""
    name, *arguments = shlex.split(command, comments=True)[1:]
    told = CliRunner().invoke(app, [name, "--help"])
    assert told.exit_code == 0
    options = {argument for argument in arguments if argument.startswith("--")}
    assert options <= set(re.findall(r"--[a-z-]+", told.output))


def test_commands_are_the_ones_that_were_run():
    """Each `run` mark is followed by its own command and by what it printed."""
    for page in PAGES.values():
        for command, below in re.findall(r"<!-- run: (.*?) -->\n(.*?)<!-- end -->", page, re.DOTALL):
            assert below.startswith(f"```sh\n{command}\n```\n\n```text\n")
