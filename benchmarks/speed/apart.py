"""What needs a process of its own: peak memory, compilation, and times under other flags of XLA.

python -m benchmarks.speed.apart memory gatedrnn lstm 16 32 64 10000    one number of one system, as JSON
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from benchmarks.shared import ROOT, Row
from benchmarks.speed.measures import compared, prepare, turns
from benchmarks.speed.problem import Size, add_problem, asked_for
from benchmarks.speed.systems import SYSTEMS
from gatedrnn.cells import CLASSICS

SHORT = 50  # steps


def apart(what: str, name: str, cell: str, size: Size, flags: str = "") -> Any:
    """One of `APART` in a process of its own, with some of XLA's flags."""
    command = [sys.executable, "-m", "benchmarks.speed.apart", what, name, cell, *map(str, size)]
    environment = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def peak_memory(name: str, cell: str, size: Size) -> Row:
    """Bytes that forward + backward takes beyond its inputs, gradients and, if it has to hold them, its outputs.

    All of it in this process, which must not have done anything else. What libraries set up at their first call, 9 MB
    for products, is there beforehand from a short sequence.
    """
    short = prepare(name, CLASSICS[cell], size._replace(steps=min(size.steps, SHORT))).gradient
    ready = prepare(name, CLASSICS[cell], size)
    assert short is not None and ready.gradient is not None
    short()
    del short
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was given back counts when it is taken again
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = _status("VmRSS")
    found = ready.gradient()
    gradients = sum(a.nbytes for a in jax.tree.leaves(found))
    outputs = 4 * size.batch * size.hidden * size.steps if ready.keeps_outputs else 0
    return {"bytes": _status("VmHWM") - before - gradients - outputs, "outputs_bytes": outputs}


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field + ":")).split()[1])


def compilation(name: str, cell: str, size: Size) -> Row:
    """Seconds to trace, lower and compile forward + backward, median of three, and of those to trace and lower."""
    taken = []
    for _ in range(3):
        jax.clear_caches()
        ready = prepare(name, CLASSICS[cell], size)
        taken.append({"compile_s": ready.compile_s, "trace_s": ready.trace_s})
    return sorted(taken, key=lambda each: each["compile_s"] or 0)[1]


def times(name: str, cell: str, size: Size) -> list[float]:
    """Milliseconds of every call of forward + backward; compared first, as flags may make another program of it."""
    systems, _ = compared(CLASSICS[cell], size, [name])
    return turns(systems, "gradient", 5)[name]


APART: dict[str, Callable[[str, str, Size], Row | list[float]]] = {
    "memory": peak_memory,
    "compile": compilation,
    "times": times,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=list(APART))
    parser.add_argument("system", choices=list(SYSTEMS))
    add_problem(parser)
    options = parser.parse_args()
    cell, size = asked_for(parser, options.cell, options.size)
    jax.config.update("jax_num_cpu_devices", 2)
    print(json.dumps(APART[options.what](options.system, cell.name, size)))


if __name__ == "__main__":
    main()
