"""The benchmarks of speed: equality comes before the clock, and every part is measured."""

import dataclasses
import json
import subprocess

import jax
import jax.numpy as jnp
import pytest

import gatedrnn as gr
from benchmarks.speed import costs, measures, record as speed
from benchmarks.speed.problem import Size
from benchmarks.speed.systems import OURS, REFERENCE, SYSTEMS
from gatedrnn.cells import CLASSICS

SIZE = Size(2, 4, 8, 100)


@pytest.fixture(autouse=True)
def broadcasts():
    """What is measured is written as most people write it."""
    with jax.numpy_rank_promotion("allow"):
        yield


def scaled(ready_of, *problem):
    """A system whose weights are a ten-thousandth too large."""
    cell, params, *rest = problem
    return ready_of(cell, jax.tree.map(lambda a: 1.0001 * a, params), *rest)


def not_a_number(ready_of, *problem):
    """A system with one NaN in the last leaf of its gradients."""
    ready = ready_of(*problem)

    def gradients(found):
        got = ready.gradients(found)
        return got._replace(carry=(*got.carry[:-1], jnp.asarray(got.carry[-1]).at[-1, -1].set(jnp.nan)))

    return ready._replace(gradients=gradients)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [scaled, not_a_number])
def test_other_numbers_end_the_run_before_the_clock(monkeypatch, wrong):
    """Nothing is timed, of the right systems neither."""
    system = SYSTEMS["gatedrnn"]
    monkeypatch.setitem(SYSTEMS, "wrong", system._replace(build=lambda *problem: wrong(system.build, *problem)))
    timed = []
    given = lambda systems, *_: timed.append(systems) or {name: [1.0] for name in systems}
    monkeypatch.setattr(measures, "turns", given)
    names = [REFERENCE, "gatedrnn"]
    assert len(measures.measure(gr.lstm, SIZE, names, 1)) == 2
    assert len(timed) == 2  # forward, forward + backward
    timed.clear()
    with pytest.raises(SystemExit, match="wrong, lstm"):
        measures.measure(gr.lstm, SIZE, [*names, "wrong"], 1)
    assert not timed


@pytest.mark.slow
def test_a_cell_of_the_house_needs_no_peer(monkeypatch):
    """It is compared with the plain scan over its own step, and measured in our settings alone."""
    cell = dataclasses.replace(gr.gru, name="house")
    monkeypatch.setitem(CLASSICS, "house", cell)
    names = measures.applicable(cell, SIZE, SYSTEMS)
    assert names == [*OURS, REFERENCE]
    rows = measures.measure(cell, SIZE, names, 1)
    assert [row["system"] for row in rows] == names
    assert {costs.necessary_gflop(row) for row in rows} == {2 * 2 * 100 * (4 + 8) * 3 * 8 / 1e9}


@pytest.mark.parametrize("name", ["gatedrnn, Checkpointed", "wrong"])
def test_memory_of_what_was_not_timed_is_compared_first(monkeypatch, name):
    """A system that is only measured for memory has its errors there, or ends the run before anything is measured."""
    system = SYSTEMS["gatedrnn, Checkpointed"]
    wrong = system._replace(build=lambda *problem: scaled(system.build, *problem))
    systems = {REFERENCE: SYSTEMS[REFERENCE], name: wrong if name == "wrong" else system}
    monkeypatch.setattr(speed, "SYSTEMS", systems)
    monkeypatch.setattr(measures, "SYSTEMS", systems)
    measured = []
    monkeypatch.setattr(speed, "apart", lambda *which: measured.append(which) or {"bytes": 1.0, "outputs_bytes": 0})
    timed = {"system": REFERENCE, "cell": "lstm"} | dict(zip("BDHT", SIZE, strict=True))
    rows = speed.memory(True, {"rows": [timed], "growth": []})
    if name == "wrong":
        with pytest.raises(SystemExit, match="wrong, lstm"):
            next(rows)
        assert not measured
    else:
        assert ["errors" in row for row in rows] == [False, True]
        assert len(measured) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("peers")
