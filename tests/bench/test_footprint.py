"""What an installation weighs, of made-up distributions; and the tables of made-up records."""

import json
from importlib import metadata

import pytest

from benchmarks.tables import footprint, lessons
from benchmarks.tables.__main__ import filled_notebook

REQUIRES = {
    "a": ["b>=1", "C_c[fast]", 'd; extra == "test"', 'e; sys_platform == "nowhere"'],
    "c-c": ['quick; extra == "fast"', 'a; extra == "fast"', 'never; extra == "slow"'],
    "quick": None,
}
MADE = {"versions": {"jax": "1.2.3"}, "device": {"machine": "m", "cores": 2}, "load": 0.0}


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """(module, record) -> the module finds that record."""

    def put(module, record):
        path = tmp_path / "record.json"
        path.write_text(json.dumps(record))
        monkeypatch.setattr(module, "RECORD", path)

    return put


def test_closure():
    """Markers and extras are read, circles end, names are the registry's."""
    assert footprint.closure(REQUIRES["a"], REQUIRES.get) == ["a", "b", "c-c", "quick"]
    assert footprint.closure([], REQUIRES.get) == []


def test_bytes_are_those_of_the_record(tmp_path):
    """As RECORD has them, from the file where it does not say; without what Python compiles."""
    about = tmp_path / "a-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: a\nVersion: 1\n")
    (tmp_path / "a.py").write_text("x" * 70)
    (about / "RECORD").write_text("b.so,sha256=0,1000\na.py,,\n__pycache__/a.cpython-311.pyc,,\n")
    (found,) = metadata.distributions(path=[str(tmp_path)])
    assert footprint.recorded_bytes(found) == 1070


def test_bytes_of_the_package(tmp_path):
    """Sources and the mark of types, no other file."""
    for name, size in {"a.py": 10, "py.typed": 1, "a.pyc": 100, "notes.txt": 100}.items():
        (tmp_path / name).write_text("x" * size)
    assert footprint.source_bytes(tmp_path) == 11


def test_a_process_takes_time(monkeypatch):
    monkeypatch.setattr(footprint, "RUNS", 1)
    assert footprint.seconds(["-c", "import gatedrnn"]) > 0


def test_tables(recorded):
    """The package first, then the largest, the small ones together; times with two digits."""
    sizes = {"gatedrnn": 400_000, **{f"p{size}": size * 10**6 for size in (1, 2, 30, 4, 5, 60, 7)}}
    recorded(footprint, MADE | {"bytes": sizes, "seconds": {"gatedrnn --help": 0.123}})
    rows = [line.strip("| ").split(" | ") for line in footprint.footprint_table().splitlines()[2:]]
    assert [row[0] for row in rows] == ["gatedrnn", "p60", "p30", "p7", "p5", "p4", "2 more", "together"]
    assert [row[1] for row in rows] == ["0.4", "60", "30", "7.0", "5.0", "4.0", "3.0", "109"]
    assert footprint.startup_table().endswith("| `gatedrnn --help` | 0.12 |")


def test_notebooks_are_filled(recorded):
    """Their text alone; a second time changes nothing."""
    entry = MADE | {"load": 2.0, "seconds": 126.0}
    recorded(lessons, {path.stem: entry for path in lessons.NOTEBOOKS})
    block = ["<!-- table: lesson_01 -->\n", "<!-- end -->\n", "é"]
    cells = [{"cell_type": kind, "source": block} for kind in ("markdown", "code")]
    text, code = json.loads(filled := filled_notebook(json.dumps({"cells": cells})))["cells"]
    said = "On a CPU it takes 2.1 minutes, compilation included, on 2 cores beside other work (jax 1.2.3).\n"
    assert text["source"] == [block[0], said, *block[1:]]
    assert code["source"] == block
    assert filled_notebook(filled) == filled
    assert "é" in filled
    assert lessons.minutes_table().count("| 2.1 |") == len(lessons.NOTEBOOKS)


def test_lessons_of_one_number_have_a_block_each():
    """By their whole names; that of the number is the first one's."""
    assert {f"lesson_{path.stem}" for path in lessons.NOTEBOOKS} < set(lessons.TABLES)
    first = next(path for path in lessons.NOTEBOOKS if path.stem.startswith("02"))
    assert lessons.TABLES["lesson_02"]() == lessons.TABLES[f"lesson_{first.stem}"]()
