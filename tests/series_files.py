"""How a file of a measured series is read or refused: in one sentence of ours, whatever it holds."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from gatedrnn.tasks import series

fuzz = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refuses(file, column=None):
    """The one sentence with which a file is refused."""
    with pytest.raises(ValueError, match=r"^`series` must be .*; got .*\.$") as caught:
        series.read_series(file, column)
    message = str(caught.value)
    assert len(message) < 400 + len(str(file))
    return message.replace(str(file), "FILE")


def read_or_refused(file, column):
    """Finite float64 [N], or a ValueError that names the argument."""
    got, message = None, ""
    try:
        got = series.read_series(file, column)
    except ValueError as error:
        message = str(error)
    if got is None:
        assert message.startswith("`series` must be ")
    else:
        assert got.dtype == np.float64
        assert got.ndim == 1
        assert np.isfinite(got).all()
