"""What a step costs on a GPU or a TPU, by Fused, cuDNN and scans: equality first, then the clock, a line per case.

python -m benchmarks.kernels --out F --limit 420     on a device, for so many seconds
python -m benchmarks.kernels --out F --dry           tiny, kernels interpreted, to see that the program runs
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import gatedrnn as gr
from benchmarks.kernels.cases import DRY, SIDES, Case, all_cases, cell_of, drawn
from benchmarks.kernels.systems import Absent, Build, in_jax, systems
from benchmarks.shared import Row, described
from benchmarks.speed.clock import repeated

CALLS, DRY_CALLS = 7, 2
CHECKED = (  # and the precision of products: "highest" is Triton's, "default" Mosaic's, in one block and in clusters
    (Case("lstm", 3, 100, 37, "float32", ""), "highest"),
    (Case("gru", 20, 64, 37, "float32", ""), "highest"),
    (Case("gru", 20, 100, 37, "float32", ""), "default"),
    (Case("gru", 20, 200, 37, "float32", ""), "default"),
    (Case("lstm", 20, 250, 37, "bfloat16", ""), "default"),
    (Case("gru", 20, 500, 37, "bfloat16", ""), "default"),
)
DRY_CHECKED = ((Case("lstm", 2, 5, 7, "float32", ""), "highest"),)
LEFT = 20.0  # seconds that a case may take


def equality(case: Case, precision: str, dry: bool) -> Row:
    """Values and gradients of Fused beside those of Autodiff, which multiplies in full float32, with flags.

    The worst relative error of any array: about 1e-6 in full float32, 1e-3 in TF32, 1e-2 in bfloat16.
    """
    given, cell, fused = drawn(case), cell_of(case), gr.Fused(interpret=dry)
    keys = jax.random.split(jax.random.key(1))
    mask, reset = (jax.random.bernoulli(key, p, given.xs.shape[:2]) for key, p in zip(keys, (0.8, 0.2), strict=True))

    def found(method: gr.Method, precision: str) -> list[np.ndarray]:
        def loss(params: gr.Params, xs: jax.Array) -> tuple[jax.Array, jax.Array]:
            ys = gr.unroll(cell, params, xs, mask=mask, reset=reset, method=method)[1]
            return jnp.sum(ys * given.weights), ys

        with jax.default_matmul_precision(precision):
            run = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
            return [np.asarray(a, np.float64) for a in jax.tree.leaves(run(given.params, given.xs))]

    pairs = zip(found(fused, precision), found(gr.Autodiff(), "highest"), strict=True)
    worst = max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)
    with jax.default_matmul_precision(precision):
        why = gr.explain(cell, given.params, given.xs, method=fused)[0].why
    return {"check": case.cell, "precision": precision, "units": case.units, "why": why, "worst": worst}


def measured(name: str, build: Build, case: Case, calls: int) -> Row:
    """One line: microseconds per step, and how far the outputs are from those of Segmented."""
    row: Row = {"system": name, **case._asdict()}
    given = drawn(case)
    try:
        ready = build(case, given)
        start = time.perf_counter()
        ready.run()
        row["first_s"] = round(time.perf_counter() - start, 2)
        times = sorted(1e3 * ms / case.steps for ms in repeated(ready.run, calls))
        row |= {"us": statistics.median(times), "least_us": times[0], "most_us": times[-1]}
        if case.side == SIDES[0]:
            forward = lambda p, xs: gr.unroll(cell_of(case), p, xs)[1]
            want = in_jax(case, given, forward, given.params).outputs()
            got = np.asarray(ready.outputs(), np.float64)
            row["from_segmented"] = float(np.linalg.norm(got - want) / np.linalg.norm(want))
    except Absent as why:
        row["absent"] = str(why)
    except Exception as error:  # out of memory, of a compiler, of a driver: the next case may do
        row["error"] = f"{type(error).__name__}: {str(error)[:300]}"
    return row


def rows(dry: bool, limit: float) -> Iterator[Row]:
    """What made the record, equality, then every case until the limit."""
    start = time.monotonic()
    yield described(["jax", "jaxlib"]) | {"card": jax.devices()[0].device_kind, "dry": dry}
    for case, precision in DRY_CHECKED if dry else CHECKED:
        yield equality(case, precision, dry)
    for case in DRY if dry else all_cases():
        for name, build in systems(dry).items():
            if time.monotonic() - start > limit - LEFT:
                yield {"system": name, **case._asdict(), "absent": "out of time"}
                continue
            yield measured(name, build, case, DRY_CALLS if dry else CALLS)
            jax.clear_caches()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the record, one line of JSON per case")
    parser.add_argument("--limit", type=float, default=420.0, help="seconds after which no case is begun")
    parser.add_argument("--dry", action="store_true", help="tiny sizes, kernels interpreted: no record of speed")
    options = parser.parse_args()
    with options.out.open("w") as file:
        for row in rows(options.dry, options.limit):
            line = json.dumps(row)
            print(line, flush=True)
            file.write(line + "\n")
            file.flush()


if __name__ == "__main__":
    main()
