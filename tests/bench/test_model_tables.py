"""Whole models beside those of other frameworks: equality comes before the clock, and the table shows the record."""

import json

import jax
import numpy as np
import pytest

import gatedrnn as gr
from benchmarks.models.__main__ import QUICK, SIZE, main, problem
from benchmarks.models.pair import Pair, in_jax, measured
from benchmarks.models.peers import PEERS
from benchmarks.tables import model_tables


def pair_of(given, factor=1.0):
    """A GRU and itself, one side's weights times a factor."""
    params = gr.gru.init(jax.random.key(0), QUICK.width, QUICK.hidden)
    run = lambda params, xs: gr.unroll(gr.gru, params, xs, lengths=given.lengths)[1]
    scaled = jax.tree.map(lambda a: factor * a, params)
    return Pair("a", "b", in_jax(run, params, given), in_jax(run, scaled, given), lambda found: found)


def test_the_same_numbers_are_timed():
    """Errors, medians and memory of both sides; what stands behind the lengths counts for nothing."""
    given = problem(QUICK)
    assert given.lengths.max() == QUICK.steps and given.lengths.min() >= QUICK.steps // 2
    row = measured("gru", pair_of(given), given, 2)
    assert row["errors"] == {"outputs": 0.0, "gradients": 0.0}
    assert row["theirs"]["ms"] > 0 and row["ours"]["temp_bytes"] >= 0


@pytest.mark.parametrize("factor", [1.01, np.nan])
def test_other_numbers_end_the_run_before_the_clock(factor, monkeypatch):
    """Nothing is timed."""
    monkeypatch.setattr("benchmarks.models.pair.milliseconds", lambda run: pytest.fail("timed"))
    given = problem(QUICK)
    with pytest.raises(SystemExit, match="gru: other numbers"):
        measured("gru", pair_of(given, factor), given, 1)


def test_the_table_shows_the_record(tmp_path, monkeypatch):
    """A dash for what JAX does not compile; without a record, the command that makes one."""
    monkeypatch.setattr(model_tables, "RECORD", tmp_path / "models.json")
    assert "python -m benchmarks.models" in model_tables.models_table()
    side = {"ms": 50.0, "spread": [1.0, 2.0], "temp_bytes": None}
    row = {"peer": "torch", "model": "m", "here": "h", "errors": {"outputs": 1.2e-6, "gradients": 3.4e-6}}
    row |= {"theirs": side, "ours": side | {"ms": 25.0, "temp_bytes": 7_000_000}}
    made = {"versions": {"jax": "1.2.3"}, "device": {"cores": 2}, "load": 2.0, "turns": 11, "rows": [row]}
    made |= {"size": dict(zip("BDHT", SIZE, strict=True))}
    (tmp_path / "models.json").write_text(json.dumps(made))
    head, _, line, _, told = model_tables.models_table().splitlines()
    assert line == "| torch | m | h | 1e−06, 3e−06 | 50 | 25 | 0.50 | – | 7 |"
    assert told == "B 16 D 32 H 128 T 500; medians of 11 turns; 2 cores beside other work. jax 1.2.3."


def test_quick_is_no_record(monkeypatch):
    """It must not replace the record."""
    monkeypatch.setattr("sys.argv", ["models", "--quick"])
    with pytest.raises(SystemExit, match="2"):
        main()


@pytest.mark.slow
@pytest.mark.usefixtures("peers")
def test_every_peer(run, tmp_path):
    """Each framework's model is the same function as ours of it, in outputs and gradients."""
    out = tmp_path / "models.json"
    done = run("-m", "benchmarks.models", "--quick", "--out", str(out))
    assert done.returncode == 0, done.stderr
    rows = {row["peer"]: row for row in json.loads(out.read_text())["rows"]}
    assert set(rows) == set(PEERS)
    for row in rows.values():
        assert 0 <= max(row["errors"].values()) < 1e-5
        assert (row["theirs"]["temp_bytes"] is None) == (row["peer"] == "torch")
