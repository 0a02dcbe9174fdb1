"""What is built of the project: a wheel with the package alone, a source distribution without records; their sizes."""

import re
import tarfile
import zipfile

import gatedrnn as gr

LARGEST = 1_000_000  # bytes


def test_the_wheel_holds_the_package_alone(built, project):
    """Every file of it, `py.typed` and the licence among them, and what says where it comes from."""
    with zipfile.ZipFile(built["wheel"]) as wheel:
        names = set(wheel.namelist())
        metadata = wheel.read(f"gatedrnn-{gr.__version__}.dist-info/METADATA").decode()
        size = sum(each.compress_size for each in wheel.infolist())
    sources = {path.relative_to(project).as_posix() for path in (project / "gatedrnn").rglob("*.py")}
    about = {name for name in names if name.startswith(f"gatedrnn-{gr.__version__}.dist-info/")}
    assert names - about == sources | {"gatedrnn/py.typed", "gatedrnn/flow/_forecast.json"}
    assert any(name.endswith("/LICENSE") for name in about)
    assert f"Version: {gr.__version__}\n" in metadata
    assert size < LARGEST


def test_the_source_distribution_leaves_records_out(built):
    """The package, its tests, pages and programs; under a megabyte."""
    with tarfile.open(built["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md"} <= names
    assert {"gatedrnn/py.typed", "docs/index.md", "mkdocs.yml", "tests/conftest.py"} <= names
    assert not [
        name
        for name in names
        if re.match(r"benchmarks/(results|runs|NOTES)|notebooks|site/|\.venv|gradient-flow", name)
    ]
    assert not [name for name in names if name.endswith((".ipynb", ".png", ".pyc"))]
    with open(built["sdist"], "rb") as file:
        assert len(file.read()) < LARGEST


def test_one_version(project):
    """The package's is that of the citation and of the newest entry of the changelog."""
    cited = re.search(r"^version: (.*)$", (project / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    newest = re.search(r"^## (.*)$", (project / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited[1] == newest[1] == gr.__version__
