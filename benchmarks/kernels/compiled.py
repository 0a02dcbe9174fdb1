"""The kernels compiled for a TPU v5e and an H100 that are not here, and what a step of each moves and computes.

python -m benchmarks.kernels.compiled tpu cuda --out benchmarks/results/kernels.json

Needs libtpu, or CUDA's wheels for JAX, in an environment made for it; says so where they are missing. A step's floor
is the larger of two times: of what its kernel reads and writes in main memory, by the arrays that the lowered program
hands to it, at the full rate; of its products, at the peak.
"""

import argparse
import contextlib
import json
import math
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import gatedrnn as gr
from benchmarks.kernels.cases import INPUTS, SIZES
from benchmarks.kernels.topology import Missing, in_sight, one_device
from benchmarks.shared import Row, described, write_whole

STEPS, LENGTH = 2048, 256
SIDES = ("forward", "backward")
WIDTHS = {"f32": 4, "bf16": 2, "i32": 4}
KERNELS = {"tpu": ("@tpu_custom_call(",), "cuda": ("@mosaic_gpu_v2(", "xla.gpu.triton(")}


class Peak(NamedTuple):
    """Of a datasheet: bytes per microsecond of main memory, and operations per microsecond of products."""

    memory: float
    bfloat16: float


PEAKS = {"tpu": Peak(819e3, 197e6), "cuda": Peak(3352e3, 989e6)}
CASES = (
    *(
        (cell, batch, units, dtype)
        for batch, units in SIZES
        for cell in ("lstm", "gru")
        for dtype in ("float32", "bfloat16")
    ),
    ("lstm", 16, 200, "bfloat16"),
    ("lstm", 16, 256, "bfloat16"),
    ("slstm", 3, 5, "float32"),
    ("indrnn", 300, 200, "bfloat16"),
)


def floor(moved: int, matrices: int, units: int, batch: int, peak: Peak) -> Row:
    """Of one step of a kernel, in microseconds; products are counted at the rate of bfloat16."""
    computed = 2 * batch * matrices * units**2
    return {
        "bytes": moved,
        "operations": computed,
        "memory_us": moved / peak.memory,
        "products_us": computed / peak.bfloat16,
    }


def moved_bytes(text: str, calls: Sequence[str]) -> list[int]:
    """What each kernel of a lowered program moves in one step: arrays of [LENGTH, ...] that it is given, or gives."""
    found = []
    for line in text.splitlines():
        if any(call in line for call in calls):
            types = re.findall(r"tensor<([\dx]+)x(\w+)>", line.rpartition(" : ")[2])
            arrays = [([*map(int, sizes.split("x"))], WIDTHS[kind]) for sizes, kind in types]
            found.append(sum(math.prod(s[1:]) * width for s, width in arrays if len(s) > 2 and s[0] == LENGTH))
    return found


def loop_instructions(text: str) -> int:
    """Of a kernel in PTX, those of its longest loop, of one thread: a step of the recurrence."""
    lines = [line.strip() for line in text.splitlines()]
    labels = {line.removesuffix(":"): i for i, line in enumerate(lines) if re.fullmatch(r"\$\w+:", line)}
    longest = 0
    for i, line in enumerate(lines):
        jump = re.search(r"\bbra\S*\s+(\$\w+);", line)
        start = labels.get(jump[1], i) if jump else i
        body = [each for each in lines[start : i + 1] if each.endswith(";") and not each.startswith(".")]
        longest = max(longest, len(body)) if start < i else longest
    return longest


def compiled(platform: str, name: str, batch: int, units: int, dtype: str) -> Row:
    """One gradient: whether it compiles, what it keeps in main memory, and for a GPU a step's instructions."""
    place, cell = one_device(platform), gr.cells.CELLS[name]
    method = gr.Fused(LENGTH, platform=platform)
    like = lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place)
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), INPUTS, units, dtype=jnp.dtype(dtype)))
    shape = (STEPS, batch)
    xs, flag = jax.ShapeDtypeStruct((*shape, INPUTS), dtype), jax.ShapeDtypeStruct(shape, bool)

    def loss(params: Any, xs: Any, mask: Any, reset: Any) -> Any:
        end, ys = gr.unroll(cell, params, xs, mask=mask, reset=reset, method=method)
        return jnp.square(ys).sum() + sum(map(jnp.sum, end))

    row: Row = {"platform": platform, "cell": name, "batch": batch, "units": units, "dtype": dtype}
    with in_sight(platform):
        told = gr.explain(cell, params, xs, method=method)[0]
        if told.gradient != "kernel":
            return row | {"absent": told.why}
        row["why"] = told.why
        start = time.perf_counter()
        lowered = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(*jax.tree.map(like, (params, xs, flag, flag)))
        text = lowered.as_text()
        row["kernels"] = sum(map(text.count, KERNELS[platform]))
        with tempfile.TemporaryDirectory() as folder, _dumped(folder):
            dump: dict[str, str | bool] = {"xla_dump_to": folder, "xla_dump_hlo_pass_re": "NONE"}
            found: Any = lowered.compile(compiler_options=dump if platform == "cuda" else None).memory_analysis()
            texts = [path.read_text() for path in Path(folder).glob("*.ptx")]
    carry = jax.eval_shape(lambda p: cell.initial_carry(p, batch), params)
    dense = jax.eval_shape(lambda p, h: gr.recurrence(cell, p, h), params, carry[0]).u[0].ndim > 1
    for side, moved in zip(SIDES, moved_bytes(text, KERNELS[platform]), strict=True):
        row[side] = floor(moved, len(cell.gates) * dense, units, batch, PEAKS[platform])
    for ptx in texts:
        for side in re.findall(r"\.entry (forward|backward)_steps\w*\(", ptx):
            row[side]["instructions"] = loop_instructions(ptx)
    return row | {"seconds": round(time.perf_counter() - start, 1), "temporary_bytes": found.temp_size_in_bytes}


@contextlib.contextmanager
def _dumped(folder: str) -> Iterator[None]:
    """Where Mosaic leaves its PTX; XLA is told by an option."""
    os.environ["MOSAIC_GPU_DUMP_TO"] = folder
    try:
        yield
    finally:
        del os.environ["MOSAIC_GPU_DUMP_TO"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("platforms", nargs="+", choices=sorted(KERNELS))
    parser.add_argument("--out", type=Path, help="the record")
    options = parser.parse_args()
    record: Row = described(["jax", "jaxlib"]) | {"inputs": INPUTS, "steps": STEPS, "rows": []}
    for platform in options.platforms:
        try:
            for case in CASES:
                record["rows"].append(compiled(platform, *case))
                print(json.dumps(record["rows"][-1]), flush=True)
        except Missing as why:
            print(why)
    if options.out and {row["platform"] for row in record["rows"]} == {*options.platforms}:
        write_whole(options.out, record)


if __name__ == "__main__":
    main()
