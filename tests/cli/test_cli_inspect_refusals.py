"""What `gatedrnn inspect` refuses."""

from pathlib import Path

import pytest
from inspect_problems import save_models

BAD = {
    "inspect prose": "`text` must be given, or `series` for a model of a series; got neither.",
    "inspect prose --text cats.txt --series tide.csv": "`series` must be left out beside `text`: one file is read;",
    "inspect prose --text cats.txt --delimiter ;": "`delimiter` must be left out: it is for `series`; got ;.",
    "inspect prose --text cats.txt --predict a": "`predict` must be left out: it is for `series`; got a.",
    "inspect tide --text cats.txt": "`model` must be one trained on text; got one trained on 'series'.",
    "inspect prose --series tide.csv": "`model` must be one trained on a series; got one trained on 'text'.",
    "inspect adding --series tide.csv": "`model` must be one trained on a series; got one trained on 'adding'.",
    "inspect both-ways --text cats.txt": "`model.cell` must be one that is run step by step;",
    "inspect broken --text cats.txt": "`model` must be of finite weights; got NaN or infinity in embedding.",
    "inspect huge --series tide.csv": "`model` must be one whose loss over what is read is finite; got inf.",
    "inspect two --text cats.txt": "`model` must be one of model-3.safetensors, such as 'two/model-3.safetensors';",
    "inspect two --text cats.txt --of-seed 4": "`of-seed` must be one of 3; got 4.",
    "inspect nowhere --text cats.txt": "`path` must be a saved model, its JSON beside it; got 'nowhere': No such fi",
    "inspect prose --text nowhere.txt": "`text` must be a readable text file; got 'nowhere.txt': No such file",
    "inspect prose --text empty.txt": "`text` must be a file with at least one byte; got the empty file 'empty.txt'.",
    "inspect prose --text one.txt": "`text` must be of at least two bytes; got 1.",
    "inspect prose --text cats.txt --at 0": "`at` must be a byte from 1 to 399, before which something is read; got 0.",
    "inspect tide --series tide.csv --at 400": "`at` must be a row from 1 to 399, before which something is read; got",
    "inspect prose --text cats.txt --at 9 --back 9": "`back` must be below the steps that are read, 9; got 9.",
    "inspect tide --series tide.csv:wind": "`series` must be 2 columns, in the place of height, wind; got 1.",
    "inspect tide --series tide.csv --predict tide": "`predict` must be one of the predicted columns 'height', 'wind';",
    "inspect prose --text cats.txt --horizon 0": "`horizon` must be a whole number of at least 1; got 0.",
    "inspect prose --text cats.txt --shown 401": "`shown` must be at most 400 steps; got 401.",
    "inspect prose --text cats.txt --out file": "`out` must be a folder that can be written to; got 'file': Fil",
    "inspect prose --text full/report.html --out full --force": "`out` must be apart from `text`, which is only read;",
    "inspect prose --text cats.txt --out full": "`out` must be free of what other runs left, or `force` given to repl",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(there):
    """In the folder of this file's tests."""
    save_models()
    return there


@pytest.mark.parametrize("line", BAD, ids=[line[8:50] for line in BAD])
def test_bad_input(made, line, check_refused):
    """One sentence that names the argument and what came; nothing is written."""
    Path("full").mkdir(exist_ok=True)
    Path("full/report.html").write_text("somebody's")
    check_refused(line.split(), BAD[line])


def test_too_much_memory(made, check_refused, monkeypatch):
    """How much it would need is said before anything is run."""
    monkeypatch.setattr("gatedrnn.flow._audited.device_bytes", lambda: 1000)
    line = ("inspect", "prose", "--text", "cats.txt")
    check_refused(line, "`horizon` must be such that the audit fits into 750 bytes of memory; got ")
