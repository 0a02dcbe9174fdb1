"""However wide the terminal says that it is, nothing that a command prints is left out."""

import pytest


@pytest.fixture(scope="module")
def row(there, invoke, tiny):
    """(command, columns) -> the one row of a race's or a training's table, in words."""
    lines = {"race": ("race", "parity", "--cells", "rnn"), "train": ("train", "parity", "--cell", "rnn")}

    def printed(command, columns):
        result = invoke(*lines[command], *tiny, "--out", f"{command}-{columns}", COLUMNS=columns)
        assert (result.exit_code, result.exception) == (0, None), result.stderr
        assert "…" not in result.stdout
        rows = [line.split() for line in result.stdout.splitlines()]
        (found,) = [words for words in rows if words[:2] in (["rnn", "default"], ["0", "4"])]
        return found

    return printed


@pytest.fixture(scope="module")
def wide(row):
    """Each command's row where there is room."""
    return {command: row(command, "500") for command in ("race", "train")}


@pytest.mark.parametrize("columns", ["0", "1", "-1", "abc", "20", "50", "80", "100000"])
def test_tables_are_whole(row, wide, columns):
    """Every name and every number of a race's and a training's table."""
    for command, words in wide.items():
        assert row(command, columns)[:-1] == words[:-1]


@pytest.mark.parametrize("columns", ["0", "50"])
def test_a_comparison_is_whole(there, invoke, columns):
    """The cell's name, the verdict and the notes."""
    line = ("compare", "--quick", "--cells", "rnn", "--horizon", "20", "--hidden", "4", "--silent")
    result = invoke(*line, "--out", f"flow-{columns}", COLUMNS=columns)
    assert (result.exit_code, result.exception) == (0, None), result.stderr
    (row,) = [row for row in result.stdout.splitlines() if row.startswith("rnn ")]
    assert row.split()[:3] == ["rnn", "default", "silent"]
    assert "…" not in result.stdout
    assert "wrote" in result.stdout
