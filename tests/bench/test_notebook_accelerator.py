"""On an accelerator: committed with its outputs, of a CPU; a short run fails nowhere and is right against float64."""

import re
from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "05_on_an_accelerator.ipynb"
SMALL = {"CELLS": "gru", "SIZES": "4x8", "STEPS": 20, "LONG": 4_000, "REPEATS": 2}
CELLS = ("gru", "lstm")
METHODS = ("gr.Auto", "gr.Segmented", "gr.Autodiff", "gr.Fused")


def cells_of(notebook):
    """The cells it went through: all, or those of SMALL."""
    return sorted({name for name, *_ in notebook.table("precision of products")})


def test_every_cell_ran(either):
    either.assert_whole(pictures=1)
    assert cells_of(either) in (list(CELLS), [SMALL["CELLS"]])


def test_outputs_and_gradients_are_those_of_float64(either):
    """At both precisions, which on a CPU are one; with rounded weights to bfloat16's digits, the carry in float32."""
    rows = either.table("precision of products")
    assert [row[:2] for row in rows] == [[name, at] for name in cells_of(either) for at in ("highest", "default")]
    assert max(float(number) for row in rows for number in row[2:]) < 2e-6
    either.sentence("(both precisions give the same bits)")
    coarse = either.table("weights of bfloat16")
    assert {carry for _, carry, *_ in coarse} == {"float32"}
    assert all(1e-5 < float(number) < 3e-2 for row in coarse for number in row[3:])


def test_what_runs_is_said(either):
    """No kernel here, one on a TPU; on a GPU where U fits. Interpreted, the kernels are right."""
    ways = {(name, method.strip("`")): rest for name, method, *rest in either.table("| why |")}
    for name in cells_of(either):
        assert ways[name, "gr.Fused"][1::2] == ["segments", "there is no kernel for the CPU"]
        assert ways[name, "gr.Fused"][0] == "segments"
        assert ways[name, 'gr.Fused(platform="tpu")'][:2] == ["kernel", "kernel"]
        assert ways[name, "gr.Auto"][1] == "segments"
    by_segments = r"in Pallas's interpreter: outputs differ from `Segmented`'s by (\S+), gradients by (\S+);"
    errors = either.sentence(by_segments + r" from float64 by (\S+) and (\S+)\.")
    assert max(map(float, errors)) < 2e-6


def test_every_method_was_timed(either):
    """But for the one that would be another again, and that is said."""
    rows = [[cell.strip("`") for cell in row] for row in either.table("forward, µs a step")]
    sizes = sorted({size for _, size, *_ in rows})
    assert {tuple(row[:3]) for row in rows} == {(c, s, m) for c in cells_of(either) for s in sizes for m in METHODS}
    for _, _, method, forward, gradient, _ in rows:
        assert (forward == "as `gr.Segmented") == (method == "gr.Fused")
        if method != "gr.Fused":
            assert min(float(forward.replace(",", "")), float(gradient.replace(",", ""))) > 0
    either.sentence(r"(`gr\.Fused\(\)` falls back on `gr\.Segmented\(\)`)")
    assert len(either.table("fastest gradient")) == len(cells_of(either)) * len(sizes)


def test_long_sequences_fit_and_agree(either):
    """Half of what the default takes is enough for `Checkpointed`; a hundred times the steps are asked about, too."""
    chosen = [row[2].strip("`") for row in either.table("forward passes more") if row[-1] == "chosen"]
    assert chosen[:2] == ["gr.Auto", "gr.Checkpointed"] and len(chosen) == 3
    rows = either.table("differs from the first by")
    assert [row[0].strip("`") for row in rows] == ["gr.Auto", "gr.Checkpointed"]
    assert max(float(row[-1]) for row in rows) < 1e-4


def test_devices_share_the_batch(either):
    """Two of a CPU's cores, and the same gradients."""
    assert [row[1] for row in either.table("| devices |")] == ["1", "2"]
    assert len(either.table("memory for JAX")) == 2
    assert float(either.sentence(r"T = \d+: the gradients differ by (\S+)\.")[0]) < 1e-5


def test_committed_notebook_is_clean(committed):
    """And says what it was run on."""
    text = "\n".join(cell.source for cell in committed.content.cells if cell.cell_type == "markdown")
    assert re.search(r"\*\*What is shown here is from a CPU\.\*\*", text) and "**Try it.**" in text
    assert cells_of(committed) == list(CELLS)
    assert NOTEBOOK.stat().st_size < 300_000
    committed.assert_clean()
