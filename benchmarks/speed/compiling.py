"""CPU seconds to compile `unroll`, forward and with the gradient in its weights, beside flax nnx and plain `lax.scan`.

python -m benchmarks.speed.compiling            the record: benchmarks/results/compile.json
python -m benchmarks.speed.compiling --quick    one tiny size, to see that it runs
python -m benchmarks.speed.compiling --one gatedrnn lstm 16 32 64 1000    one system's two programs, as JSON

Every system has a process of its own, without a cache on disk and without flags, and compiles each program some times,
from empty caches: the least time counts. It is that of the CPU, of all threads, since others may use the cores; time on
the clock stands beside it. Tracing contains the look at the cell's laws, lowering what JAX hands to XLA.
"""

import argparse
import functools
import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp

from benchmarks.shared import RESULTS, ROOT, Row, described, number, table, write_whole
from benchmarks.speed import ours, peers
from benchmarks.speed.hlo import computations
from benchmarks.speed.problem import Size, add_problem, asked_for, place, problem
from benchmarks.speed.reading import size_of
from benchmarks.speed.systems import COMMON, REFERENCE, SYSTEMS
from gatedrnn import _contract
from gatedrnn.cells import CLASSICS

RECORD = RESULTS / "compile.json"
COMPILED = ("gatedrnn", "flax nnx", REFERENCE)
SIZES = (Size(16, 32, 64, 1_000), Size(4, 128, 256, 1_000), Size(8, 8, 8, 10_000))
QUICK = (Size(2, 3, 4, 60),)
REPEATS = 5
FREE = ("parameter", "get-tuple-element", "tuple", "bitcast", "constant", "copy", "while", "dot", "custom-call")

Programs = dict[str, Callable[..., Any]]


def programs(name: str, cell: str, size: Size) -> tuple[Programs, tuple[Any, ...]]:
    """`(weights, xs, carry) -> ys`, and the gradient of the mean of ys in the weights; and their arguments."""
    bare = lambda run, weights, _, xs, carry, **__: (run, (weights, xs, carry))
    with mock.patch.object(ours, "in_jax", bare), mock.patch.object(peers, "in_jax", bare):
        built: Any = SYSTEMS[name].build(CLASSICS[cell], *problem(CLASSICS[cell], size))
    run, arguments = built
    return {"forward": run, "gradient": jax.grad(lambda *given: jnp.mean(run(*given)))}, arguments


def measured(name: str, cell: str, size: Size, repeats: int) -> Iterator[Row]:
    """A row for each of a system's programs, compiled in this process."""
    found, arguments = programs(name, cell, size)
    for program, function in found.items():
        taken = []
        for _ in range(repeats):
            jax.clear_caches()
            for looked_at in (_contract._fit, _contract._laws):
                looked_at.cache_clear()
            lowered, tracing = timed(functools.partial(jax.jit(function).lower, *arguments))
            compiled, compiling = timed(lowered.compile)
            taken.append([*tracing, *compiling])
        names = ("trace_s", "trace_clock_s", "xla_s", "xla_clock_s")
        least = dict(zip(names, map(min, zip(*taken, strict=True)), strict=True))
        text = compiled.as_text()
        counts = {"kernels": kernels(text), "loops": len(re.findall(r" while\(", text))}
        yield place(name, cell, size) | {"program": program} | least | counts


