"""The record of speed: what it consists of, and how it is written."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jaxlib.version

import gatedrnn as gr
from benchmarks.shared import Row, described, write_whole
from benchmarks.speed.apart import apart
from benchmarks.speed.costs import limit_gflops, necessary_gflop
from benchmarks.speed.measures import applicable, compared, measure, summary
from benchmarks.speed.problem import Size, place
from benchmarks.speed.systems import REFERENCE, SYSTEMS
from gatedrnn.cells import CLASSICS

SIZES = (Size(1, 32, 64, 10_000), Size(16, 32, 64, 10_000), Size(16, 32, 128, 10_000), Size(32, 64, 256, 2_000))
SIDE_BY_SIDE = tuple(name for name in SYSTEMS if name != "gatedrnn, Checkpointed")  # it trades time for memory
GROWTH = tuple(Size(1, 32, 64, 10**k) for k in range(3, 7))
GROWTH_IN_BATCH = tuple(Size(2**k, 32, 64, 2_000) for k in range(7))
MEMORY_SIZES = (SIZES[1], SIZES[0], SIZES[2])
COMPILE_SIZE = Size(16, 32, 64, 2_000)
COMPILED = ("gatedrnn", REFERENCE, "flax linen", "flax nnx")
FLAG = "--xla_cpu_use_fusion_emitters=false"  # compiles sooner; what that costs is measured at `FLAG_SIZES`
FLAG_UNTIL = (0, 11, 0)  # of jaxlib; XLA ends a process that is given a flag which it does not know
FLAG_SIZES = SIZES[:3]
QUICK = (Size(2, 4, 8, 100),)
VERSIONS = ("jax", "jaxlib", "torch", "flax", "keras", "dm-haiku", "equinox", "onnxruntime", "numpy")


def allocator() -> dict[str, str]:
    """What of the environment says where memory comes from."""
    names = ("LD_PRELOAD", "MALLOC_CONF", "GLIBC_TUNABLES")
    return {name: Path(os.environ[name]).name for name in names if os.environ.get(name)}


def side_by_side(quick: bool, _: Row) -> Iterator[Row]:
    """Every cell and size, all systems in turns."""
    for size in QUICK if quick else SIZES:
        for cell in CLASSICS.values():
            for row in measure(cell, size, applicable(cell, size, SIDE_BY_SIDE), 2 if quick else 5):
                forward = necessary_gflop(row)
                yield row | {"necessary_gflop": 3 * forward, "necessary_forward_gflop": forward}


def growth(quick: bool, _: Row) -> Iterator[Row]:
    """The LSTM, longer and longer, then with more and more sequences."""
    for size in QUICK if quick else (*GROWTH, *GROWTH_IN_BATCH):
        yield from measure(gr.lstm, size, applicable(gr.lstm, size, SYSTEMS), 1 if size.steps > 10**5 else 3)


def memory(quick: bool, record: Row) -> Iterator[Row]:
    """Every cell at some sizes, the LSTM as it grows; what is not in the record yet is compared first."""
    sizes = dict.fromkeys(() if quick else MEMORY_SIZES, tuple(CLASSICS))
    for size in QUICK if quick else (*GROWTH, *GROWTH_IN_BATCH[::2]):
        sizes.setdefault(size, ("lstm",))
    wanted = [
        (name, cell, size)
        for size, cells in sizes.items()
        for cell in cells
        for name in applicable(CLASSICS[cell], size, SYSTEMS)
        if SYSTEMS[name].trains
    ]
    equal = {tuple(row[key] for key in ("system", "cell", *"BDHT")) for row in record["rows"] + record["growth"]}
    found = {}
    for name, cell, size in wanted:
        if (name, cell, *size) not in equal:
            _, (row,) = compared(CLASSICS[cell], size, [name])
            found[name, cell, size] = {"errors": row["errors"]}
    with ThreadPoolExecutor(2) as pool:  # nothing is timed here
        for which, taken in zip(wanted, pool.map(lambda which: apart("memory", *which), wanted), strict=True):
            yield place(*which) | found.get(which, {}) | taken


def compiling(quick: bool, _: Row) -> Iterator[Row]:
    """Seconds to compile, without and with `FLAG`, and what the flag does to our times; where there is such a flag."""
    known = jaxlib.version.__version_info__ <= FLAG_UNTIL
    for cell in ("rnn",) if quick else CLASSICS:
        size = QUICK[0] if quick else COMPILE_SIZE
        for name in COMPILED[:1] if quick else applicable(CLASSICS[cell], size, COMPILED):
            for flags in ("", FLAG) if known else ("",):
                yield place(name, cell, size) | {"flags": flags} | apart("compile", name, cell, size, flags)
        for size in (QUICK if quick else FLAG_SIZES) if known else ():
            taken: dict[str, list[float]] = {"": [], FLAG: []}
            for flags in ("", FLAG, ""):  # so that a machine that slows down meanwhile favours neither
                taken[flags] += apart("times", COMPILED[0], cell, size, flags)
            for flags, each in taken.items():
                yield place(COMPILED[0], cell, size) | {"flags": flags, "gradient": summary(each)}


PARTS: dict[str, Callable[[bool, Row], Iterator[Row]]] = {
    "rows": side_by_side,
    "growth": growth,
    "memory": memory,
    "compile": compiling,
}


def record(quick: bool, alone: bool, out: Path, again: str | None = None) -> None:
    """Measures everything, or the first part alone, and writes the record after every row: a killed run keeps them.

    `again`: that part of the record at `out` is replaced once it is whole, and says what measured it.
    """
    made = described(VERSIONS) | {"allocator": allocator(), "limit_gflops": limit_gflops()}
    if again:
        result = json.loads(out.read_text())
        names: tuple[str, ...] = (again,)
        result.setdefault("again", {})[again] = made
    else:
        result = made | {name: [] for name in PARTS}
        names = tuple(PARTS)[:1] if alone else tuple(PARTS)
    out.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        rows: list[Row] = []
        for row in PARTS[name](quick, result):
            rows.append(row)
            if not again:
                write_whole(out, result | {name: rows})
            show(row)
        result[name] = rows
    made["limit_gflops"] = max(made["limit_gflops"], limit_gflops())
    write_whole(out, result | ({} if again else made))


def show(row: Row) -> None:
    """Prints what was measured, as soon as it is."""
    told: dict[str, Callable[[Any], str]] = {
        "forward": lambda each: f"forward {each['ms']:6.0f} ms",
        "gradient": lambda each: f"+ backward {each['ms']:6.0f} ms",
        "bytes": lambda each: f"{each / 1e6:9.1f} MB",
        "compile_s": lambda each: f"compiled in {each:.2f} s",
        "flags": str,
    }
    size = " ".join(str(row[letter]) for letter in "BDHT")
    numbers = [tell(row[key]) for key, tell in told.items() if row.get(key)]
    print(f"{row['system']:22} {row['cell']:5} {size:18} {'   '.join(numbers)}", flush=True)
