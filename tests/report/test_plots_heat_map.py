"""The heat map of gates holds what was measured, in any arrangement."""

import itertools

import numpy as np
import pytest

from gatedrnn import plots


def test_heat_map_holds_the_gates(gate_map, laid_out, assert_legible):
    maps = [gate_map(), gate_map("gru", "update"), gate_map(init="default", units=3)]
    figure = laid_out(plots.gate_heatmap(maps))
    assert_legible(figure)
    axes = figure.axes
    titles = [ax.get_title(loc="left") for ax in axes[:3]]
    assert titles == [
        "GRU update gate, chrono\ndriven by text",
        "LSTM forget gate, default\ndriven by text",
        "LSTM forget gate, chrono\ndriven by text",
    ]
    np.testing.assert_array_equal(axes[2].collections[0].get_array(), maps[0]["values"])
    assert [label.get_text() for label in axes[2].get_yticklabels()] == ["10,000", "1,580", "251", "63.1", "10"]
    assert axes[2].yaxis_inverted()
    assert axes[2].get_xlabel() == "time (steps)"
    assert axes[0].get_ylabel() == "time scale (steps)"
    assert "gate activation" in axes[3].get_ylabel()


def test_what_no_gate_keeps_is_called_what_it_is(gate_map):
    """A cell may keep something without a gate's name for it; its complement may keep."""
    figure = plots.gate_heatmap([gate_map("mine", ""), gate_map("mgu", "1 - forget")])
    titles = [ax.get_title(loc="left").split(",")[0] for ax in figure.axes[:2]]
    assert titles == ["mine d after / d before", "mgu 1 - forget gate"]


def test_heat_map_tells_long_time_scales_apart(gate_map, contrast):
    """0.99 and 0.9999 hold a state for 100 and for 10,000 steps: they must not look the same."""
    mesh = plots.gate_heatmap([gate_map()]).axes[0].collections[0]
    brightness = np.array([contrast(mesh.cmap(mesh.norm(gate)), "black") for gate in (0.5, 0.9, 0.99, 0.999, 0.9999)])
    assert (brightness[1:] / brightness[:-1]).min() > 1.25


@pytest.mark.parametrize(("count", "columns"), [(1, 4), (3, 2), (8, 1), (8, 4)])
def test_heat_map_is_legible_in_any_arrangement(count, columns, gate_map, laid_out, assert_legible):
    names = list(itertools.product(("gru", "lstm"), ("forget", "a long name"), ("default", "chrono")))[:count]
    assert_legible(laid_out(plots.gate_heatmap([gate_map(*name) for name in names], columns=columns)))


def test_heat_map_at_its_edges(gate_map, laid_out, assert_legible):
    """One unit and one bin; gates at exactly 0 and 1, whose time scales are 0 and infinite."""
    one = {**gate_map(units=1, bins=1), "values": np.ones((1, 1)), "timescales": np.array([np.inf])}
    two = {**gate_map(units=2, bins=3), "values": np.array([[1.0] * 3, [0.0] * 3]), "timescales": [np.inf, 0.0]}
    figure = laid_out(plots.gate_heatmap([one, two]))
    assert_legible(figure)
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["∞", "0"]
