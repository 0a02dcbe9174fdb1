"""Runs the notebooks in full, keeps what they show in them, and writes how long each took into the record.

python -m benchmarks.tables.lessons         all of them
python -m benchmarks.tables.lessons 02      those whose names begin so

Each runs in an empty folder, with this tree in the place of an installed package.
"""

import argparse
import functools
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.shared import RESULTS, ROOT, Row, described, number, table, write_whole
from benchmarks.tables.durations import where

RECORD = RESULTS / "lessons.json"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("lessons", nargs="*", help="how their names begin; all by default")
    wanted = tuple(parser.parse_args().lessons) or ("",)
    record: Row = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    made = described(["jax", "jaxlib"]) | {"load": os.getloadavg()[0]}  # of others: ours has not begun
    for path in NOTEBOOKS:
        if path.stem.startswith(wanted):
            record[path.stem] = made | {"seconds": run(path)}
            write_whole(RECORD, record)


def run(path: Path) -> float:
    """Runs a notebook and writes its outputs into it, no other metadata; the seconds, the kernel's start included."""
    import nbformat
    from nbclient import NotebookClient

    content = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        plain = os.environ | {"PYTHONPATH": str(ROOT)}
        client = NotebookClient(
            content, timeout=None, record_timing=False, resources={"metadata": {"path": folder}}, kernel_name="python3"
        )
        began = time.perf_counter()
        client.execute(env=plain)
        taken = time.perf_counter() - began
    content.metadata.language_info = {"name": "python"}
    nbformat.write(content, path)
    return taken


def sentence(path: Path) -> str:
    """How long one of them takes."""
    entry = json.loads(RECORD.read_text(encoding="utf-8"))[path.stem]
    return f"On a CPU it takes {minutes(entry)} minutes, {where(entry)}."


def minutes_table() -> str:
    """Minutes of all of them."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    rows = [(path.stem.replace("_", " "), minutes(record[path.stem])) for path in NOTEBOOKS]
    return table(("lesson", f"minutes on a CPU, {where(record[NOTEBOOKS[0].stem])}"), rows)


def minutes(entry: Row) -> str:
    """As a student plans with them."""
    return number(entry["seconds"] / 60, ".1f")


def blocks() -> dict[str, Callable[[], str]]:
    """By the name of its block, what each says: of its whole name, and of its number, where that is not taken."""
    said: dict[str, Callable[[], str]] = {}
    for path in NOTEBOOKS:
        one = functools.partial(sentence, path)
        said |= {f"lesson_{path.stem}": one}
        said.setdefault(f"lesson_{path.stem.partition('_')[0]}", one)
    return said


TABLES: dict[str, Callable[[], str]] = {"lessons": minutes_table, **blocks()}

if __name__ == "__main__":
    main()
