"""Where the stretches of an inspection begin in a file."""

import numpy as np
import pytest

from gatedrnn.cli._stretches import stretches


@pytest.mark.parametrize(
    ("asked", "starts", "steps", "longer", "reach"),
    [
        ((2, 1000, 4, None, 8), [0], 1, 0, 2),  # nothing but one step, and no run beyond the trained length
        ((9, 1000, 4, None, 8), [0], 8, 1, 9),  # one longer run, by a step
        ((1001, 100, 3, None, None), [900, 0, 450], 100, 0, 0),  # the answer's own first
        ((1001, 100, 3, 500, 10), [400, 0, 900], 100, 32, 100),
        ((1001, 100, 1, 500, 1000), [400], 100, 1, 1001),
        ((102, 100, 5, None, 200), [1, 0], 100, 0, 102),  # no more than two that differ
    ],
)
def test_where_stretches_begin(asked, starts, steps, longer, reach):
    """Each once, within the file, with a step after it; the longer ones no longer than the file."""
    found = stretches(*asked, "byte")
    assert (found.starts, found.steps, len(found.longer), found.reach) == (starts, steps, longer, reach)
    data = np.arange(asked[0])
    before, after = found.of(data)
    np.testing.assert_array_equal(after, before + 1)
    assert before.shape == (steps, len(starts))
    assert (found.far(data) is None) if not longer else found.far(data).shape == (reach, longer)
