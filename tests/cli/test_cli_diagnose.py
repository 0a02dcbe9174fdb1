"""`gatedrnn diagnose` on trainings that were made to fail, one for each verdict; and on other folders."""

import json
import math
import shlex
from pathlib import Path

import jax
import numpy as np
import pytest

import gatedrnn as gr

GRU = ("adding", "--cell", "gru", "--hidden", "8", "--batch", "4", "--test-batches", "2", "--test-every", "2")
FAR = (*GRU, "--horizon", "100", "--steps", "12")
NEAR = (*GRU, "--horizon", "4", "--batch", "16", "--test-every", "5")


@pytest.fixture(scope="module")
def diagnosed(there, invoke, succeeds, read_json):
    """(options) -> what is printed of a training with them, its lines in one, and the JSON; made once."""
    made = {}

    def make(*options):
        if options not in made:
            name = f"run{len(made)}"
            invoke("train", *options, "--out", name)
            printed = succeeds("diagnose", name, "--json", f"{name}.json").stdout
            assert printed.endswith(f"wrote {name}.json\n")
            made[options] = name, " ".join(printed.split()), read_json(Path(f"{name}.json"))
        return made[options]

    return make


def found(record):
    """Names of the findings."""
    return [each["name"] for each in record["findings"]]


def line_of(record, word):
    """The line for the advice that says so."""
    return next(each["line"] for each in record["advice"] if word in each["says"])


@pytest.mark.slow
def test_vanishing(diagnosed, succeeds, read_json):
    """At its last weights, by a plain loop; and what it says to change brings gradient and units, and learns sooner."""
    name, printed, record = diagnosed(*FAR, "--rate", "0.03")
    assert found(record) == ["vanishing", "unwritable"]
    evidence, model = record["evidence"], gr.load(Path(name))
    lag = evidence["lag"]
    task = gr.tasks.adding(jax.random.key(2**31 - 2), 64, 100)
    marks = [99 - np.nonzero(row)[0] for row in np.asarray(task.xs[..., 1]).T]
    assert lag == int(np.median(np.concatenate(marks)))

    def end(moved, xs):
        step = lambda h, x: (gr.gru.step(model.params.cell, gr.GRUState(h), x)[1], None)
        before, _ = jax.lax.scan(step, jax.numpy.zeros(8), xs[: 100 - lag])
        return jax.lax.scan(step, before + moved, xs[100 - lag :])[0].sum() / 8**0.5

    gradient = jax.jit(jax.vmap(jax.grad(end), in_axes=(None, 1)))(jax.numpy.zeros(8), task.xs[:, :8])
    decades = float(np.median(np.log10(np.linalg.norm(np.asarray(gradient, np.float64), axis=1))))
    assert evidence["last"]["gradient"] == pytest.approx(decades, abs=1e-3)
    assert decades < -3 and evidence["last"]["units"] == 0
    assert f"{lag} steps back 10^{decades:.1f} of the gradient arrives: nothing is learned from there." in printed
    line = line_of(record, "--init writable")
    assert line in printed and line.endswith(f"--out {name}-writable")
    made = {each["options"]["init"]: each for each in evidence["tried"]}
    assert made["writable"]["units"] > 0 and made["writable"]["gradient"] > -1 > evidence["first"]["gradient"]
    assert made["chrono"]["options"] == {"init": "chrono"}
    first = gr.train.init(gr.train.Setup(gr.tasks.adding, gr.gru, 100, 8, 4)).params.cell
    xs, marked = task.xs, np.asarray(task.xs[..., 1] > 0)
    wanted = gr.flow.forecast(
        *(gr.gru, jax.tree.map(lambda a: a[0], first), xs[:, :8], np.concatenate(marks) + 1, xs[marked], xs[~marked]),
        **{"batch": 4, "learning_rate": 0.03},
    )
    told = evidence["forecast"]
    assert told["low"] == pytest.approx(wanted.low, rel=0.05) and told["high"] == pytest.approx(wanted.high, rel=0.05)
    assert "Forecast of its first weights: off the plateau after" in printed and "; it has had 48 sequences." in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "name"),
    [(("--rate", "1e-5"), "slow"), (("--rate", "1", "--rule", "sgd", "--clip", "1e-4"), "clipped")],
    ids=["slow", "clipped"],
)
def test_updates_that_are_too_short(diagnosed, options, name):
    """By 12 times the rate, of Adam; by 12 times the clip, of gradient descent: weights have moved by no more."""
    folder, printed, record = diagnosed(*FAR, *options)
    assert found(record) == [name, "vanishing", "unwritable"]
    first = gr.train.init(gr.train.Setup(gr.tasks.adding, gr.gru, 100, 8, 4)).params
    weights = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(first.cell)])
    assert record["evidence"]["first"]["weight"] == pytest.approx(np.median(np.abs(weights)))
    most = 12 * (1e-5 if name == "slow" else 1e-4)
    assert f"a weight by {most:.3g}" in printed
    moved = jax.tree.map(lambda a, b: np.abs(a[0] - b).max(), first, gr.load(Path(folder)).params)
    assert 0 < max(jax.tree.leaves(moved)) <= 1.05 * most
    line = line_of(record, "All of it")
    given, ends = {"slow": ("--steps 100", "rate-steps"), "clipped": ("--clip 5", "clip")}[name]  # 1 / 0.01, with Adam
    assert ("--rate" in line) == (name == "clipped")  # that of the slow one is the default's
    assert f" {given} " in line and " --init writable " in line and line.endswith(f"--out {folder}-{ends}-writable")


