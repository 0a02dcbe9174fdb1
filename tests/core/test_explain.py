"""`explain`: what it says of each method, of methods made of methods, of somebody's own; and what it refuses."""

import dataclasses
from typing import Any

import jax
import pytest
from jax.sharding import Mesh

import gatedrnn as gr
from gatedrnn.methods import auto


def shapes(batch, width, steps):
    return jax.ShapeDtypeStruct((steps, batch, width), "float32")


def test_what_explain_says():
    """In a sentence; of methods that hold another one, what that one does; of a given one, that it was given."""
    params = gr.gru.init(jax.random.key(0), 3, 4)
    line = "gru (B = {}, D = 3, H = 4, T = 30): forward {}, gradient segments, K = {}; {}; {}"
    for batch, told in ((2, ("segments", 30, auto.WIDE)), (128, ("scan", 30, auto.NARROW))):
        way, length, why = told
        found = str(gr.explain(gr.gru, params, shapes(batch, 3, 30))[0])
        assert found == line.format(batch, way, length, why, auto.LONG)
    inside = gr.explain(gr.gru, params, shapes(2, 3, 30), method=gr.Checkpointed(10, gr.Autodiff()))[0]
    assert (inside.gradient, inside.why) == ("Autodiff(unroll=1, clip=None)", "it was asked for")
    fused = gr.explain(gr.gru, params, shapes(2, 3, 30), method=gr.Fused())[0]
    assert (fused.gradient, fused.why) == ("segments", "there is no kernel for the CPU")
    assert gr.explain(gr.gru, params, shapes(2, 3, 30), method=gr.Fused(interpret=True))[0].gradient == "kernel"
    given = gr.explain(gr.gru, params, shapes(2, 3, 30), method=gr.Segmented(7))[0]
    assert (given.forward, given.gradient, given.length, given.why) == ("segments", "segments", 7, "it was asked for")


@dataclasses.dataclass(frozen=True)
class Own:
    """A method of somebody's that says how it runs a cell; with another, one that runs halves by it."""

    method: Any = None

    def __call__(self, cell, params, sequence, outputs):
        raise AssertionError("nothing is run to explain")

    def way(self, cell, params, sequence):
        return "forwards", "backwards", 3, f"of {sequence.xs.shape[0]} steps"

    def piece(self, steps, rows):
        return -(-steps // 2), rows


def test_what_a_method_of_ones_own_says():
    """By its `way`, of the longest `piece` that one which holds it makes."""
    params = gr.gru.init(jax.random.key(0), 3, 4)
    found = gr.explain(gr.gru, params, shapes(2, 3, 31), method=Own(Own()))[0]
    assert (found.steps, found.forward, found.gradient, found.length) == (16, "forwards", "backwards", 3)
    assert found.why == "of 16 steps"


def test_explain_refuses_what_unroll_refuses():
    """In one sentence, of the same argument."""
    params, alone = gr.gru.init(jax.random.key(0), 3, 4), gr.lem.init(jax.random.key(0), 3, 4)
    for argument, cell, given, xs, method in (
        ("method", gr.gru, params, shapes(2, 3, 30), "fast"),
        ("method", gr.lem, alone, shapes(2, 3, 30), gr.Segmented()),
        ("method", gr.lem, alone, shapes(2, 3, 30), gr.Fused(interpret=True)),
        ("xs", gr.gru, params, shapes(2, 5, 30), None),
        ("xs", gr.gru, params, "abc", None),
        ("xs", gr.gru, params, shapes(3, 3, 30), gr.Sharded(Mesh(jax.devices()[:2], "rows"))),
        ("params", gr.gru, "abc", shapes(2, 3, 30), None),
        ("params", gr.gru, 5, shapes(2, 3, 30), None),
        ("cell", "gru", params, shapes(2, 3, 30), None),
    ):
        with pytest.raises(ValueError, match=f"^`{argument}` must be "):
            gr.explain(cell, given, xs, method=method)


def test_of_pieces_what_runs_a_piece_is_told():
    """Its sizes decide, not those of the whole; in a network a cell with `step` alone is never run in segments."""
    network = gr.stack(gr.gru, gr.lem)
    params = network.init(jax.random.key(0), 2, 64)
    pieces = {
        gr.Truncated(50): (128, 50),
        gr.Checkpointed(60): (128, 60),
        gr.Checkpointed(): (128, 64),
        gr.Checkpointed(80, gr.Checkpointed(20)): (128, 20),
        gr.Sharded(Mesh(jax.devices()[:2], "rows")): (64, 640),
        gr.Sharded(Mesh(jax.devices()[:2], "rows"), method=gr.Truncated(30)): (64, 30),
    }
    for method, (batch, steps) in pieces.items():
        found = gr.explain(network, params, shapes(128, 2, 640), method=method)
        assert found == gr.explain(network, params, shapes(batch, 2, steps)), method
        assert found[0].gradient == ("scan" if steps <= auto.STEPS else "segments")
    for method in (gr.Segmented(5), gr.Truncated(50, gr.Segmented(5))):
        found = gr.explain(network, params, shapes(128, 2, 640), method=method)
        assert [each.gradient for each in found] == ["segments", "scan"]
        assert found[1].why == auto.ALONE
