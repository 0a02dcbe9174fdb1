"""`gatedrnn race` and `generate` from end to end, and `train` on language before them: files, tables, bad input."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import chex
import jax
import numpy as np
import pytest
import typer
from safetensors.numpy import load_file

import gatedrnn as gr
from gatedrnn.cli import app
from gatedrnn.cli._prepare import prepare
from gatedrnn.cli._settings import Settings


@pytest.fixture(scope="module")
def untrained(there):
    """A saved model of another task than text."""
    model = gr.models.Model(gr.rnn, 2, 3, 1)
    weights = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), jax.eval_shape(model.init, jax.random.key(0)))
    gr.models.save("other", model, weights, {"task": "adding"})


@pytest.fixture(scope="module")
def text(there, tiny, succeeds):
    """A model trained on a text."""
    sizes = ("--cell", "rnn", "--embedding", "3")
    result = succeeds(
        "train", "text", "--text", "cats.txt", *tiny, *sizes, "--out", "text", "--metrics", "text/m.jsonl"
    )
    return result, there / "text"


def test_a_text(text, defaults, read_json, names, strict_json):
    """From a file, with an embedding; metrics as JSONL where that is asked for; one model."""
    result, folder = text
    files = ["checkpoints", "m.jsonl", "model.json", "model.safetensors", "result.json", "run.json"]
    assert names(folder) == files
    changes = {"task": "text", "cell": "rnn", "embedding": 3, "text": str(folder.parent / "cats.txt")}
    assert read_json(folder / "run.json") == defaults | changes
    rows = [strict_json(line) for line in (folder / "m.jsonl").read_text().splitlines()]
    assert [(row["step"], row["seed"]) for row in rows] == [(2, 0), (4, 0)]
    assert rows[-1:] == read_json(folder / "result.json")["last"]
    assert load_file(folder / "model.safetensors")["embedding"].shape == (256, 3)
    assert result.stdout.endswith("wrote model, metrics and result.json to text/\n")


@pytest.mark.slow
def test_a_language(there, tiny, succeeds, read_json):
    """Its own options reach the task, and chance follows from them."""
    options = ("--attractors", "1", "--differ", "0.2", "--horizon", "20", "--cell", "rnn")
    succeeds("train", "agreement", *tiny, *options, "--out", "agreement")
    found, model = read_json(there / "agreement" / "result.json"), gr.load(there / "agreement").model
    task = gr.tasks.agreement_with(1, 0.2)
    assert (found["attractors"], found["differ"], found["chance"]) == (1, 0.2, task.chance(20))
    assert (model.input_size, model.output_size) == (task.input_size, task.output_size)
    assert np.isfinite(found["last"][-1]["test_loss"])


@pytest.fixture(scope="module")
def raced(text, there, tiny, succeeds):
    """A race of two cells on the text."""
    options = ("--text", "cats.txt", *tiny, "--embedding", "3", "--target", "5.5", "--cells", "rnn,gru")
    return succeeds("race", "text", *options, "--out", "raced"), there / "raced"


def test_race(raced, defaults, read_json, names):
    """A row per cell and initialisation, in the table and in the file, with every test of every seed; the picture."""
    result, folder = raced
    assert names(folder) == ["plateau.png", "plateau.svg", "race.json"]
    found = read_json(folder / "race.json")
    expected = defaults | {"task": "text", "embedding": 3, "target": 5.5, "text": str(folder.parent / "cats.txt")}
    assert {name: value for name, value in found.items() if name != "runs"} == {
        name: value for name, value in expected.items() if name not in ("cell", "init", "from_model")
    }
    assert [(run["cell"], run["init"]) for run in found["runs"]] == [
        ("rnn", "default"),
        ("gru", "default"),
        ("gru", "chrono"),
    ]
    lines = result.stdout.splitlines()
    assert lines[0].startswith("text, 8 steps, 1 seed; chance 2.27")
    assert lines[1].split() == ["cell", "init", "weights", "loss", "worst", "right", "at", "target", "ms/step"]
    for run, line in zip(found["runs"], lines[3:], strict=False):
        rows = run["rows"]
        assert [(row["step"], row["seed"]) for row in rows] == [(2, 0), (4, 0)][: len(rows)]
        assert [rows[-1]["test_loss"]] == run["test_loss"] and [rows[-1]["test_accuracy"]] == run["test_accuracy"]
        first = next((row["step"] for row in rows if row["test_loss"] <= 5.5), None)
        assert run["reached"] == [first] and run["updates"] == rows[-1]["step"]
        assert run["chance"] == found["runs"][0]["chance"] and run["seconds"] > 0 and run["compile_seconds"] > 0
        loss = f"{run['test_loss'][0]:.4g}"
        words = [run["cell"], run["init"], f"{run['weights']:,}", loss, loss, f"{run['test_accuracy'][0]:.1%}"]
        assert line.split()[:7] == [*words, "-" if first is None else str(first)]
    assert max(map(len, lines)) <= 80 and "…" not in result.stdout
    assert lines[-1] == "wrote race.json, plateau.png and plateau.svg to raced/"
    assert (folder / "plateau.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert ElementTree.fromstring((folder / "plateau.svg").read_bytes()).tag == "{http://www.w3.org/2000/svg}svg"


def test_race_is_training(raced, text, read_json):
    """An entry is what `train` makes of the same options: test by test."""
    rows = [json.loads(line) for line in (text[1] / "m.jsonl").read_text().splitlines()]
    run = read_json(raced[1] / "race.json")["runs"][0]
    assert run["rows"] == rows[: len(run["rows"])]


def test_all_cells_of_a_race_see_the_same_data(raced, read_json):
    """Equal seeds give equal keys, whatever the cell and its initialisation; and so equal batches."""
    found = read_json(raced[1] / "race.json")
    runs = found.pop("runs")
    setups = [prepare(Settings(**found, cell=run["cell"], init=run["init"])).setup for run in runs]
    keys = [gr.train.init(setup, (0,)).key[0] for setup in setups]
    chex.assert_trees_all_equal(*map(jax.random.key_data, keys))
    batches = [setup.task(jax.random.fold_in(key, 3), 2, 8) for setup, key in zip(setups, keys, strict=True)]
    chex.assert_trees_all_equal(*batches)
    assert len({setup.cell for setup in setups}) == 2


def test_generate(text, succeeds):
    """The prompt and what follows, byte for byte; equal seeds, equal text."""
    line = ("generate", "text", "--prompt", "größe", "--length", 12, "--seed", 3, "--temperature", 1)
    said = [succeeds(*line).stdout_bytes, succeeds(*line[:-4], "--seed", 4, "--temperature", 1).stdout_bytes]
    assert said[0] == succeeds("generate", "text/model.safetensors", *line[2:]).stdout_bytes
    assert said[0] != said[1]
    assert all(one.startswith("größe".encode()) and len(one) == 7 + 12 + 1 and one.endswith(b"\n") for one in said)
    loaded = gr.load(text[1])
    prompt = np.frombuffer("größe".encode(), np.uint8)
    drawn = gr.models.generate(loaded.model, loaded.params, jax.random.key(3), prompt, 12, 1.0)
    assert said[0] == "größe".encode() + bytes(drawn.tolist()) + b"\n"


def test_several_prompts(text, succeeds):
    """Each with what follows, under its own part of the key: as alone in Python."""
    given, loaded = ["the cat", "a", "größe"], gr.load(text[1])
    options = [word for prompt in given for word in ("--prompt", prompt)]
    said = succeeds("generate", "text", *options, "--length", 6, "--seed", 3, "--temperature", 1).stdout_bytes
    keys, want = jax.random.split(jax.random.key(3), 3), b""
    for key, prompt in zip(keys, given, strict=True):
        symbols = np.frombuffer(prompt.encode(), np.uint8)
        drawn = gr.models.generate(loaded.model, loaded.params, key, symbols, 6, 1.0)
        want += prompt.encode() + bytes(drawn.tolist()) + b"\n"
    assert said == want


@pytest.mark.slow
def test_a_folder_with_two_seeds(there, tiny, succeeds, read_json):
    """Text from either; each model is as good as is said of it."""
    sizes = ("--text", "cats.txt", *tiny, "--cell", "rnn", "--embedding", "3", "--seeds", 2)
    succeeds("train", "text", *sizes, "--out", "twins")
    for seed in (0, 1):
        line = ("--length", 9, "--temperature", 1)
        said = succeeds("generate", "twins", "--of-seed", seed, *line).stdout_bytes
        assert said == succeeds("generate", f"twins/model-{seed}.safetensors", *line).stdout_bytes
        loaded = gr.load(f"twins/model-{seed}.safetensors")
        setup = prepare(Settings(**read_json(Path("twins/run.json")))).setup
        params = jax.tree.map(lambda a: a[None], loaded.params)
        found = gr.train.measure(setup, params, 1)
        assert float(found.loss[0]) == pytest.approx(loaded.about["test_loss"], rel=1e-5)


CELLS = ", ".join(gr.cells.CELLS)
BAD = {
    "race": "`task` must be one of adding, adding-1997, ",
    "race sorting": "variable-copy; got 'sorting'.",
    "race adding --cells rnn,elman": f"`cells` must be some of {CELLS}, separated by commas; got 'elman'.",
    "race adding --steps 0": "`steps` must be a whole number of at least 1; got 0.",
    "race adding --steps 3000000000": "`steps` must be at most 2,147,483,647; got 3,000,000,000.",
    "race adding --test-every 1000000000000": "`test-every` must be at most 2,147,483,647; got 1,000,000,000,000.",
    "race adding --window 5000000000": "`window` must be at most 2,147,483,647; got 5,000,000,000.",
    f"race agreement --attractors {2**70}": "`attractors` must be at most 2,147,483,647; got 1,180,591,620,717,411,303",
    "race adding --target inf": "`target` must be a finite number; got inf.",
    "race adding --hidden 1000000000": "must fit in memory; got more than",
    "race digits --horizon 10": "`horizon` must be at least 64 for the task 'digits'; got 10.",
    "race adding --out file": "`out` must be a folder that can be written to; got 'file': ",
    "generate": "Missing argument 'model'.",
    "generate absent": "`path` must be a saved model, its JSON beside it; got 'absent': No such file or directory.",
    "generate file": "`path` must be a saved model, its JSON beside it; got 'file.json': No such file or directory.",
    "generate other/model.safetensors": "`model` must be one trained on text; got one trained on 'adding'.",
    "generate text --length 0": "`length` must be a whole number of at least 1; got 0.",
    "generate text --length 1000000000000": "`length` must be at most 10,000,000 bytes; got 1,000,000,000,000.",
    "generate text --length long": "'--length': must be a whole number; got 'long'.",
    "generate text --seed -1": "`seed` must be a whole number of at least 0; got -1.",
    "generate text --temperature -1": "`temperature` must be a finite number of at least 0; got -1.0.",
    "generate text --temperature nan": "`temperature` must be a finite number of at least 0; got nan.",
    "generate text --seed 4294967296": "`seed` must be at most 4,294,967,295; got 4,294,967,296.",
    f"generate text --seed {2**64}": "`seed` must be at most 4,294,967,295; got 18,446,744,073,709,551,616.",
    "generate text --temperature 1e300": "`temperature` must be a number that float32 holds, from 1.2e-38 to 3.4e+38",
    "generate text --temperature 1e-60": "`temperature` must be a number that float32 holds, from 1.2e-38 to 3.4e+38",
    "generate text --prompt \udcff": "`prompt` must be text in UTF-8; got '\\udcff'.",
    "generate text --prompt ab\udce4": "`prompt` must be text in UTF-8; got 'ab\\udce4'.",
    "generate several": "`model` must be one of model-0.safetensors, model-2.safetensors, model-11.safetensors, such",
    "generate text --prompt a --prompt=": "`prompt` must be at least one character; got nothing.",
    "generate several --of-seed 3": "`of-seed` must be one of 0, 2, 11; got 3.",
    "generate text --of-seed 0": "`of-seed` must be left out: there is one model; got 0.",
    "generate text --prompt=": "`prompt` must be at least one character; got nothing.",
}  # fmt: skip


@pytest.mark.parametrize("line", BAD, ids=[line[:50] for line in BAD])
def test_bad_input(text, untrained, line, check_refused):
    """One sentence that names the argument and what came."""
    for seed in (0, 2, 11):
        Path("several").mkdir(exist_ok=True)
        Path("several", f"model-{seed}.safetensors").touch()
    check_refused(line.split(), BAD[line])


@pytest.mark.parametrize("command", ["train", "race", "generate", "forecast", "compare"])
def test_help(command, invoke):
    """Every option is explained, in 80 columns."""
    result = invoke(command, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert max(map(len, result.stdout.splitlines())) <= 80
    (parameters,) = [found.params for name, found in typer.main.get_command(app).commands.items() if name == command]
    for parameter in parameters:
        words = parameter.opts[0] if parameter.opts[0].startswith("--") else parameter.name
        assert re.search(rf"^ +{words} .*[a-z]", result.stdout, re.MULTILINE) and parameter.help