@pytest.mark.slow
def test_diverged(diagnosed, read_json):
    """At which update, and with which rate it does not; a run with that rate stays finite."""
    options = (*NEAR, "--steps", "40", "--rule", "sgd", "--clip", "0", "--save-every", "0", "--test-every", "1")
    name, printed, record = diagnosed(*options, "--rate", "20")
    assert found(record) == ["diverged"]
    rows = np.loadtxt(Path(name) / "metrics.csv", delimiter=",", skiprows=1)
    at = int(rows[~np.isfinite(rows[:, 2]), 0][0])
    assert record["evidence"]["failed_at"] == at == int(rows[-1, 0])
    assert f"stopped being finite at update {at}, with a learning rate of 20." in printed
    assert record["rows"][-1]["train_loss"] is None
    rate = record["evidence"]["stable"]
    assert 0 < rate < 20 and f"--rate {rate:g} " in line_of(record, "stays low, from the beginning")


@pytest.mark.slow
def test_far_above(diagnosed, succeeds):
    """A descent whose steps are too long to come down: since which update, by its losses; the line that is given."""
    options = (*NEAR, "--steps", "40", "--rule", "sgd", "--save-every", "0", "--test-every", "1")
    name, printed, record = diagnosed(*options, "--rate", "20")
    assert found(record) == ["above"]
    losses, evidence = (np.loadtxt(Path(name) / "metrics.csv", delimiter=",", skiprows=1)[:, 2:4], record["evidence"])
    high = 10 * evidence["without_memory"]
    far = max(high, 10 * losses[0, 0])  # that of the first update
    assert np.isfinite(losses).all() and losses[-1, 1] > far
    update = 1 + int(np.argmax(losses[:, 0] > far))
    assert (evidence["failed_at"], evidence["since"], evidence["until"]) == (update, 0, 40)
    assert f"Above the answer without memory: the test loss is {losses[-1, 1]:.3g} after 40 updates;" in printed
    assert f"rose far above that without memory at update {update}, with a learning rate of 20, and is not" in printed
    norm = float(np.median(evidence["last"]["norms"]))
    assert f"At update 40, the last checkpoint, the gradient's norm is {norm:.3g}; the clip is at 1." in printed
    rate = f"{evidence['stable']:g}"
    line = shlex.split(line_of(record, f"With {rate} the loss stays low, from the beginning."))
    assert line[:3] == ["gatedrnn", "train", "adding"] and line[line.index("--rate") + 1] == rate
    succeeds(*line[1:])
    again = np.loadtxt(Path(line[-1]) / "metrics.csv", delimiter=",", skiprows=1)[:, 2:4]
    assert evidence["stable"] < 20 and len(again) == 40 and again.max() <= far
    assert again[-5:, 1].max() <= high


