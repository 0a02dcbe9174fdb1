"""Programs as their tests run them, and notebooks as theirs read them: by the test module's NOTEBOOK and SMALL."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def project():
    """The project's folder."""
    return PROJECT


@pytest.fixture(scope="session")
def run():
    """`(*arguments) -> CompletedProcess` of a Python process in the project's folder."""

    def run(*arguments):
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    return run


class Notebook:
    """A notebook, its code cells, and what they displayed."""

    def __init__(self, content):
        self.content = content
        self.cells = [cell for cell in content.cells if cell.cell_type == "code"]

    def assert_whole(self, pictures):
        """Every cell ran, in order and without an error, and so many pictures are there."""
        assert [cell.execution_count for cell in self.cells] == list(range(1, len(self.cells) + 1))
        assert not [output for cell in self.cells for output in cell.outputs if output.output_type == "error"]
        assert len(self.outputs("image/png")) == pictures

    def assert_clean(self):
        """No metadata of an editor, no warning, no folder of a machine."""
        assert self.content.metadata.kernelspec.name == "python3"
        assert set(self.content.metadata) == {"kernelspec", "language_info"}
        assert all(not cell.metadata for cell in self.content.cells)
        streams = [output for cell in self.cells for output in cell.outputs if output.output_type == "stream"]
        assert {output.name for output in streams} == {"stdout"}
        shown = "\n".join([*(output.text for output in streams), *self.outputs("text/markdown")])
        assert not re.search(r"[Ww]arning|/(home|root|tmp|usr|work|Users)/", shown)

    def outputs(self, kind):
        """What was displayed under a MIME type, in order."""
        found = [output.get("data", {}).get(kind) for cell in self.cells for output in cell.outputs]
        return [content for content in found if content is not None]

    def table(self, header):
        """Rows of the one table whose first line contains `header`, without emphasis."""
        tables = [content for content in self.outputs("text/markdown") if content.startswith("|")]
        (source,) = [content for content in tables if header in content.split("\n")[0]]
        return [[cell.strip(" *") for cell in line.strip("| ").split(" | ")] for line in source.split("\n")[2:]]

    def sentence(self, pattern):
        """The groups of the one place where `pattern` occurs in the displayed text."""
        (match,) = re.finditer(pattern, "\n".join(self.outputs("text/markdown")))
        return match.groups()


@pytest.fixture(scope="module")
def committed(request):
    """The notebook as it is, valid."""
    content = nbformat.read(request.module.NOTEBOOK, as_version=4)
    nbformat.validate(content)
    return Notebook(content)


@pytest.fixture(scope="module")
def executed(request, tmp_path_factory):
    """The notebook after a run at the sizes SMALL in an empty folder; a failing cell raises `CellExecutionError`."""
    content, folder = nbformat.read(request.module.NOTEBOOK, as_version=4), tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in request.module.SMALL.items():
            patch.setenv(f"GATEDRNN_NOTEBOOK_{name}", str(value))
        for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(folder / name))
        patch.setenv("PYTHONPATH", str(PROJECT))  # this tree, whatever else is installed
        patch.delenv("PYTHONWARNINGS", raising=False)
        client = NotebookClient(content, timeout=300, resources={"metadata": {"path": str(folder)}})
        return Notebook(client.execute())


@pytest.fixture(params=[pytest.param("executed", marks=pytest.mark.slow), "committed"])
def either(request):
    """One after the other."""
    return request.getfixturevalue(request.param)
