"""How long the README's commands take: python -m benchmarks.tables.durations writes the record.

They run one after the other in one folder, from the start of a process to its end, compilation included.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time

from benchmarks.shared import RESULTS, ROOT, Row, described, number, table, write_whole

RECORD = RESULTS / "durations.json"
COMPARE = "gatedrnn compare"
TRAIN = (
    "gatedrnn train adding --cell gru --init chrono --horizon 1000 --target 0.01 --out run",
    "gatedrnn race adding --horizon 200 --steps 500",
    "gatedrnn train text --cell gru --hidden 128 --horizon 200 --steps 500 --out prose",
)
BUSY = 0.5  # a load average above it: other work was there


def main() -> None:
    seconds: dict[str, float] = {}
    record = described(["jax", "jaxlib"]) | {"load": os.getloadavg()[0], "seconds": seconds}
    plain = os.environ | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        for command in (COMPARE, *TRAIN):
            program, *arguments = shlex.split(command)
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", program, *arguments], cwd=folder, env=plain, check=True)
            seconds[command] = time.perf_counter() - began
    write_whole(RECORD, record)


def compare_seconds() -> str:
    """A sentence."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    return f"It takes {number(record['seconds'][COMPARE], ',.0f')} s, {where(record)}."


def train_seconds_table() -> str:
    """Seconds of the commands that train."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    rows = [(f"`{command}`", number(record["seconds"][command], ",.0f")) for command in TRAIN]
    return f"{table((f'seconds, {where(record)}', ''), rows)}"


def where(record: Row) -> str:
    """What the times hold for."""
    beside = " beside other work" if record["load"] > BUSY else ""
    return f"compilation included, on {record['device']['cores']} cores{beside} (jax {record['versions']['jax']})"


if __name__ == "__main__":
    main()