@pytest.mark.slow
def test_falling_and_learned(diagnosed, succeeds, read_json):
    """The line that is printed goes on; in the end there is nothing to change."""
    name, printed, record = diagnosed(*NEAR, "--steps", "60")
    assert found(record) == ["falling"] and "was still falling" in printed
    way, rows = record["evidence"]["course"], record["rows"][-4:]
    slope = np.polyfit([row["step"] for row in rows], np.log([row["test_loss"] for row in rows]), 1)[0]
    sudden = math.log(rows[-1]["test_loss"] / rows[-2]["test_loss"]) / 5
    pace = sudden if sudden * 5 <= math.log(0.8) else slope
    assert (way["trend"], way["step"]) == pytest.approx((slope, sudden))
    more = math.log(way["loss"] / max(0.1 * record["evidence"]["without_memory"], way["loss"] / 2)) / -pace
    line = shlex.split(line_of(record, "At that pace"))
    assert line == ["gatedrnn", "train", "--resume", name, "--steps", str(60 + 5 * math.ceil(min(more, 60) / 5))]
    succeeds("train", "--resume", name, "--steps", "300")
    again = " ".join(succeeds("diagnose", name).stdout.split())
    assert "Learned, off the plateau since update" in again and "nothing needs to be changed" in again
    assert "What to change" not in again


def test_two_seeds(adding, succeeds, check_refused):
    """The worse of two, or the one that is asked for; the width of the terminal."""
    _, folder = adding
    rows = np.loadtxt(folder / "metrics.csv", delimiter=",", skiprows=1)[-2:]
    worse = int(rows[rows[:, 3].argmax(), 1])
    printed = succeeds("diagnose", "adding").stdout
    assert printed.startswith(f"adding, 8 steps: rnn, default init, 3 units; seed {worse} of 2\n")
    losses = ", ".join(f"{row[1]:.0f}: {row[3]:.3g}" for row in rows)
    assert f"Last test losses by seed: {losses}." in " ".join(printed.split())
    lines = [line for line in printed.splitlines() if not line.startswith("  gatedrnn ")]
    assert max(map(len, lines)) <= 80
    assert f"seed {11 - worse} of 2" in succeeds("diagnose", "adding", "--of-seed", 11 - worse).stdout
    check_refused(("diagnose", "adding", "--of-seed", "4"), "`of-seed` must be one of 5, 6; got 4.")


def test_a_narrow_terminal(adding, invoke):
    """Text in 50 columns, and the table, too."""
    printed = invoke("diagnose", "adding", COLUMNS="50").stdout
    assert "What to change" in printed
    assert max(len(line) for line in printed.splitlines() if not line.startswith("  gatedrnn ")) <= 50


def test_a_training_under_way(copy, succeeds, tree, monkeypatch):
    """A half-written row and checkpoint are not read, nor what is no test of it; a checkpoint may go meanwhile."""
    with (copy / "metrics.csv").open("a") as file:
        file.write("6,5,0.25,0.125,0.5\n6,6,0.25,0.125,0.5\n6,5,9,9,0\n7,3,9,9,0\n8,5,0.2")
    (copy / "checkpoints" / ".unfinished-6-01234567").mkdir()
    text = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(text | {"steps": 100}))
    before = tree(copy)
    from gatedrnn.train._checkpoints import Checkpoints

    restore, latest = Checkpoints.restore, max(int(path.name) for path in (copy / "checkpoints").glob("[0-9]*"))

    def late(self, like):
        monkeypatch.setattr(Checkpoints, "restore", restore)
        (self.folder / str(latest)).rename(self.folder / "6")
        raise ValueError("gone")

    monkeypatch.setattr(Checkpoints, "restore", late)
    printed = " ".join(succeeds("diagnose", copy, "--of-seed", 5).stdout.split())
    assert "the test loss is 0.125 after 6 updates" in printed
    assert f"4 of 100 updates are made; to go on, where it is not under way: gatedrnn train --resume {copy}" in printed
    after = tree(copy)
    assert {name.replace("checkpoints/6", f"checkpoints/{latest}") for name in after} == set(before)
