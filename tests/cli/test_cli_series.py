"""`gatedrnn train series` of several columns, what it scores beside simple answers, and `gatedrnn forecast`."""

import csv
from pathlib import Path

import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.tasks import series

HOURS = np.arange(120)
COLUMNS = {"a": 5 + np.sin(HOURS / 3), "b,c": 100 + 50 * np.cos(HOURS / 3), "d": HOURS % 7}
SIZES = ("--horizon", "6", "--hidden", "3", "--batch", "2", "--steps", "4", "--test-every", "2", "--test-batches", "1")
RNN = ("--cell", "rnn")
BOTH = ("train", "series", "--series", 'tide.csv:a,"b,c"', *SIZES, *RNN)


@pytest.fixture(scope="module")
def tide(there, succeeds):
    """A file of three columns; a model of two of them, and a folder with models of two seeds."""
    with Path("tide.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS)
        lines.writerows(zip(*COLUMNS.values(), strict=True))
    Path("beyond.csv").write_text("a,b\n" + "5,100\n" * 9 + "5,1e300\n")
    succeeds(*BOTH, "--seeds", 2, "--out", "two")
    succeeds("train", "adding", *SIZES, *RNN, "--out", "adding")
    succeeds("train", "series", "--series", "tide.csv:a,d", "--predict", "a", *SIZES, *RNN, "--out", "part")
    return succeeds(*BOTH, "--out", "both")


def test_baselines_beside_chance(tide, read_json):
    """In the words, in result.json, and equal to those of the task."""
    values = np.stack([COLUMNS["a"], COLUMNS["b,c"]], axis=1)
    want = series.prediction(values).baselines
    found = read_json(Path("both/result.json"))
    assert [(each["name"], each["lag"]) for each in found["baselines"]] == [("persistence", 1), ("seasonal", 19)]
    assert [each["loss"] for each in found["baselines"]] == pytest.approx([each.loss for each in want])
    persistence, season = (f"{each.loss:.4g}" for each in want)
    line = f"test loss without a model: persistence {persistence}, seasonal (19 steps) {season}"
    assert line in tide.stdout.splitlines()


def test_baselines_of_a_race(tide, succeeds, read_json):
    line = ("race", "series", "--series", "tide.csv:a", *SIZES, "--cells", "rnn", "--period", 5, "--out", "raced")
    result = succeeds(*line)
    (run,) = read_json(Path("raced/race.json"))["runs"]
    want = series.prediction(COLUMNS["a"], period=5).baselines
    assert [each["loss"] for each in run["baselines"]] == pytest.approx([each.loss for each in want])
    assert f"persistence {want[0].loss:.4g}, seasonal (5 steps) {want[1].loss:.4g}" in result.stdout


def test_columns(tide, read_json):
    """Sizes of the models, and what is said of the columns beside them."""
    both, part = gr.load("both"), gr.load("part")
    assert (both.model.input_size, both.model.output_size) == (2, 2)
    assert (part.model.input_size, part.model.output_size) == (2, 1)
    units = series.units(np.stack([COLUMNS["a"], COLUMNS["b,c"]], axis=1), columns=["a", "b,c"])
    assert both.about["columns"] == units.described()
    assert part.about["columns"]["predicted"] == [0]


def by_hand(folder, length):
    """Standardised, gone on with, and back."""
    loaded, values = gr.load(folder), np.stack([COLUMNS["a"], COLUMNS["b,c"]], axis=1)
    cut = len(values) - len(values) // 5
    mean, deviation = values[:cut].mean(0), values[:cut].std(0)
    scaled = ((values - mean) / deviation).astype(np.float32)
    return np.asarray(gr.models.forecast(loaded.model, loaded.params, scaled, length), np.float64) * deviation + mean


def test_a_forecast_in_a_file(tide, succeeds):
    """In the series's own units, one line per step."""
    result = succeeds("forecast", "both", "--series", "tide.csv", "--length", 30, "--out", "next.csv")
    assert result.stdout == "wrote 30 steps after the 120 of tide.csv to next.csv\n"
    with Path("next.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["step", "a", "b,c"]
    np.testing.assert_array_equal([int(row[0]) for row in rows], range(1, 31))
    np.testing.assert_allclose([[*map(float, row[1:])] for row in rows], by_hand("both", 30), rtol=1e-6)
    named = ("--series", 'tide.csv:a,"b,c"', "--length", 30, "--out", "named.csv")
    succeeds("forecast", "both/model.safetensors", *named)
    assert Path("named.csv").read_bytes() == Path("next.csv").read_bytes()


@pytest.mark.parametrize("columns", ["20", "80"])
@pytest.mark.parametrize(("length", "rows"), [(3, 3), (20, 20), (50, 20)])
def test_a_forecast_as_a_table(tide, invoke, columns, length, rows):
    """Whole, or its beginning and its end."""
    result = invoke("forecast", "both", "--series", "tide.csv", "--length", length, COLUMNS=columns)
    assert (result.exit_code, result.exception) == (0, None), result.stderr
    found = [line.split() for line in result.stdout.splitlines() if line.split()[:1] and line.split()[0].isdigit()]
    found = [row for row in found if len(row) == 3]
    want = by_hand("both", length)
    shown = [step for step in range(1, length + 1) if length <= 20 or step <= 10 or step > length - 10]
    assert [int(row[0]) for row in found] == shown and len(shown) == rows
    assert [row[1] for row in found] == [f"{want[step - 1, 0]:.6g}" for step in shown]
    assert ("are not shown" in " ".join(result.stdout.split())) == (length > 20)


def test_a_seed_of_several(tide, succeeds):
    """By its number, or its file."""
    said = [
        succeeds("forecast", *which, "--series", "tide.csv").stdout
        for which in (("two", "--of-seed", 1), ("two/model-1.safetensors",), ("two/model-0.safetensors",))
    ]
    assert said[0] == said[1] != said[2]


BAD = {
    "forecast both": "`series` must be given: FILE, or FILE:COLUMN; got nothing.",
    "forecast": "Missing argument 'model'.",
    "forecast adding --series tide.csv": "`model` must be one trained on a series; got one trained on 'adding'.",
    "forecast part --series tide.csv": "`model` must be one that predicts every column that it reads, a, d; got a alon",
    "forecast two --series tide.csv": "`model` must be one of model-0.safetensors, model-1.safetensors, such as 'two/m",
    "forecast two --of-seed 2 --series tide.csv": "`of-seed` must be one of 0, 1; got 2.",
    "forecast nowhere --series tide.csv": "`path` must be a saved model, its JSON beside it; got 'nowhere': No such fi",
    "forecast both --series tide.csv:a": "`series` must be 2 columns, in the place of a, b,c; got 1.",
    "forecast both --series data.csv": "`series` must be a column, one of 'day', 'temp' or a number from 0 to 1; got '",
    "forecast both --series nowhere.csv": "`series` must be a readable file of numbers; got 'nowhere.csv': No such fil",
    "forecast both --series beyond.csv:a,b": "model was trained on; got 1e+300 in b,c at row 9.",
    "forecast both --series tide.csv --out both/model.json --force": "`out` must be apart from `model`, which is o",
    "forecast both --series tide.csv --length 0": "`length` must be a whole number of at least 1; got 0.",
    "forecast both --series tide.csv --out tide.csv --force": "`out` must be apart from `series`, which is only read;",
    "forecast both --series tide.csv --out both/model.safetensors --force": "`out` must be apart from `model`, which i",
    "forecast both --series tide.csv --out data.csv": "`out` must be free of what other runs left, or `force` given to",
    "forecast both --series tide.csv --out folder.csv": "`out` must be a file that can be written to; got the folder '",
    "forecast both --series tide.csv --out file/x.csv": "`out` must be a folder that can be written to; got 'file': ",
}  # fmt: skip


@pytest.mark.parametrize("line", BAD, ids=[line[:50] for line in BAD])
def test_bad_input(tide, line, check_refused):
    """One sentence that names the argument and what came."""
    check_refused(line.split(), BAD[line])


def test_several_columns_drive_a_comparison(tide, succeeds, read_json):
    sizes = ("--horizon", 20, "--hidden", 4, "--seeds", 1, "--cells", "rnn")
    succeeds("compare", "--series", 'tide.csv:a,"b,c",d', *sizes, "--out", "flow")
    assert {run["input"] for run in read_json(Path("flow/comparison.json"))["runs"]} == {"silent", "series"}


def test_a_training_from_a_model(tide, succeeds, read_json):
    """It begins where the model ended; cell and sizes are the model's; a resumption is the uninterrupted run."""
    base = ("train", "series", "--series", 'tide.csv:a,"b,c"', "--horizon", 6, "--batch", 2, "--test-every", 2)
    base = (*base, "--test-batches", 1, "--from", "both")
    succeeds(*base, "--steps", 6, "--out", "whole")
    run = read_json(Path("whole/run.json"))
    assert (run["cell"], run["hidden"], run["from_model"]) == ("rnn", 3, str(Path("both").absolute()))
    succeeds(*base, "--steps", 2, "--out", "part of it")
    succeeds("train", "--resume", "part of it", "--steps", 6)
    for name in ("model.safetensors", "metrics.csv"):
        assert Path("part of it", name).read_bytes() == Path("whole", name).read_bytes()
    loaded = gr.load("both")
    values = np.stack([COLUMNS["a"], COLUMNS["b,c"]], axis=1)
    setup = gr.train.Setup(series.prediction(values), gr.rnn, horizon=6, hidden_size=3, batch=2)
    fitted = gr.train.fit(setup, steps=6, params=loaded.params, test_every=2, test_batches=1)
    last = read_json(Path("whole/result.json"))["last"][0]
    assert last["test_loss"] == fitted.rows[-1].test_loss


def test_the_model_it_begins_from_is_only_read(tide, check_refused):
    """Its folder is no place for what comes out."""
    line = (*BOTH, "--from", "two/model-1.safetensors", "--seeds", "2", "--out", "two", "--force")
    check_refused(line, "`out` must be apart from `from`, which is only read; got '")
