"""Time and memory of a recurrence, forward and back, beside the other frameworks. Equality first, then the clock.

python benchmarks/speed.py                 the record: benchmarks/results/speed.json
python benchmarks/speed.py --quick         tiny sizes, to see that it runs
python benchmarks/speed.py --side-by-side  the first part alone: no growth, no memory

Every system gets the same inputs and the same weights, converted. Outputs and gradients are compared with plain
`jax.lax.scan` under `jax.grad` before any time is taken; the systems then take turns. Peak memory is measured in a
process of its own per system. The limit is the rate of a large float32 matrix product on all cores in this run.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import numpy as np
from systems import OURS, SYSTEMS, Ready

import gatedrnn as gr

Size = tuple[int, int, int, int]  # B D H T
CELLS = {"rnn": gr.rnn, "gru": gr.gru, "lstm": gr.lstm}
SIZES: tuple[Size, ...] = ((1, 32, 64, 10_000), (16, 32, 64, 10_000), (16, 32, 128, 10_000), (32, 64, 256, 2_000))
MEMORY_SIZE: Size = (16, 32, 64, 10_000)
GROWTH: tuple[Size, ...] = tuple((1, 32, 64, 10**k) for k in range(3, 7))
GROWTH_IN_BATCH: tuple[Size, ...] = tuple((2**k, 32, 64, 2_000) for k in range(7))
GROWTH_SYSTEMS = (*OURS, "lax.scan + jax.grad", "flax nnx", "keras on JAX", "dm-haiku", "torch.nn")
SIDE_BY_SIDE = tuple(name for name in SYSTEMS if name != "gatedrnn, Checkpointed")  # it trades time for memory
QUICK: tuple[Size, ...] = ((2, 4, 8, 100),)
ENOUGH_MS = 1e3  # a system that has taken less takes more turns
TOLERANCE = 2e-3  # of float32 sums over T * B terms, relative to the largest entry


def problem(cell: gr.Cell, size: Size) -> tuple[Any, Any, Any]:
    """Weights, inputs and first carry."""
    batch, width, hidden, steps = size
    key_params, key_xs = jax.random.split(jax.random.key(0))
    params = cell.init(key_params, width, hidden)
    return params, jax.random.normal(key_xs, (steps, batch, width)), cell.initial_carry(params, batch)


def prepare(name: str, cell: gr.Cell, size: Size) -> Ready:
    return SYSTEMS[name][0](cell, *problem(cell, size))


def applicable(cell: gr.Cell, size: Size, names: tuple[str, ...]) -> list[str]:
    """The systems that have the cell; two devices need two rows."""
    return [name for name in names if cell.name in SYSTEMS[name][1] and (size[0] % 2 == 0 or "devices" not in name)]


def difference(got: Any, want: Any) -> float:
    """The largest difference of any leaf, relative to that leaf's largest entry."""
    pairs = zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True)
    return max(
        float(np.max(np.abs(a - b)) / max(np.max(np.abs(b)), 1e-30))
        for a, b in ((np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in pairs)
    )


def errors(ready: Ready, reference: Ready, want: tuple[Any, Any]) -> dict[str, float | None]:
    """How far a system's outputs and gradients are from the reference's; its weights' through the conversion."""
    ys, gradients = want
    found: dict[str, float | None] = {"outputs": difference(ready.outputs(ready.forward()), ys), "gradients": None}
    if ready.gradient is not None:
        got = ready.gradients(ready.gradient())
        _, pull = jax.vjp(ready.convert, ready.weights)
        (weights,) = pull(gradients.weights)
        found["gradients"] = difference((got.weights, got.xs, got.carry), (weights, gradients.xs, gradients.carry))
    return found


def measure(cell: gr.Cell, size: Size, names: list[str], repeats: int) -> list[dict[str, Any]]:
    """One row per system: errors, then times of systems that take turns."""
    systems = {name: prepare(name, cell, size) for name in names}
    reference = systems["lax.scan + jax.grad"]
    want = reference.outputs(reference.forward()), reference.gradients(reference.gradient())
    rows = []
    for name, ready in systems.items():
        row: dict[str, Any] = {"system": name, "cell": cell.name} | dict(zip("BDHT", size, strict=True))
        row |= {"errors": errors(ready, reference, want), "compile_s": ready.compile_s}
        if not all(error is None or error < TOLERANCE for error in row["errors"].values()):
            raise SystemExit(f"{name}, {cell.name} {size}: other numbers than the reference, {row['errors']}")
        rows.append(row)
    for kind in ("forward", "gradient"):
        times: dict[str, list[float]] = {name: [] for name in systems}
        for turn in range(5 * repeats):
            for name, ready in systems.items():
                run = getattr(ready, kind)
                if run is not None and (turn < repeats or sum(times[name]) < ENOUGH_MS):
                    start = time.perf_counter()
                    run()
                    times[name].append(1e3 * (time.perf_counter() - start))
        for row in rows:
            taken = times[row["system"]]
            row[kind] = {"ms": statistics.median(taken), "spread": [min(taken), max(taken)]} if taken else None
    return rows


def limit_gflops() -> float:
    """Rate of the product of two 2048 x 2048 float32 matrices, best of 9."""
    a = jax.random.normal(jax.random.key(0), (2048, 2048))
    square = jax.jit(lambda a: a @ a).lower(a).compile()
    jax.block_until_ready(square(a))
    taken = []
    for _ in range(9):
        start = time.perf_counter()
        jax.block_until_ready(square(a))
        taken.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(taken) / 1e9


def necessary_gflop(row: dict[str, Any]) -> float:
    """Multiplications and additions of the products that forward + backward cannot do without."""
    gates = len(CELLS[row["cell"]].gates)
    return 3 * 2 * row["B"] * row["T"] * (row["D"] + row["H"]) * gates * row["H"] / 1e9


def peak_memory(name: str, cell: str, size: Size) -> float:
    """Bytes that forward + backward takes beyond its inputs and results, in this process."""
    ready = prepare(name, CELLS[cell], size)
    assert ready.gradient is not None
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = _status("VmRSS")
    found = ready.gradient()
    leaves = jax.tree.leaves(found)
    results = sum(a.nbytes for a in leaves)
    return _status("VmHWM") - before - results


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field + ":")).split()[1])


