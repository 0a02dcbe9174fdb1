"""The breakdown of a program's time: every loop is found, with its products and its operations."""

import re

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "options", "loops"),
    [
        ("lstm", (), {"forward, loop", "backward, loop", "backward, replay"}),
        ("rnn", (), {"forward, loop", "backward, loop"}),
        ("gru", ("--forward",), {"forward, loop"}),
    ],
)
def test_every_loop_has_its_line(run, cell, options, loops):
    """Products in the loops, none in the replay; segments and the rest beside."""
    done = run("-m", "benchmarks.speed.breakdown", cell, "8", "16", "64", "800", *options)  # whole segments
    assert done.returncode == 0, done.stderr
    assert re.match(rf"{cell} 8 16 64 800: \d+\.\d\d µs per step, [\d,]+ page faults per run\n", done.stdout)
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", done.stdout, re.MULTILINE)
    found = {label: (float(products), float(operations)) for label, _, products, operations in rows}
    directions = {label.partition(",")[0] for label in loops}
    assert found.keys() == loops | {f"{direction}, segment" for direction in directions} | {"outside the loops"}
    for label in loops:
        products, operations = found[label]
        assert (products > 0) == label.endswith("loop")
        assert 3 <= operations <= 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lstm", "0", "1", "1", "1"], "four sizes B D H T of at least 1 are wanted; got lstm 0 1 1 1"),
        (["lstm", "8", "16", "64", "1019"], "the program has 5 loops over segments, not 2."),  # a rest after each
        (["rnn", "8", "16", "64", "10"], "the program has 0 loops over segments, not 2."),  # one segment
    ],
)
def test_sizes_without_a_breakdown_are_refused(run, arguments, told):
    """In a sentence, without a traceback."""
    done = run("-m", "benchmarks.speed.breakdown", *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(told)
    assert "Traceback" not in done.stderr