def test_speed_benchmark_asserts_before_it_times(run, tmp_path):
    """The quick run covers every cell and system, and every error is there and within its tolerance."""
    out = tmp_path / "speed.json"
    done = run("-m", "benchmarks.speed", "--quick", "--out", str(out))
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    assert {row["cell"] for row in record["rows"]} == set(CLASSICS)
    assert len({row["system"] for row in record["rows"]}) == 10
    assert len({row["system"] for row in record["growth"]}) == 11
    for row in record["rows"] + record["growth"]:
        assert 0 <= row["errors"]["outputs"] < 1e-4
        assert (row["errors"]["gradients"] is None) == (row["gradient"] is None) == (row["system"] == "onnxruntime")
        assert row["gradient"] is None or 0 <= row["errors"]["gradients"] < 1e-4
        assert row["compile_s"] is None or 0 < row["trace_s"] < row["compile_s"]
    assert len({row["system"] for row in record["memory"]}) == 10
    assert all(row["bytes"] > 0 for row in record["memory"])
    assert {row["system"] for row in record["memory"] if not row["outputs_bytes"]} == {"gatedrnn, Checkpointed"}
    seconds = [row["flags"] for row in record["compile"] if "compile_s" in row]
    times = [row["flags"] for row in record["compile"] if "gradient" in row]
    assert seconds == times == ["", "--xla_cpu_use_fusion_emitters=false"]


@pytest.mark.usefixtures("peers")
@pytest.mark.parametrize("alone", [True, False])
def test_systems_side_by_side_alone(tmp_path, monkeypatch, project, alone):
    """Without the rest where asked; the record names commit and allocator wherever it starts, and no folder."""
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/liballocator.so")
    monkeypatch.chdir(tmp_path)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=project, capture_output=True, text=True)
    measured, apart = [], []
    given = {"memory": {"bytes": 1.0}, "compile": {"compile_s": 2.0, "trace_s": 1.0}, "times": [1.0]}
    monkeypatch.setattr(speed, "measure", lambda cell, size, *_: measured.append(size) or [])
    monkeypatch.setattr(speed, "compared", lambda cell, size, names: ({}, [{"errors": {}} for _ in names]))
    monkeypatch.setattr(speed, "apart", lambda what, *which: apart.append((what, *which)) or given[what])
    monkeypatch.setattr(speed, "limit_gflops", lambda: 1.0)
    speed.record(quick=False, alone=alone, out=tmp_path / "speed.json")
    record = json.loads((tmp_path / "speed.json").read_text())
    assert record["allocator"] == {"LD_PRELOAD": "liballocator.so"}
    assert record["commit"] == commit.stdout.strip() and {"versions", "device"} < record.keys()
    assert set(measured) == {*speed.SIZES} | (set() if alone else {*speed.GROWTH, *speed.GROWTH_IN_BATCH})
    assert {what for what, *_ in apart} == (set() if alone else {"memory", "compile", "times"})
    assert bool(record["memory"]) == bool(record["compile"]) == (not alone)
    memory = {(cell, *size) for what, name, cell, size, *_ in apart if what == "memory"}
    everywhere = {(cell, *size) for size in speed.MEMORY_SIZES for cell in CLASSICS}
    assert alone or (everywhere < memory and {("lstm", *size) for size in speed.GROWTH} < memory)


def killed(_):
    """What a run meets that somebody ends."""
    raise KeyboardInterrupt


@pytest.mark.usefixtures("peers")
def test_one_part_again(tmp_path, monkeypatch):
    """That part is replaced when all of it is there, by what is said to have measured it; all else stays as it was."""
    monkeypatch.setattr(speed, "apart", lambda what, *_: [1.0] if what == "times" else {"compile_s": 2.0})
    monkeypatch.setattr(speed, "limit_gflops", lambda: 1.0)
    out = tmp_path / "speed.json"
    old = {"commit": "old", "limit_gflops": 9.0, "rows": [1], "growth": [2], "memory": [3], "compile": [4]}
    out.write_text(json.dumps(old))
    with monkeypatch.context() as patch:
        patch.setattr(speed, "show", killed)
        with pytest.raises(KeyboardInterrupt):
            speed.record(quick=True, alone=False, out=out, again="compile")
    assert json.loads(out.read_text()) == old
    speed.record(quick=True, alone=False, out=out, again="compile")
    record = json.loads(out.read_text())
    again = record.pop("again")
    assert [row.get("compile_s") for row in record.pop("compile")] == [2.0, 2.0, None, None]
    assert record == {name: value for name, value in old.items() if name != "compile"}
    assert again.keys() == {"compile"} and {"versions", "commit", "device", "limit_gflops"} < again["compile"].keys()


def test_nothing_to_measure_again(run, tmp_path):
    """In a sentence, without a traceback."""
    done = run("-m", "benchmarks.speed", "--again", "memory", "--out", str(tmp_path / "none.json"))
    assert done.returncode == 2
    assert "is no record" in done.stderr and "Traceback" not in done.stderr
