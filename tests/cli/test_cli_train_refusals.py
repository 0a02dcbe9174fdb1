"""`gatedrnn train`, and `race` with it: bad input, options that a resumed run refuses, and damaged runs."""

import json
import shutil

import pytest

import gatedrnn as gr

OTHERS = {
    **{"cell": "gru", "init": "chrono", "horizon": "9", "hidden": "4", "batch": "4", "seeds": "1", "seed": "6"},
    **{"rule": "sgd", "rate": "0.1", "clip": "0", "test-every": "1", "test-batches": "2", "method": "autodiff"},
    **{"window": "4", "devices": "2", "text": "cats.txt", "series": "data.csv", "embedding": "4", "out": "other"},
    **{"attractors": "1", "differ": "0.1", "predict": "temp", "period": "3", "from": "other"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_resumed_with_another_option(adding, name, check_refused):
    """The numbers of a run hang on it, so it stays what it was, even if it is given as it was."""
    check_refused(
        ("train", "--resume", "adding", f"--{name}", OTHERS[name]), f"`{name}` must be left out beside `resume`"
    )


CELLS = f"{', '.join(gr.cells.CELLS)}, or a network of them, such as 'stack(gru, gru)'"
BAD = {
    "train": "`task` must be one of adding, adding-1997, agreement, anbn, copy, ",
    "train sorting": "variable-copy; got 'sorting'.",
    "train adding sorting": "Got unexpected extra argument(s) (sorting)",
    "train adding --horizon 0": "`horizon` must be a whole number of at least 1; got 0.",
    "train adding --horizon 1": "`horizon` must be at least 2 for the task 'adding'; got 1.",
    "train digits --horizon 63": "`horizon` must be at least 64 for the task 'digits'; got 63.",
    "train text --text cats.txt --horizon 40": "`horizon` must be at most 39 for the data of the task 'text'; got 40.",
    "train series --series data.csv --horizon 16": "`horizon` must be at most 15 for the data of the task 'series'",
    "train adding --hidden 0": "`hidden` must be a whole number of at least 1; got 0.",
    "train adding --hidden -1": "`hidden` must be a whole number of at least 1; got -1.",
    "train adding --hidden ten": "'--hidden': must be a whole number; got 'ten'.",
    "train adding --hidden 1e3": "'--hidden': must be a whole number; got '1e3'.",
    "train adding --hidden 1000000000": "`hidden`, `horizon`, `batch` and `seeds` must fit in memory; got more than",
    f"train adding --hidden {'9' * 400}": "`hidden`, `horizon`, `batch` and `seeds` must fit in memory; got more than",
    "train text --text cats.txt --horizon 8 --embedding 1000000000000": "must fit in memory; got more than",
    "train adding --batch 0": "`batch` must be a whole number of at least 1; got 0.",
    "train adding --batch 1000000000000": "must fit in memory; got more than",
    "train adding --steps 0": "`steps` must be a whole number of at least 1; got 0.",
    "train adding --seeds 0": "`seeds` must be a whole number of at least 1; got 0.",
    "train adding --seeds 1001": "`seeds` must be at most 1,000; got 1,001.",
    "train adding --seed -1": "`seed` must be a whole number of at least 0; got -1.",
    "train adding --seed 2147483647": "`seed` must be at most 2,147,483,646; got 2,147,483,647.",
    "train adding --test-every 0": "`test-every` must be a whole number of at least 1; got 0.",
    "train adding --test-batches -2": "`test-batches` must be a whole number of at least 1; got -2.",
    "train adding --test-batches 1000000000000": "`test-batches` must be at most 1,000,000; got 1,000,000,000,000.",
    "train adding --embedding 0": "`embedding` must be a whole number of at least 1; got 0.",
    "train adding --window 0": "`window` must be a whole number of at least 1; got 0.",
    "train adding --rate -1": "`rate` must be a positive finite number; got -1.0.",
    "train adding --rate 0": "`rate` must be a positive finite number; got 0.0.",
    "train adding --rate nan": "`rate` must be a positive finite number; got nan.",
    "train adding --rate 1e39": "`rate` must be a number that float32 holds, from 1.2e-38 to 3.4e+38; got 1e+39.",
    "train adding --rate 1e300": "`rate` must be a number that float32 holds, from 1.2e-38 to 3.4e+38; got 1e+300.",
    "train adding --rate 1e-46": "`rate` must be a number that float32 holds, from 1.2e-38 to 3.4e+38; got 1e-46.",
    "train adding --rate fast": "'--rate': must be a number; got 'fast'.",
    "train adding --clip -1": "`clip` must be a finite number of at least 0; got -1.0.",
    "train adding --clip inf": "`clip` must be a finite number of at least 0; got inf.",
    "train adding --clip 1e300": "`clip` must be a number that float32 holds, from 1.2e-38 to 3.4e+38; got 1e+300.",
    "train adding --clip 1e-46": "`clip` must be a number that float32 holds, from 1.2e-38 to 3.4e+38; got 1e-46.",
    "train adding --clip 1e-400": "'--clip': must be 0 or a number from 4.9e-324 to 1.8e+308; got '1e-400'.",
    "train adding --rate 1e-400": "'--rate': must be 0 or a number from 4.9e-324 to 1.8e+308; got '1e-400'.",
    "train adding --target 1e-999": "'--target': must be 0 or a number from 4.9e-324 to 1.8e+308; got '1e-999'.",
    "train adding --target -1e400": "'--target': must be 0 or a number from 4.9e-324 to 1.8e+308; got '-1e400'.",
    "train adding --save-every 1e400": "'--save-every': must be 0 or a number from 4.9e-324 to 1.8e+308; got '1e400'.",
    "train agreement --differ 1e-400": "'--differ': must be 0 or a number from 4.9e-324 to 1.8e+308; got '1e-400'.",
    "generate adding --temperature 1e-400": "'--temperature': must be 0 or a number from 4.9e-324 to 1.8e+308; got '1",
    f"train adding --rate {'f' * 90}": "'--rate': must be a number; got 'ffffffff",
    "train adding --steps 2147483648": "`steps` must be at most 2,147,483,647; got 2,147,483,648.",
    "train adding --window 3 --method checkpointed": "got 3, beside the method 'checkpointed'.",
    "train adding --window 3 --method autodiff": "`window` must be left out, or the method be 'auto' or 'segmented', ",
    "race adding --method autodiff --window 1": "got 1, beside the method 'autodiff'.",
    "train adding --target nan": "`target` must be a finite number; got nan.",
    "train adding --save-every -1": "`save-every` must be a number of seconds of at least 0; got -1.0.",
    "train adding --save-every nan": "`save-every` must be a number of seconds of at least 0; got nan.",
    "train adding --cell elman": f"`cell` must be one of {CELLS}; got 'elman'.",
    "train adding --cell rnn,gru": f"`cell` must be one of {CELLS}; got 'rnn,gru'.",
    "train adding --cell rnn --init chrono": "`init` must be default for the cell rnn, which has no `horizon_option`",
    "train adding --init best": "'--init'",
    "train adding --rule lion": "'--rule'",
    "train adding --method magic": "'--method'",
    "train adding --text cats.txt": "`text` must be left out: it is for the task 'text', not for 'adding'; got ",
    "train text --series data.csv": "`series` must be left out: it is for the task 'series', not for 'text'; got ",
    "train series": "`series` must be given for the task 'series': FILE[:COLUMN]; got nothing.",
    "train text --text absent": "`text` must be a readable text file; got '",
    "train series --series absent.csv:x": "`series` must be a readable file of numbers; got '",
    "train series --series data.csv:rain": "`series` must be a column, one of 'day', 'temp' or a number from 0",
    "train series --series data.csv:temp,": "`series` must be names of columns between commas, in quotes where one hol",
    "train series --series data.csv:temp,1 --horizon 4": "`series` must be columns of which none is given twice; got '",
    "train series --series data.csv:temp,day --predict rain": "`predict` must be some of the columns 'temp', 'day' of ",
    "train series --series data.csv:temp,day --predict day,day": "`predict` must be some of the columns 'temp', 'day' ",
    "train series --series data.csv --period 65": "`period` must be no longer than the part of the series that is not ",
    "train series --series data.csv --period 0": "`period` must be a whole number of at least 1; got 0.",
    "train adding --period 3": "`period` must be left out: it is for the task 'series', not for 'adding'; got 3.",
    "train adding --predict x": "`predict` must be left out: it is for the task 'series', not for 'adding'; got x.",
    "train adding --from nowhere": "`from` must be a saved model, its JSON beside it; got '",
    "train adding --from adding": "`from` must be one of model-5.safetensors, model-6.safetensors, such as '",
    "train adding --from adding/model-5.safetensors --cell gru": "`cell` must be left out beside `from`, or rnn, as in",
    "train adding --from adding/model-5.safetensors --hidden 4": "`hidden` must be left out beside `from`, or 3, as in",
    "train adding --from adding/model-5.safetensors --init chrono": "`init` must be left out beside `from`, whose weig",
    "train parity --from adding/model-5.safetensors": "`from` must be a model with the 2 inputs and 2 outputs of the t",
    "train agreement --differ 2": "`differ` must be a probability, from 0 to 1; got 2.0.",
    "train agreement --attractors -1": "`attractors` must be a whole number of at least 0; got -1.",
    "train adding --attractors 2": "`attractors` must be left out: it is for the task 'agreement', not for 'ad",
    "train text --differ 0.5": "`differ` must be left out: it is for the task 'agreement', not for 'text'; got 0.5",
    "train sorting --differ 0.5": "variable-copy; got 'sorting'.",
    "race parity --attractors 1": "`attractors` must be left out: it is for the task 'agreement', not for 'pa",
    "train adding --devices 0": "`devices` must be a whole number of at least 1; got 0.",
    "train adding --devices 3": "`devices` must be at most 2, as many as there are; got 3.",
    "train adding --devices 1000000000": "`devices` must be at most 2, as many as there are; got 1000000000.",
    "train adding --devices 2 --batch 3": "`batch` must be a number that 2 devices divide evenly; got 3.",
    "train adding --devices 2 --window 4": "`seeds` must be a number that 2 devices divide evenly, for this method",
    "train adding --metrics m.txt": "`metrics` must be a file whose name ends in .csv or .jsonl; got 'm.txt'.",
    "train adding --metrics file/m.csv": "`metrics` must be a folder that can be written to; got 'file': ",
    "train adding --metrics folder.csv": "`metrics` must be a file that can be written to; got the folder 'folder.",
    "train adding --out file": "`out` must be a folder that can be written to; got 'file': ",
    "train adding --out /proc/none": "`out` must be a folder that can be written to; got '/proc/none': ",
    "train adding --out adding": "`out` must be a new folder, or `resume` given to go on with its training; got 'a",
    "train --resume absent": "`resume` must be the folder of a training; got 'absent/run.json': No such file or dir",
    "train --resume file": "`resume` must be the folder of a training; got 'file/run.json': Not a directory.",
    "train --resume adding --steps 3": "`steps` must be at least 4, as many as were made; got 3.",
    "train --resume adding --steps 0": "`steps` must be a whole number of at least 1; got 0.",
    "train adding --resume adding": "`task` must be left out beside `resume`, which goes on with what was begun; got",
}  # fmt: skip


@pytest.mark.parametrize("line", BAD, ids=[line[:50] for line in BAD])
def test_bad_input(adding, line, check_refused):
    """One sentence that names the argument and what came."""
    check_refused(line.split(), BAD[line])


RUNS = {
    "a list": "[]",
    "cut short": '{"task": "add',
    "endless": "[" * 100_000,
    "empty": "",
    "of other settings": '{"task": "adding"}',
    "noise": "\0\1\2",
    **{f"{name}: {value!r}": {name: value} for name, value in (
        ("task", "sorting"), ("cell", 3), ("cell", "elman"), ("init", "best"), ("rule", "adamw"), ("backward", "magic"),
        ("horizon", True), ("horizon", 0), ("hidden", "4"), ("hidden", 2.5), ("seeds", 10**30), ("rate", "fast"),
        ("rate", 10**400), ("clip", None), ("target", []), ("window", "a"), ("series", 3), ("text", {}),
        ("differ", "x"), ("more", 1),
    )},
}  # fmt: skip


@pytest.mark.parametrize("content", RUNS.values(), ids=RUNS)
def test_a_damaged_run_json(adding, tmp_path, monkeypatch, content, check_refused, read_json):
    """Is named, with what is wrong in it; the checkpoints stay."""
    _, folder = adding
    if isinstance(content, dict):
        content = json.dumps(read_json(folder / "run.json") | content)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(content)
    check_refused(("train", "--resume", "run"), "`resume` must be the folder of a training; got 'run/run.json': ")


def test_resumed_as_another_run(adding, tmp_path, monkeypatch, invoke, read_json):
    """Sound settings, but not those of the checkpoints."""
    _, folder = adding
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "run")
    for name in ("result.json", "model-5.json", "model-6.json", "model-5.safetensors", "model-6.safetensors"):
        (tmp_path / "run" / name).unlink()
    (tmp_path / "run" / "run.json").write_text(json.dumps(read_json(folder / "run.json") | {"hidden": 4}) + "\n")
    result = invoke("train", "--resume", "run")
    assert result.exit_code == 2
    assert "`folder` must be one of a run with hidden_size 4; got one with 3 in '" in result.stderr
