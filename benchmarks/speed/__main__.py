"""Time and memory of a recurrence, forward and back, beside the other frameworks. Equality first, then the clock.

python -m benchmarks.speed                 the record: benchmarks/results/speed.json
python -m benchmarks.speed --quick         tiny sizes, to see that it runs
python -m benchmarks.speed --side-by-side  the first part alone: no growth, no memory, no compilation
python -m benchmarks.speed --again memory  one part of the record anew

Beside it: `.against` times two commits in turns, `.breakdown` a program's loops, `.bounds` the products alone;
`.operations` counts what a step consists of.

Every system gets the same inputs and the same weights, converted. Outputs and gradients are compared with plain
`jax.lax.scan` under `jax.grad` before any number is taken; the systems then take turns. Peak memory and compilation are
measured in a process of its own per system. The limit is the rate of a large float32 matrix product on all cores in
this run.
"""

import argparse
from pathlib import Path

import jax

from benchmarks.shared import RESULTS
from benchmarks.speed.record import PARTS, record


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--side-by-side", action="store_true", help="no growth, no memory, no compilation")
    parser.add_argument("--again", choices=list(PARTS), help="one part of the record anew")
    parser.add_argument("--out", type=Path, help="results/speed.json; speed-part.json for what is not the whole record")
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", 2)
    out = options.out or RESULTS / ("speed-part.json" if options.quick or options.side_by_side else "speed.json")
    if options.again and not out.exists():
        parser.error(f"{out} is no record; --again replaces a part of one")
    record(options.quick, options.side_by_side, out, options.again)


if __name__ == "__main__":
    main()
