"""Two commits in one run: `unroll` of this tree beside that of an older commit, forward and forward + backward.

python -m benchmarks.speed.against main                                       every cell at the README's sizes
python -m benchmarks.speed.against HEAD~3 --cells lstm --size 16 32 64 2000   one cell, one size
python -m benchmarks.speed.against main --devices 2                           the batch split over two devices

Each tree has a process of its own that stays alive. Both get the same weights and inputs, and their outputs and
gradients are compared before a time is told; then they are asked in turn for one call each, so that what else the
machine does slows both. A ratio below 1: this tree is faster.
"""

import argparse
import contextlib
import io
import itertools
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

import gatedrnn as gr
from benchmarks.shared import RESULTS, ROOT, Row, described, write_whole
from benchmarks.speed.measures import difference, summary, tolerance
from benchmarks.speed.problem import Size, problem
from benchmarks.speed.record import SIZES
from gatedrnn.cells import CLASSICS

WORKER = Path(__file__).with_name("worker.py")
KINDS = {"forward": "forward", "gradient": "forward + backward"}
VERSIONS = ("jax", "jaxlib", "numpy")


class Tree:
    """A tree's process.

    Attributes:
        told: its version, folder and cells.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told: Row = self.answer()

    def answer(self) -> Any:
        """The next line that it tells; ends the program where its process has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("The process of a tree has ended; what it told stands above.")
        return json.loads(line)

    def ask(self, question: str | Row) -> Any:
        """Its answer to one line, see `worker`."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.answer()


@contextlib.contextmanager
def started(folder: Path, devices: int) -> Iterator[Tree]:
    """The process of the tree in a folder; ended with the block."""
    command = [sys.executable, "-P", str(WORKER), str(devices)]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        tree = Tree(process)
        if Path(tree.told["tree"]) != folder.resolve():
            raise SystemExit(f"{folder} was to be measured, and {tree.told['tree']} was imported.")
        yield tree


def git(*arguments: str) -> bytes:
    """What git says about this project."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode().strip())
    return done.stdout


def check_out(commit: str, folder: Path) -> None:
    """Writes the package of a commit into a folder."""
    packed = git("archive", "--format=tar", commit, "gatedrnn")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def measure(old: Tree, new: Tree, cell: gr.Cell, size: Size, repeats: int, folder: Path) -> Iterator[Row]:
    """A row for each of `KINDS`.

    Raises:
        SystemExit: the two trees compute other numbers.
    """
    files = {name: str(folder / f"{name}.npz") for name in ("given", "old", "new")}
    params, xs, carry = problem(cell, size)
    np.savez(files["given"], *map(np.asarray, [xs, *jax.tree.leaves((params, carry))]))
    for name, tree in (("old", old), ("new", new)):
        tree.ask({"cell": cell.name, "given": files["given"], "found": files[name]})
    with np.load(files["new"]) as got, np.load(files["old"]) as want:
        error = difference(list(got.values()), list(want.values()))
    if not error < tolerance(size):
        raise SystemExit(f"{cell.name} {size}: other numbers than before, by {error:.1g} of the largest")
    for kind, name in KINDS.items():
        taken: dict[str, list[float]] = {"old": [], "new": []}
        trees = [("old", old), ("new", new)]
        for _ in range(repeats):
            for which, tree in trees:
                taken[which].append(tree.ask(kind))
            trees.reverse()  # neither is always the one that goes first
        yield (
            {"cell": cell.name, "program": name}
            | dict(zip("BDHT", size, strict=True))
            | {"error": error, "repeats": repeats}
            | {which: summary(times) for which, times in taken.items()}
            | {"ratio_of_medians": statistics.median(taken["new"]) / statistics.median(taken["old"])}
            | {"ratio_of_minima": min(taken["new"]) / min(taken["old"])}
        )


def show(row: Row) -> None:
    """Prints a row."""
    size = " ".join(str(row[letter]) for letter in "BDHT")
    times = f"old {row['old']['ms']:8.2f} ms   new {row['new']['ms']:8.2f} ms"
    ratios = f"new / old: medians {row['ratio_of_medians']:.2f}, minima {row['ratio_of_minima']:.2f}"
    print(f"{row['cell']:5} {size:18} {row['program']:18} {times}   {ratios}", flush=True)


def asked(old: Tree, options: argparse.Namespace) -> list[tuple[gr.Cell, Size]]:
    """The cells and sizes that are measured: by default those that both trees have."""
    cells = options.cells or [name for name in CLASSICS if name in old.told["cells"]]
    missing = [name for name in cells if name not in old.told["cells"]]
    if missing:
        raise SystemExit(f"{options.revision} has no cell {missing[0]}; it has {', '.join(old.told['cells'])}")
    sizes = [Size(*size) for size in options.size or SIZES]
    return [(CLASSICS[name], size) for size in sizes for name in cells if size.batch % options.devices == 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("revision", help="what git knows the older commit by")
    parser.add_argument("--cells", nargs="+", choices=list(CLASSICS), help="those of both trees where not given")
    parser.add_argument("--size", nargs=4, type=int, action="append", metavar=("B", "D", "H", "T"), help="any number")
    parser.add_argument("--repeats", type=int, default=15, help="calls of each tree")
    parser.add_argument("--devices", type=int, default=1, help="split the batch; sizes that cannot be are left out")
    parser.add_argument("--out", type=Path, default=RESULTS / "against.json")
    options = parser.parse_args()
    if min([options.repeats, options.devices, *itertools.chain(*(options.size or []))]) < 1:
        parser.error("--repeats, --devices and every size must be at least 1")
    commit = git("rev-parse", "--verify", f"{options.revision}^{{commit}}").decode().strip()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # three processes share one device
    made = described(VERSIONS) | {"devices": options.devices}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        check_out(commit, folder / "tree")
        with started(folder / "tree", options.devices) as old, started(ROOT, options.devices) as new:
            made["against"] = {"revision": options.revision, "commit": commit, "gatedrnn": old.told["version"]}
            for cell, size in asked(old, options):
                for row in measure(old, new, cell, size, options.repeats, folder):
                    rows.append(row)
                    show(row)
                    write_whole(options.out, made | {"rows": rows})


if __name__ == "__main__":
    main()
