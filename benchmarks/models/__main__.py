"""Whole models beside those of other frameworks: equality first, then forward + backward in turns, then memory.

python -m benchmarks.models                    writes the record, which `python -m benchmarks.tables` shows
python -m benchmarks.models --quick --out F    tiny sizes, to see that it runs
"""

import argparse
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.models.pair import Given, measured
from benchmarks.models.peers import PEERS
from benchmarks.shared import RESULTS, Row, described, write_whole
from benchmarks.speed.problem import Size
from benchmarks.speed.record import VERSIONS

RECORD = RESULTS / "models.json"
SIZE = Size(16, 32, 128, 500)
QUICK = Size(2, 3, 4, 9)
TURNS = 11


def problem(size: Size) -> Given:
    """Random inputs, and rows of half to all of the steps, one of them whole."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(size.steps // 2, size.steps + 1, size.batch)
    lengths[0] = size.steps
    xs = rng.normal(size=(size.steps, size.batch, size.width)).astype(np.float32)
    return Given(jnp.asarray(xs), jnp.asarray(lengths, jnp.int32), size.hidden)


def record(size: Size, turns: int, out: Path) -> None:
    """Measures every peer, and writes the record after each: a killed run keeps them."""
    size_row = dict(zip("BDHT", size, strict=True))
    made = described(VERSIONS) | {"load": os.getloadavg()[0], "size": size_row, "turns": turns}
    given, rows = problem(size), list[Row]()
    for name, build in PEERS.items():
        rows.append(measured(name, build(given), given, turns))
        write_whole(out, made | {"rows": rows})
        times = [f"{side} {rows[-1][side]['ms']:.0f} ms" for side in ("theirs", "ours")]
        print(f"{name:14} {'  '.join(times)}   {rows[-1]['errors']}", flush=True)
        jax.clear_caches()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    parser.add_argument("--out", type=Path, default=RECORD, help="the record")
    options = parser.parse_args()
    if options.quick and options.out == RECORD:
        parser.error("--quick needs --out: what it measures is no record")
    os.environ.setdefault("KERAS_BACKEND", "jax")
    record(QUICK if options.quick else SIZE, 2 if options.quick else TURNS, options.out)


if __name__ == "__main__":
    main()
