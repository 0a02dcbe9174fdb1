"""Bring your own weights: committed with its outputs; a short run fails nowhere and proves every framework."""

import re
from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_bring_your_own_weights.ipynb"
SMALL = {"UPDATES": 12, "HORIZON": 200, "ABSENT": "haiku"}
CELLS = {
    "torch": "stack(bidirectional(lstm), bidirectional(lstm), dropout=0.2)",
    "keras": "stack(bidirectional(lstm), gru, dropout=0.2)",
    "flax nnx": "gru",
    "flax linen": "bidirectional(lstm)",
    "haiku": "stack(lstm, gru_before)",
    "equinox": "gru",
}
SKIPPED = "haiku is not installed, and what needs it here is skipped.\n"


def printed(notebook):
    """What the cells printed."""
    outputs = [output for cell in notebook.cells for output in cell.outputs if output.output_type == "stream"]
    return "".join(output.text for output in outputs)


def test_every_cell_ran(either):
    either.assert_whole(pictures=1)


def test_each_framework_is_proven(either):
    """Outputs and gradients; one that is not installed is skipped in one sentence, and nothing else is."""
    missing = {"haiku"} if SKIPPED in printed(either) else set()
    rows = {name: cells for name, *cells in either.table("gradients differ by")}
    assert {name: cells[0].strip("`") for name, cells in rows.items()} == {
        name: cell for name, cell in CELLS.items() if name not in missing
    }
    assert max(float(cells[place]) for cells in rows.values() for place in (1, 2)) < 1e-5
    assert printed(either).count("is not installed") == len(missing)


def test_files_and_graphs_hold_the_same_weights(either):
    """A `state_dict`, a safetensors file, a graph of ONNX; and all that was said of the way home."""
    assert re.findall(r"equal weights: (\w+)", printed(either)) == ["True"] * 3
    assert either.sentence(r"Loaded as it was saved: (\w+)\. There and back, bit for bit: (\w+)\.") == ("True", "True")
    assert float(either.sentence(r"old module's by (\S+)\.")[0]) < 1e-5


def test_padding_is_not_read(either):
    assert float(either.sentence(r"differ from torch's by at most (\S+), ")[0]) < 1e-5


def test_served_as_it_is_unrolled(either):
    assert float(either.sentence(r"say the same to (\S+)\.")[0]) < 1e-5
    assert len(either.table("P(open)")) == 3


def test_the_trained_networks_know_their_tags(committed):
    """After the whole training, and 2,000 steps later, where little of the gradient is left."""
    assert min(map(float, committed.sentence(r"has (\S+) of the tags right, the watcher (\S+)\."))) > 0.95
    both, opened, neither = (list(map(float, row[1:])) for row in committed.table("P(open)"))
    assert both[-2] > 0.9 > 0.2 > both[-1] and opened[-1] > 0.9 and neither[-1] < 0.1


def test_committed_notebook_is_clean(committed):
    assert SKIPPED not in printed(committed)
    assert NOTEBOOK.stat().st_size < 300_000
    committed.assert_clean()
