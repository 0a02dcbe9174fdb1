"""The picture of a spectrum holds what was measured, read back from its lines."""

import numpy as np
import pytest

from gatedrnn import plots
from gatedrnn.flow import Spectrum


def measured(rows, k=12, blocks=5):
    """A record without a measurement; of the first row the last exponent is -inf."""
    rng = np.random.default_rng(0)
    exponents = -np.sort(rng.random((rows, k)), 1)
    exponents[0, -1] = -np.inf
    history = exponents[None] + rng.normal(size=(blocks, 1, 1))
    steps = 10 * np.arange(1, blocks + 1)
    return Spectrum(exponents, np.full((rows, k), 0.02), history, steps, np.full(rows, 50.0), 1, np.zeros(rows))


@pytest.mark.parametrize("dark", [False, True])
def test_lines_hold_the_record(dark):
    """Exponents at their ranks with bars of two errors, and ten histories of the chosen row."""
    found = measured(2)
    ranks, histories = plots.spectrum(found, row=1, dark=dark).axes
    (bars,) = ranks.containers
    np.testing.assert_array_equal(bars[0].get_xdata(), np.arange(1, 13))
    np.testing.assert_array_equal(bars[0].get_ydata(), found.exponents[1])
    low, high = bars[2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose(high - low, 0.08)
    lines = {line.get_label(): line.get_ydata() for line in histories.lines if line.get_label()[0] != "_"}
    assert len(lines) == 10
    np.testing.assert_array_equal(lines["rank 1"], found.history[:, 1, 0])
    np.testing.assert_array_equal(lines["rank 12"], found.history[:, 1, 11])


def test_what_is_left_out_is_said():
    """An exponent of -inf has no place on the axis; a record of one row needs no `row`."""
    found = measured(1)
    one = Spectrum(*(part[0] for part in found[:2]), found.history[:, 0], found.steps, found.number[0], 1, 0.0)
    for record in (found, one):
        figure = plots.spectrum(record, columns=1)
        assert any("11 exponents over 50 steps, 1 of -∞ left out" in text.get_text() for text in figure.texts)
        assert len(figure.axes[0].containers[0][0].get_xdata()) == 11
    with pytest.raises(ValueError, match="`row`"):
        plots.spectrum(found, row=1)
    with pytest.raises(ValueError, match="`found`"):
        plots.spectrum(found._asdict())
