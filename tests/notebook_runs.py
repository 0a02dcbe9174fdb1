"""Notebooks as tests read them: their code, what they displayed, and a run at other sizes."""

import nbformat
import pytest
from nbclient import NotebookClient


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook, kind):
    """What was displayed under a MIME type, in order."""
    found = [output.get("data", {}).get(kind) for cell in code_cells(notebook) for output in cell.outputs]
    return [content for content in found if content is not None]


def read(path):
    """A committed notebook, valid."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def execute(path, sizes, folder):
    """The notebook after a run in an empty folder; a failing cell raises `CellExecutionError`."""
    notebook = nbformat.read(path, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sizes.items():
            patch.setenv(f"GATEDRNN_NOTEBOOK_{name}", str(value))
        for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(folder / name))
        patch.delenv("PYTHONWARNINGS", raising=False)
        client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
        return client.execute()
