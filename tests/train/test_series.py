"""Measured series: what cannot be read, and standardised windows."""

import numpy as np
import pytest

from gatedrnn.tasks import series


@pytest.mark.parametrize("suffix", ["csv", "npy"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent.{}", "No such file or directory"),
        ("folder.{}", "Is a directory"),
        ("file/below.{}", "Not a directory"),
        ("n" * 300 + ".{}", "File name too long"),
    ],
)
def test_what_cannot_be_read(tmp_path, name, reason, suffix, refuses):
    """The system's reason is passed on."""
    file = tmp_path / name.format(suffix)
    (tmp_path / f"folder.{suffix}").mkdir()
    (tmp_path / "file").write_text("text")
    assert f"a readable file of numbers; got 'FILE': {reason}" in refuses(file)


def test_standardised_by_the_whole_series():
    """Mean 0 and deviation 1 over all values, not over each window; windows from the beginning to the end."""
    values = np.random.default_rng(0).gamma(2.0, size=101) * 7 + 3
    got = series.standardised_windows(values, 41, 3)
    assert got.shape == (41, 3, 1)
    scaled = (values - values.mean()) / values.std()
    for column, start in enumerate((0, 30, 60)):
        np.testing.assert_allclose(got[:, column, 0], scaled[start : start + 41], rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1.0, 1e150, 1e300])
def test_standardised_at_any_scale(scale):
    """Units do not matter, though the square of 1e300 is no float."""
    values = np.array([1.0, -1.0, 1.0, -1.0]) * scale
    np.testing.assert_allclose(series.standardised_windows(values, 4, 1)[:, 0, 0], [1, -1, 1, -1], rtol=1e-3)


def test_a_large_offset_is_removed():
    """A small variation about a large mean is still one: 10^9 + {0, 1}."""
    got = series.standardised_windows(1e9 + np.array([0.0, 1.0, 0.0, 1.0]), 4, 1)
    np.testing.assert_allclose(got[:, 0, 0], [-1, 1, -1, 1])


@pytest.mark.parametrize("value", [0.0, 5.0, -1e300])
@pytest.mark.parametrize("count", [1, 10])
def test_constant_series(value, count):
    """What does not vary has no deviation to divide by; a single row is such a series."""
    with pytest.raises(ValueError, match="`series` must be a series that varies; got the constant"):
        series.standardised_windows(np.full(count, value), 1, 1)


def test_windows_errors():
    """Too short, or a size that is none."""
    with pytest.raises(ValueError, match="`series` must be at least as long as the horizon, 1,001 .*; got 5 "):
        series.standardised_windows(np.arange(5.0), 1001, 1)
    for steps, batch, name in (
        (0, 1, "horizon"),
        (-5, 1, "horizon"),
        (2.0, 1, "horizon"),
        (2, 0, "batch"),
        (2, True, "batch"),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 1"):
            series.standardised_windows(np.arange(5.0), steps, batch)
