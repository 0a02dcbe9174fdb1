"""The kernels compiled for a TPU v5e and an H100 that are not here, and what a step of each moves and computes.

python -m benchmarks.kernels.compiled tpu cuda

Needs libtpu, or CUDA's wheels for JAX, in an environment made for it; says so where they are missing. A step's floor
is the larger of two times: of what it reads and writes in main memory, at the full rate; of its products, at the peak.
"""

import argparse
import contextlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import gatedrnn as gr
from benchmarks.kernels.cases import INPUTS
from benchmarks.kernels.topology import Missing, in_sight, one_device
from benchmarks.shared import Row
from gatedrnn.methods._loops import Inputs
from gatedrnn.methods.kernels._budget import Load

STEPS, LENGTH = 2048, 256
KERNELS = {"tpu": ("@tpu_custom_call(",), "cuda": ("@mosaic_gpu_v2(", "xla.gpu.triton(")}


class Peak(NamedTuple):
    """Of a datasheet: bytes per microsecond of main memory, and operations per microsecond of products."""

    memory: float
    bfloat16: float


PEAKS = {"tpu": Peak(819e3, 197e6), "cuda": Peak(3352e3, 989e6)}
CASES = (
    ("lstm", 16, 128, "float32"),
    ("lstm", 16, 128, "bfloat16"),
    ("gru", 16, 128, "float32"),
    ("lstm", 1, 64, "float32"),
    ("lstm", 16, 256, "bfloat16"),
    ("lstm", 16, 200, "bfloat16"),
    ("gru", 64, 256, "float32"),
    ("gru", 64, 512, "bfloat16"),
    ("lstm", 64, 512, "float32"),
    ("lstm", 128, 768, "bfloat16"),
    ("slstm", 3, 5, "float32"),
    ("indrnn", 300, 200, "bfloat16"),
)


def floors(load: Load, units: int, batch: int, peak: Peak) -> Row:
    """Of one step of the forward kernel, in microseconds; products are counted at the rate of bfloat16."""
    moved = 4 * batch * (load.streams * units + load.flags)
    computed = 2 * batch * load.matrices * units**2
    return {
        "bytes": moved,
        "operations": computed,
        "memory_us": moved / peak.memory,
        "products_us": computed / peak.bfloat16,
    }


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


def forward_load(cell: gr.Cell, params: Any, batch: int) -> Load:
    """What the forward kernel of a gradient reads and writes, with both flags."""
    gates = jax.eval_shape(cell.project, params.input, jax.ShapeDtypeStruct((batch, INPUTS), params.input["w"].dtype))
    carry = jax.eval_shape(lambda p: cell.initial_carry(p, batch), params)
    dense = jax.eval_shape(lambda p, h: gr.recurrence(cell, p, h), params, carry[0]).u[0].ndim > 1
    flags = len(Inputs._fields) - 2
    return Load(len(cell.gates) * dense, params.input["w"].dtype.itemsize, 0, 0, len(gates) + len(carry), flags)


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
        row["kernels"] = sum(map(lowered.as_text().count, KERNELS[platform]))
        with tempfile.TemporaryDirectory() as folder, _dumped(folder):
            dump: dict[str, str | bool] = {"xla_dump_to": folder, "xla_dump_hlo_pass_re": "NONE"}
            found: Any = lowered.compile(compiler_options=dump if platform == "cuda" else None).memory_analysis()
            texts = [path.read_text() for path in Path(folder).glob("*.ptx")]
    for text in texts:
        for name in re.findall(r"\.entry (forward_steps|backward_steps)\w*\(", text):
            row[f"{name}_instructions"] = loop_instructions(text)
    row |= {"seconds": round(time.perf_counter() - start, 1), "temporary_bytes": found.temp_size_in_bytes}
    return row | floors(forward_load(cell, params, batch), units, batch, PEAKS[platform])


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
    for platform in parser.parse_args().platforms:
        try:
            for case in CASES:
                print(json.dumps(compiled(platform, *case)), flush=True)
        except Missing as why:
            print(why)


if __name__ == "__main__":
    main()
