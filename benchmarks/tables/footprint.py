"""What an installation weighs and how soon it answers: python -m benchmarks.tables.footprint writes the record.

Sizes are those of the files that each distribution's RECORD lists, of gatedrnn those of its wheel, without compiled
files. Which distributions: what gatedrnn requires without extras, and what those require, on this platform. Times are
from the start of a process to its end, the median of some runs after a first that is not counted.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.shared import RESULTS, ROOT, described, number, table, write_whole
from benchmarks.tables.durations import BUSY

RECORD = RESULTS / "footprint.json"
RUNS = 7
STARTED = {
    "python -c pass": ["-c", "pass"],
    "gatedrnn --version": ["-m", "gatedrnn", "--version"],
    "gatedrnn --help": ["-m", "gatedrnn", "--help"],
    "import gatedrnn": ["-c", "import gatedrnn"],
    "import gatedrnn; gatedrnn.gru": ["-c", "import gatedrnn; gatedrnn.gru"],
}
SHOWN = 5  # distributions with a row of their own
Requires = Callable[[str], Iterable[str] | None]


def main() -> None:
    record = described(["jax", "jaxlib"]) | {"load": os.getloadavg()[0]}
    names = closure(metadata.requires("gatedrnn") or (), metadata.requires)
    sizes = {name: recorded_bytes(metadata.distribution(name)) for name in names}
    record["bytes"] = {"gatedrnn": source_bytes(ROOT / "gatedrnn")} | sizes
    record["seconds"] = {name: seconds(arguments) for name, arguments in STARTED.items()}
    write_whole(RECORD, record)


def closure(required: Iterable[str], requires: Requires) -> list[str]:
    """The names of what is installed for these requirements, in order.

    Args:
        required: requirements, with markers, as METADATA has them.
        requires: what the distribution of a name requires.
    """
    found: dict[str, set[str]] = {}  # each with the extras for which it was looked at
    waiting = [(line, "") for line in required]
    while waiting:
        line, extra = waiting.pop()
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        for each in {"", *wanted.extras} - found.setdefault(name, set()):
            found[name].add(each)
            waiting += [(line, each) for line in requires(name) or ()]
    return sorted(found)


def recorded_bytes(distribution: metadata.Distribution) -> int:
    """Of the files that RECORD lists, but for those that Python compiles."""
    files = [file for file in distribution.files or () if file.suffix != ".pyc"]
    return sum(Path(str(file.locate())).stat().st_size if file.size is None else file.size for file in files)


def source_bytes(package: Path) -> int:
    """Of a package in a checkout: what its wheel holds."""
    return sum(path.stat().st_size for path in package.rglob("*") if path.suffix == ".py" or path.name == "py.typed")


def seconds(arguments: list[str]) -> float:
    """Of one process of Python, in an empty folder."""
    plain = os.environ | {"PYTHONPATH": str(ROOT)}
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(1 + RUNS):
            began = time.perf_counter()
            run = [sys.executable, *arguments]
            subprocess.run(run, cwd=folder, env=plain, stdout=subprocess.DEVNULL, check=True)
            taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def footprint_table() -> str:
    """MB per distribution, the largest first, the small ones together."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    sizes: dict[str, int] = record["bytes"]
    others = sorted((name for name in sizes if name != "gatedrnn"), key=lambda name: -sizes[name])
    small = others[SHOWN:]
    rows = [(name, megabytes(sizes[name])) for name in ("gatedrnn", *others[:SHOWN])]
    rows += [(f"{len(small)} more", megabytes(sum(sizes[name] for name in small)))] if small else []
    rows.append(("together", megabytes(sum(sizes.values()))))
    return table(("installed", f"MB ({record['device']['machine']}, jax {record['versions']['jax']})"), rows)


def startup_table() -> str:
    """Seconds of each process."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    beside = " beside other work" if record["load"] > BUSY else ""
    rows = [(f"`{name}`", number(taken, ".2f")) for name, taken in record["seconds"].items()]
    return table(("from start to end", f"seconds, {record['device']['cores']} cores{beside}"), rows)


def megabytes(size: int) -> str:
    """With one digit where it is small."""
    return number(size / 1e6, ",.0f" if size >= 1e7 else ".1f")


if __name__ == "__main__":
    main()
