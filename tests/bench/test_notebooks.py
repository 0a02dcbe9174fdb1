"""What all notebooks share: their names, what they say of themselves, and how they find gatedrnn."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

import gatedrnn as gr

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SHOWN = "import gatedrnn\nprint(gatedrnn.__version__, gatedrnn.__file__, gatedrnn.gru.name)"


def first_cells(path):
    """The text above a notebook's first cell of code, and that cell."""
    cells = nbformat.read(path, as_version=4).cells
    (place, *_) = [place for place, cell in enumerate(cells) if cell.cell_type == "code"]
    return "\n".join(cell.source for cell in cells[:place]), cells[place]


@pytest.fixture
def install():
    """The cell that installs, alone in a notebook, without its output."""
    _, cell = first_cells(NOTEBOOKS[0])
    cell.outputs, cell.execution_count = [], None
    return nbformat.v4.new_notebook(cells=[cell])


def test_they_are_numbered_from_one():
    """Without holes; two that go on from the same lesson may share a number."""
    numbers = sorted({path.name.partition("_")[0] for path in NOTEBOOKS})
    assert numbers == [f"{place:02}" for place in range(1, len(numbers) + 1)]
    assert len(numbers) > 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_says_how_it_is_run(path):
    """Where Colab is, how a wheel is built, how long it takes, and what runs it; its program filled in the time."""
    text, _ = first_cells(path)
    badge = r"\[!\[[\w ]+\]\(https://colab\.research\.google\.com/assets/colab-badge\.svg\)\]"
    assert re.search(badge + r"\(https://colab\.research\.google\.com/\)", text)
    assert "`python -m pip wheel --no-deps -w dist .`" in text
    assert re.search(r"On a CPU it takes \d+\.\d minutes, compilation included", text)
    assert "GPU" in text and "TPU" in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_installed_is_a_file(path):
    """Never a name: in an index it may be a stranger's. All do it in the same way."""
    _, cell = first_cells(path)
    before, _, _ = cell.source.partition("import jax\n")
    assert before == first_cells(NOTEBOOKS[0])[1].source.partition("import jax\n")[0]
    sources = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    assert re.findall(r".*\bpip\b.*", sources) == ['    %pip install -q "{newest}"']


@pytest.mark.slow
def test_installs_the_wheel_at_hand(install, run_elsewhere, built, tmp_path):
    """It is imported from the environment, and not from this tree."""
    (tmp_path / "dist").mkdir()
    shutil.copy(built["wheel"], tmp_path / "dist")
    install.cells.append(nbformat.v4.new_code_cell(SHOWN))
    (output,) = run_elsewhere(install, tmp_path).cells[1].outputs
    version, place, name = output.text.split()
    assert (version, name) == (gr.__version__, "gru")
    assert "elsewhere" in place and "site-packages" in place


def test_without_a_wheel_one_sentence_says_what_to_do(install, run_elsewhere, tmp_path):
    """Nothing is installed, and nothing below it runs."""
    with pytest.raises(CellExecutionError) as error:
        run_elsewhere(install, tmp_path)
    assert error.value.ename == "ModuleNotFoundError"
    assert re.fullmatch(r"gatedrnn is not installed: [^.]*wheel[^.]*\.", error.value.evalue)
