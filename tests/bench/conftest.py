"""Programs as their tests run them, and notebooks as Colab runs them: by the test module's NOTEBOOK and SMALL."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
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


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """By kind, a wheel and a source distribution of this tree, built without a network."""
    pytest.importorskip("hatchling")
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("dist")

    def build(builder):
        (found,) = builder(str(PROJECT)).build(directory=str(folder), versions=["standard"])
        return found

    return {"sdist": build(SdistBuilder), "wheel": build(WheelBuilder)}


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


def make_elsewhere(folder):
    """An environment that has what this one has, by links, but not gatedrnn; its Python."""
    venv.create(folder / "venv", symlinks=os.name != "nt")
    paths = sysconfig.get_paths("venv", {"base": str(folder / "venv"), "platbase": str(folder / "venv")})
    links = folder / "packages"
    links.mkdir()
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(place).iterdir():
            if entry.suffix != ".pth" and not entry.name.startswith("gatedrnn"):
                (links / entry.name).symlink_to(entry)
    Path(paths["purelib"], "links.pth").write_text(str(links))
    return shutil.which("python", path=paths["scripts"])


@pytest.fixture(scope="session")
def run_elsewhere(tmp_path_factory):
    """(content, folder, **variables) -> the notebook, run in `folder` as Colab would: with no gatedrnn but a wheel's.

    pip is left no index, so that what it installs lies in the folder. A failing cell raises `CellExecutionError`.
    """

    def run_notebook(content, folder, **variables):
        made = tmp_path_factory.mktemp("elsewhere")
        spec = made / "jupyter" / "kernels" / "elsewhere"
        spec.mkdir(parents=True)
        command = [make_elsewhere(made), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        about = {"argv": command, "display_name": "elsewhere", "language": "python"}
        (spec / "kernel.json").write_text(json.dumps(about))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JUPYTER_PATH", str(made / "jupyter"))
            patch.setenv("PIP_NO_INDEX", "1")
            for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
                patch.setenv(name, str(made / name))
            for name in ("PYTHONPATH", "PYTHONWARNINGS"):
                patch.delenv(name, raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            resources = {"metadata": {"path": str(folder)}}
            return NotebookClient(content, timeout=300, kernel_name="elsewhere", resources=resources).execute()

    return run_notebook


@pytest.fixture(scope="module")
def executed(request, tmp_path_factory, run_elsewhere, built):
    """The notebook after a run at the sizes SMALL, in a folder with a wheel of this tree and nothing else."""
    content, folder = nbformat.read(request.module.NOTEBOOK, as_version=4), tmp_path_factory.mktemp("notebook")
    shutil.copy(built["wheel"], folder)
    sizes = {f"GATEDRNN_NOTEBOOK_{name}": str(value) for name, value in request.module.SMALL.items()}
    return Notebook(run_elsewhere(content, folder, **sizes))


@pytest.fixture(params=[pytest.param("executed", marks=pytest.mark.slow), "committed"])
def either(request):
    """One after the other."""
    return request.getfixturevalue(request.param)
