"""The README's examples run, its links lead somewhere, and its tables are those of the records."""

import re

import jax
import pytest

from benchmarks.tables import durations


@pytest.fixture(scope="module")
def readme(project):
    """Its text."""
    return (project / "README.md").read_text(encoding="utf-8")


def blocks(text):
    """Its blocks of Python."""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_tables_come_from_the_records(run):
    """No number in a table of the README or of the documentation was typed by hand."""
    done = run("-m", "benchmarks.tables", "--check")
    assert done.returncode == 0, done.stdout


def test_it_is_short(readme):
    """Two minutes."""
    assert len(readme.splitlines()) <= 150


def test_the_example_runs(run, readme):
    """The first example is complete as printed; it names a verdict, and its gradient step lowers the loss."""
    done = run("-W", "error", "-c", blocks(readme)[0])
    assert done.returncode == 0, done.stderr
    word, losses = done.stdout.splitlines()
    assert word == "isometric"
    before, after = map(float, re.findall(r"\d+\.\d+", losses))
    assert after < before


@pytest.mark.slow
def test_coming_from_elsewhere(readme, peers):
    """At most five lines each, which run where the names of the other side are there."""
    code = blocks(readme)[1]
    assert len(blocks(readme)) == 2
    assert all(len(part.splitlines()) <= 5 for part in code.split("\n\n"))
    import flax.linen as nn
    import torch
    from flax import nnx

    import gatedrnn as gr

    xs, key = jax.numpy.ones((20, 4, 8)), jax.random.key(0)
    variables = nn.GRUCell(16).init(key, jax.numpy.ones((4, 16)), xs[0])
    given = {"gr": gr, "torch": torch, "nn": nn, "nnx": nnx, "xs": xs, "key": key, "variables": variables}
    given |= {"xs": xs.swapaxes(0, 1), "observations": xs, "lengths": jax.numpy.array([20, 0, 3, 7])}
    given |= {"dones": jax.numpy.zeros((20, 4), bool)}
    exec(code.replace("observations, carry, reset", "observations, None, reset"), given)
    assert given["ys"].shape == (20, 4, 16)


def test_the_commands_are_those_that_were_timed(readme):
    """Each stands in the README as it was run."""
    for command in (durations.COMPARE, *durations.TRAIN):
        assert f".venv/bin/{command}\n" in readme


@pytest.mark.parametrize("target", ["benchmarks/results/gradient-flow/waterfall.png", "notebooks", "docs/"])
def test_links_lead_somewhere(project, readme, target):
    """What the README links to within the project is there."""
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", readme)
    assert any(link.startswith(target) for link in links)
    assert all((project / link).exists() for link in links)
