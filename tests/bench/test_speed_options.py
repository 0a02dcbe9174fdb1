"""What options cost and what a step of a stream takes: the programs run at small sizes and write whole records."""

import json

import pytest


@pytest.mark.slow
@pytest.mark.usefixtures("peers")
@pytest.mark.parametrize("program", ["options", "latency"])
def test_quick(run, tmp_path, program):
    """Every row has its numbers; outputs that differ would have ended the run."""
    out = tmp_path / "record.json"
    done = run("-m", f"benchmarks.speed.{program}", "--quick", "--out", str(out))
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    assert {row["cell"] for row in record["rows"]} == {"gru", "lstm"} and record["commit"]
    for row in record["rows"]:
        numbers = row["microseconds"].values() if program == "latency" else (row["ms"], row["ratio"])
        assert all(number > 0 for number in numbers)