def peak_memory_apart(name: str, cell: str, size: Size) -> float:
    """`peak_memory` in a process of its own."""
    command = [sys.executable, __file__, "--memory", name, cell, *map(str, size)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def allocator() -> dict[str, str]:
    """What of the environment says where memory comes from."""
    names = ("LD_PRELOAD", "MALLOC_CONF", "GLIBC_TUNABLES")
    return {name: Path(os.environ[name]).name for name in names if os.environ.get(name)}


def record(quick: bool, side_by_side: bool, out: Path) -> None:
    """Measures everything and writes the record after every part, so that a killed run leaves what it had."""
    names = ("jax", "jaxlib", "torch", "flax", "keras", "dm-haiku", "equinox", "onnxruntime", "numpy")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    result: dict[str, Any] = {
        "versions": {"gatedrnn": gr.__version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in names},
        "commit": commit,
        "device": {"platform": jax.default_backend(), "machine": platform.machine(), "cores": os.cpu_count()},
        "allocator": allocator(),
        "limit_gflops": limit_gflops(),
        "rows": [],
        "growth": [],
        "memory": [],
    }
    out.parent.mkdir(parents=True, exist_ok=True)

    def keep() -> None:
        draft = out.with_suffix(".draft")
        draft.write_text(json.dumps(result, indent=1) + "\n")
        draft.replace(out)

    for size in QUICK if quick else SIZES:
        for cell in CELLS.values():
            for row in measure(cell, size, applicable(cell, size, SIDE_BY_SIDE), 2 if quick else 5):
                result["rows"].append(row | {"necessary_gflop": necessary_gflop(row)})
                show(row)
            keep()
    for size in () if side_by_side else QUICK if quick else (*GROWTH, *GROWTH_IN_BATCH):
        for row in measure(gr.lstm, size, applicable(gr.lstm, size, GROWTH_SYSTEMS), 1 if size[3] > 10**5 else 3):
            result["growth"].append(row)
            show(row)
        keep()
    for size in () if side_by_side else QUICK if quick else (MEMORY_SIZE, *GROWTH):
        for cell in CELLS if size == MEMORY_SIZE else ("lstm",):
            wanted = tuple(SYSTEMS) if size == MEMORY_SIZE else GROWTH_SYSTEMS
            for name in applicable(CELLS[cell], size, wanted):
                if name not in ("onnxruntime", "gatedrnn, 2 devices"):
                    row = {"system": name, "cell": cell} | dict(zip("BDHT", size, strict=True))
                    row["bytes"] = peak_memory_apart(name, cell, size)
                    result["memory"].append(row)
                    print(f"{name:22} {cell:5} {' '.join(map(str, size)):18} {row['bytes'] / 1e6:9.1f} MB", flush=True)
            keep()
    result["limit_gflops"] = max(result["limit_gflops"], limit_gflops())
    keep()


def show(row: dict[str, Any]) -> None:
    forward, gradient = (
        "     -" if row[kind] is None else f"{row[kind]['ms']:6.0f}" for kind in ("forward", "gradient")
    )
    size = " ".join(str(row[letter]) for letter in "BDHT")
    print(f"{row['system']:22} {row['cell']:5} {size:18} forward {forward} ms   + backward {gradient} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--side-by-side", action="store_true", help="no growth, no memory")
    parser.add_argument("--out", type=Path, help="results/speed.json; speed-part.json for what is not the whole record")
    parser.add_argument("--memory", nargs=6, metavar=("SYSTEM", "CELL", "B", "D", "H", "T"), help="one measurement")
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", 2)
    if options.memory:
        name, cell, *size = options.memory
        batch, width, hidden, steps = map(int, size)
        print(peak_memory(name, cell, (batch, width, hidden, steps)))
    else:
        name = "speed-part.json" if options.quick or options.side_by_side else "speed.json"
        out = options.out or Path(__file__).parent / "results" / name
        record(options.quick, options.side_by_side, out)


if __name__ == "__main__":
    assert set(OURS) <= set(SYSTEMS)
    main()
