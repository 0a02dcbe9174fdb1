"""However wide the terminal says that it is, nothing that a command prints is left out."""

import pytest


@pytest.mark.parametrize("columns", ["0", "1", "-1", "abc", "20", "50", "80", "100000"])
def test_tables_are_whole(there, invoke, tiny, columns):
    """Every name and every number of a race's and a training's table."""
    for line in (("race", "parity", "--cells", "rnn"), ("train", "parity", "--cell", "rnn")):
        out = f"{line[0]}-{columns}"
        result = invoke(*line, *tiny, "--out", out, COLUMNS=columns)
        assert (result.exit_code, result.exception) == (0, None), result.stderr
        whole = invoke(*line, *tiny, "--out", f"{out}-wide", COLUMNS="500")
        for words in (result, whole):
            assert "…" not in words.stdout
        table = [row for row in result.stdout.splitlines() if row.split()[:2] in (["rnn", "default"], ["0", "4"])]
        wide = [row for row in whole.stdout.splitlines() if row.split()[:2] in (["rnn", "default"], ["0", "4"])]
        assert len(table) == 1
        assert table[0].split()[:-1] == wide[0].split()[:-1]


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
