"""gatedrnn race: what it trains where nothing is chosen, and what it says of a seed that diverged."""

import math
import re

import jax
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.cli._prepare import prepare
from gatedrnn.cli._settings import Settings
from gatedrnn.train._metrics import Row


def test_the_shortest_horizon_has_a_chrono_initialisation(there, defaults):
    """Gates that are drawn for at least three steps."""
    for horizon, chrono in ((2, 3), (3, 3), (8, 8)):
        settings = Settings(**defaults | {"task": "adding", "init": "chrono", "horizon": horizon})
        setup = prepare(settings).setup
        assert dict(setup.cell_options) == {"chrono": chrono}
        jax.eval_shape(gr.train.init, setup)


def pretended(setup, *, seeds, **_):
    """In the place of `fit`, without training: two tests of every seed; seed 1 has diverged."""
    state = gr.train.init(setup, seeds)._replace(step=np.array([4]))
    rows = [Row(step, seed, 1.0, math.nan if seed == 1 else step / 8, 0.5) for step in (2, 4) for seed in seeds]
    return gr.train.Fitted(state, rows, dict.fromkeys(seeds), 1.0, 1.0)


def test_every_cell_and_initialisation_by_default(there, monkeypatch, tiny, succeeds, read_json):
    """In one order, and each entry's setup is the one that it is called by."""
    setups = []
    monkeypatch.setattr(gr.train, "fit", lambda setup, **given: setups.append(setup) or pretended(setup, **given))
    succeeds("race", "adding", *tiny, "--out", "all")
    inits = {
        name: ("default", "chrono") if cell.horizon_option else ("default",) for name, cell in gr.cells.CLASSICS.items()
    }
    entries = [(name, init) for name in gr.cells.CLASSICS for init in inits[name]]
    assert entries[:3] == [("rnn", "default"), ("gru", "default"), ("gru", "chrono")]
    assert [(run["cell"], run["init"]) for run in read_json(there / "all" / "race.json")["runs"]] == entries
    options = {"default": {}, "chrono": {"chrono": 8}}
    assert [(s.cell.name, dict(s.cell_options)) for s in setups] == [(cell, options[init]) for cell, init in entries]


@pytest.mark.parametrize("command", ["race", "train"])
def test_one_seed_that_diverged(there, monkeypatch, command, tiny, succeeds, read_json):
    """Its loss is null in the files, which stay strict, and the worst in the table; the others keep theirs."""
    monkeypatch.setattr(gr.train, "fit", pretended)
    cells = ("--cells", "rnn") if command == "race" else ("--cell", "rnn")
    out = f"diverged {command}"
    result = succeeds(command, "adding", *tiny, *cells, "--seeds", 3, "--out", out)
    if command == "race":
        (run,) = read_json(there / out / "race.json")["runs"]
        assert run["test_loss"] == [0.5, None, 0.5]
        assert re.search(r"^rnn +default +22 +0.5 +inf ", result.stdout, re.MULTILINE)
        assert b"</svg>" in (there / out / "plateau.svg").read_bytes()
    else:
        assert [row["test_loss"] for row in read_json(there / out / "result.json")["last"]] == [0.5, None, 0.5]
        assert read_json(there / out / "model-1.json")["about"]["test_loss"] is None
        assert re.search(r"^ +1 +4 +nan ", result.stdout, re.MULTILINE)
