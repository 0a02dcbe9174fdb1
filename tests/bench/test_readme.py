"""The README's examples run, its links lead somewhere, and its tables are those of the records."""

import re

import pytest


def test_tables_come_from_the_records(run):
    """No number in the README's tables was typed by hand."""
    assert run("-m", "benchmarks.tables", "--check").returncode == 0


@pytest.mark.parametrize(("index", "begins"), [(0, ("isometric\n", "vanishing\n", "exploding\n")), (1, "0.1732")])
def test_examples_run(run, project, index, begins):
    """The examples are complete as printed; they name a verdict, and the chance loss."""
    examples = re.findall(r"```python\n(.*?)```", (project / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 2
    done = run("-W", "error", "-c", examples[index])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(begins)


@pytest.mark.parametrize("target", ["benchmarks/results/gradient-flow/waterfall.png", "notebooks"])
def test_links_lead_somewhere(project, target):
    """What the README links to within the project is there."""
    text = (project / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", text)
    assert any(link.startswith(target) for link in links)
    assert all((project / link).exists() for link in links)