def timed(call: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """What a call gives, and the seconds that it takes: of the CPU, and on the clock."""
    cpu, clock = time.process_time(), time.perf_counter()
    found = call()
    return found, (time.process_time() - cpu, time.perf_counter() - clock)


def kernels(text: str) -> int:
    """The functions that XLA makes of an optimised module for a CPU: equal ones are made once, products are called."""
    _, lines = computations(text)
    nameless = lambda line: re.sub(r"%[\w.\-]+|, metadata=.*|, backend_config=.*|/\*index=\d+\*/", "", line).strip()
    called = {
        name
        for body in lines.values()
        for line in body
        for name in re.findall(r"(?:calls|to_apply)=%?([\w.\-]+)", line)
    }
    made = set()
    for name, body in lines.items():
        for line in body if name not in called else ():
            operation = re.match(r"\s+(?:ROOT )?%?[\w.\-]+ = (?:\(.*?\)|\S+) ([\w\-]+)\(", line)
            if operation is None or operation[1] in FREE or "kind=kCustom" in line:
                continue
            inner = re.search(r"calls=%?([\w.\-]+)", line)
            made.add("\n".join(map(nameless, lines[inner[1]])) if inner else nameless(line).removeprefix("ROOT"))
    return len(made)


def apart(name: str, cell: str, size: Size, repeats: int) -> list[Row]:
    """`measured`, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed.compiling", "--repeats", str(repeats), "--one", name, cell]
    done = subprocess.run([*command, *map(str, size)], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def total(row: Row) -> float:
    """Seconds of the CPU to trace, lower and compile."""
    return row["trace_s"] + row["xla_s"]


def compile_cpu_table() -> str:
    """Ours beside flax nnx's, by problem and program."""
    rows = json.loads(RECORD.read_text())["rows"]
    by_problem: dict[tuple[str, str], dict[tuple[str, str], Row]] = {}
    for row in rows:
        by_problem.setdefault((row["cell"], size_of(row)), {})[row["system"], row["program"]] = row
    header = (
        "",
        "B D H T",
        "program",
        "gatedrnn",
        "of it tracing",
        "kernels",
        "flax nnx",
        "kernels",
        "ratio",
        "lax.scan",
    )
    named = {"forward": "forward", "gradient": "forward + backward"}
    lines = []
    for (cell, size), found in by_problem.items():
        for program, told in named.items():
            own, peer, plain = (found[name, program] for name in COMPILED)
            seconds = [number(value, ".2f") for value in (total(own), own["trace_s"], total(peer), total(plain))]
            ratio = number(total(own) / total(peer), ".2f")
            counts = str(own["kernels"]), str(peer["kernels"])
            lines.append((cell, size, told, *seconds[:2], counts[0], seconds[2], counts[1], ratio, seconds[3]))
    return table(header, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tiny size, once, to see that it runs")
    parser.add_argument("--repeats", type=int, help="how often each program is compiled")
    parser.add_argument("--at-once", type=int, default=1, help="how many processes; what is told is the CPU's time")
    parser.add_argument("--one", choices=COMPILED, help="one system alone, in this process")
    parser.add_argument("--resume", action="store_true", help="keep what the record has of a run that was ended")
    parser.add_argument("--out", type=Path, default=RECORD, help="the record")
    add_problem(parser)
    options = parser.parse_args()
    repeats = options.repeats or (1 if options.quick else REPEATS)
    if options.one:
        cell, size = asked_for(parser, options.cell, options.size)
        print(json.dumps(list(measured(options.one, cell.name, size, repeats))))
        return
    kept = json.loads(options.out.read_text())["rows"] if options.resume else []
    record = described(("jax", "jaxlib", "flax", "numpy")) | {"repeats": repeats, "rows": kept}
    there = {(row["system"], row["cell"], size_of(row)) for row in kept}
    sizes, cells = (QUICK, COMMON[:1]) if options.quick else (SIZES, COMMON)
    wanted: list[tuple[str, str, Size]] = [
        (system, name, size)
        for system, size, name in itertools.product(COMPILED, sizes, cells)
        if (system, name, size_of(place(system, name, size))) not in there
    ]
    with ThreadPoolExecutor(options.at_once) as pool:
        for rows in pool.map(lambda which: apart(which[0], which[1], which[2], repeats), wanted):
            record["rows"] += rows
            write_whole(options.out, record)
            for row in rows:
                told = f"traced in {row['trace_s']:.2f} s, compiled in {row['xla_s']:.2f} s, {row['kernels']} kernels"
                print(f"{row['system']:22} {row['cell']:5} {size_of(row):18} {row['program']:9} {told}", flush=True)


if __name__ == "__main__":
    main()
