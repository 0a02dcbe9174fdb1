"""The picture of paths holds what was measured."""

import numpy as np
import pytest

from gatedrnn import plots
from gatedrnn.flow import Adjoint, Paths

T = 300


def found(rate):
    """A gradient of which the whole falls by `rate` decades per step, the direct path twice as fast; no rest."""
    rows = lambda slope: {"state": np.stack([-slope * np.arange(T, -1.0, -1.0)] * 3, 1)}
    return Paths(rows(rate), rows(2 * rate), {"state": np.full((T + 1, 3), -np.inf)}, {}, None)


@pytest.mark.parametrize("dark", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_lines(dark, tmp_path):
    """Three lines per cell: one colour, three strokes, each at its own height at every lag."""
    figure = plots.paths({"lstm": found(0.1), "my cell": found(0.5)}, dark=dark)
    (axis,) = figure.axes
    lines = {line.get_label(): line for line in axis.get_lines() if not line.get_label().startswith("_")}
    assert [*lines] == [f"{cell} {kind}" for cell in ("lstm", "my cell") for kind in ("whole", "direct", "rest")]
    for cell, rate in (("lstm", 0.1), ("my cell", 0.5)):
        for kind, slope in (("whole", rate), ("direct", 2 * rate)):
            lags, heights = lines[f"{cell} {kind}"].get_data()
            np.testing.assert_allclose(heights, -slope * np.asarray(lags))
        assert np.isnan(lines[f"{cell} rest"].get_ydata()).all()
        assert len({lines[f"{cell} {kind}"].get_color() for kind in ("whole", "direct", "rest")}) == 1
    assert len({line.get_color() for line in lines.values()}) == 2
    assert lines["lstm whole"].get_linestyle() == "-" != lines["lstm direct"].get_linestyle()
    assert all(path.stat().st_size for path in plots.save(figure, tmp_path / "paths"))


def test_a_gradient_without_paths():
    """Of what `adjoint` found the whole alone; narrower for a phone."""
    rows = found(0.1).whole
    drawn = [plots.paths({"gru_before": Adjoint(rows, None, None)}, columns=columns) for columns in (1, 2)]
    lines = [line.get_label() for line in drawn[0].axes[0].get_lines() if not line.get_label().startswith("_")]
    assert lines == ["gru_before whole"]
    assert drawn[0].get_figwidth() < drawn[1].get_figwidth()


@pytest.mark.parametrize("wrong", [{}, [], {"lstm": None}, {"lstm": Paths({"state": np.zeros(1)}, {}, {}, {}, None)}])
def test_refusals(wrong):
    with pytest.raises(ValueError, match="`found` must be a dict of"):
        plots.paths(wrong)
