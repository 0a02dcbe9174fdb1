"""The README's example runs, its tables are those of the records, and the benchmark runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PEERS = ("torch", "keras", "haiku", "equinox", "onnxruntime")


def run(*arguments):
    """A Python process from the project's root."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_tables_come_from_the_records():
    """No number in the README's tables was typed by hand."""
    assert run("benchmarks/readme.py", "--check").returncode == 0


@pytest.mark.parametrize(("index", "begins"), [(0, ("isometric: ", "vanishing: ", "exploding: ")), (1, "0.1732")])
def test_examples_run(index, begins):
    """The examples are complete as printed; they name a verdict, and the chance loss."""
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 2
    done = run("-W", "error", "-c", examples[index])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(begins)


@pytest.mark.parametrize("target", ["benchmarks/results/gradient-flow/waterfall.png", "notebooks"])
def test_links_lead_somewhere(target):
    """What the README links to within the project is there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", text)
    assert any(link.startswith(target) for link in links)
    assert all((ROOT / link).exists() for link in links)


def test_speed_benchmark_asserts_before_it_times(tmp_path, monkeypatch):
    """The quick run covers every cell and system, and every error is there and within its tolerance."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    for peer in PEERS:
        pytest.importorskip(peer)
    out = tmp_path / "speed.json"
    done = run("benchmarks/speed.py", "--quick", "--out", str(out))
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    assert {row["cell"] for row in record["rows"]} == {"rnn", "gru", "lstm"}
    assert len({row["system"] for row in record["rows"]}) == 10
    for row in record["rows"]:
        assert 0 <= row["errors"]["outputs"] < 1e-3
        assert (row["errors"]["gradients"] is None) == (row["gradient"] is None) == (row["system"] == "onnxruntime")
        assert row["gradient"] is None or 0 <= row["errors"]["gradients"] < 1e-3
    assert all(row["bytes"] > 0 for row in record["memory"])


@pytest.mark.parametrize("alone", [True, False])
def test_systems_side_by_side_alone(tmp_path, monkeypatch, alone):
    """Without growth and memory where asked; the record names the allocator, and no folder of the machine."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    for peer in PEERS:
        pytest.importorskip(peer)
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/liballocator.so")
    import speed

    measured, apart = [], []
    monkeypatch.setattr(speed, "measure", lambda cell, size, *_: measured.append(size) or [])
    monkeypatch.setattr(speed, "peak_memory_apart", lambda *given: apart.append(given) or 0.0)
    monkeypatch.setattr(speed, "limit_gflops", lambda: 1.0)
    speed.record(quick=False, side_by_side=alone, out=tmp_path / "speed.json")
    record = json.loads((tmp_path / "speed.json").read_text())
    assert record["allocator"] == {"LD_PRELOAD": "liballocator.so"}
    assert set(measured) - set(speed.SIZES) == (
        set() if alone else {*speed.GROWTH, *speed.GROWTH_IN_BATCH} - set(speed.SIZES)
    )
    assert bool(apart) == (not alone) == bool(record["memory"])
