"""The breakdown of a program's time: every loop is found, with its products and its operations."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("cell", "options", "loops"),
    [
        ("lstm", (), {"forward, loop", "backward, loop", "backward, replay of the memory"}),
        ("rnn", (), {"forward, loop", "backward, loop"}),
        ("gru", ("--forward",), {"forward, loop"}),
    ],
)
def test_every_loop_has_its_line(cell, options, loops):
    """One product per step in the loops, none in the replay; segments and the rest beside."""
    command = [sys.executable, "benchmarks/breakdown.py", cell, "8", "16", "64", "800", *options]  # four segments
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.match(rf"{cell} 8 16 64 800: \d+\.\d\d µs per step, [\d,]+ page faults per run\n", done.stdout)
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", done.stdout, re.MULTILINE)
    found = {label: (float(products), float(operations)) for label, _, products, operations in rows}
    directions = {label.partition(",")[0] for label in loops}
    assert found.keys() == loops | {f"{direction}, segment" for direction in directions} | {"outside the loops"}
    for label in loops:
        products, operations = found[label]
        assert (products > 0) == label.endswith("loop")
        assert 3 <= operations <= 20
