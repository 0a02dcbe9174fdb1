"""Who learns over long horizons: the records, each with its whole configuration and its curves.

python -m benchmarks.learning                    lists them
python -m benchmarks.learning adding-10000 ...   trains those; benchmarks/results/records/NAME.json
python -m benchmarks.learning --quick NAME       the same at a hundredth of the horizon, to see that it runs
python -m benchmarks.learning.writable           which units the marks of adding can write before any training

--at-once N trains N entries at a time, each on its share of the cores; --devices N shares the seeds of an entry, or its
batch, over N devices. An entry that is in the record already is not trained again; a killed one goes on from its
checkpoint in benchmarks/runs/, and so does one that lacks a test.
"""

import argparse
from pathlib import Path

from benchmarks.learning.records import Way, run
from benchmarks.learning.setups import RECORDS
from benchmarks.learning.training import cores
from benchmarks.shared import RESULTS, ROOT

RUNS = ROOT / "benchmarks" / "runs"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="records to train")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the horizon")
    parser.add_argument("--results", type=Path, help="folder of the records; with --quick, runs/quick")
    parser.add_argument("--runs", type=Path, help="folder of checkpoints")
    parser.add_argument("--at-once", type=int, default=1, help="entries at a time, each on its share of the cores")
    parser.add_argument("--devices", type=int, default=1, help="devices (on a CPU: cores) per entry")
    options = parser.parse_args()
    if options.devices < 1:
        parser.error(f"--devices must be at least 1; got {options.devices}")
    if not 1 <= options.at_once <= len(cores()):
        parser.error(f"--at-once must be between 1 and {len(cores())}, the number of cores; got {options.at_once}")
    unknown = set(options.names) - set(RECORDS)
    if unknown:
        parser.error(f"no record named {min(unknown)}; there are {', '.join(RECORDS)}")
    if not options.names:
        for name, entries in RECORDS.items():
            print(f"{name:20} {(entries.__doc__ or '').strip()}")
        return
    results = options.results or (RUNS / "quick" if options.quick else RESULTS / "records")
    runs = options.runs or (RUNS / "quick" if options.quick else RUNS)
    run(options.names, Way(results, runs, options.quick, options.at_once, options.devices))


if __name__ == "__main__":
    main()
