"""Measured series from NPY files: columns, what is refused, and damage anywhere."""

import io
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from gatedrnn.tasks import series

fuzz = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Bomb:
    """Unpickling it raises, loudly."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


@pytest.fixture
def npy_file(tmp_path):
    """Writes an NPY file, of an array or of the bytes given, and returns its path."""

    def write(content):
        file = tmp_path / "data.npy"
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            np.save(file, content, allow_pickle=content.dtype == object)
        return file

    return write


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", ">f8", "g", "i1", "u8", "i4"])
def test_npy_columns(npy_file, dtype):
    """[N] and [N, C] of any real dtype and byte order, and of either memory order."""
    table = np.arange(6).reshape(3, 2).astype(dtype)
    np.testing.assert_array_equal(series.read_series(npy_file(table[:, 0].copy())), [0, 2, 4])
    np.testing.assert_array_equal(series.read_series(npy_file(table), "1"), [1, 3, 5])
    np.testing.assert_array_equal(series.read_series(npy_file(np.asfortranarray(table)), "1"), [1, 3, 5])


def test_npy_keeps_every_digit(npy_file):
    """float64 values come back bit for bit."""
    values = np.random.default_rng(0).normal(size=100) * 10.0 ** np.arange(-150, 150, 3)
    np.testing.assert_array_equal(series.read_series(npy_file(values)), values)


def header(text, version=b"\x01\x00"):
    """An NPY file with this header and 80 bytes of zeros."""
    return (
        b"\x93NUMPY" + version + len(text).to_bytes(2 if version[0] == 1 else 4, "little") + text.encode() + b"\0" * 80
    )


SOUND = "{'descr': '<f8', 'fortran_order': False, 'shape': (10,)}\n"


def test_the_forged_header_itself_is_sound(npy_file):
    """So that its variants below are refused for what was changed."""
    np.testing.assert_array_equal(series.read_series(npy_file(header(SOUND))), np.zeros(10))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x03\x04 no zip after all",
        pickle.dumps(Bomb()),
        b"1,2\n3,4\n",
        header(SOUND)[:-1],
        header(SOUND)[:40],
        header(SOUND, b"\x09\x00"),
        header(SOUND.replace("10,", "11,")),
        header(SOUND.replace("10,", "-1,")),
        header(SOUND.replace("10,", "True,")),
        header(SOUND.replace("10,", "1" + "0" * 15 + ",")),
        header(SOUND.replace("10,", "1" + "0" * 30 + ",")),
        header(SOUND.replace("<f8", "<zz")),
        header(SOUND.replace("<f8", "|O")),
        header(SOUND.replace("<f8", "<c16")),
        header(SOUND.replace("10,", "")),
        header(SOUND.replace("10,", "2, 5, 1")),
        header(SOUND.replace("}", "")),
        header(SOUND.replace("'descr'", "'other'")),
        header("__import__('os').abort()\n"),
        header("(" * 9000 + "\n"),
        np.array([1.0, "a", None], dtype=object),
        np.array([Bomb()], dtype=object),
        np.array([1 + 1j]),
        np.array(["1", "2"]),
        np.array(["2020-01-01"], dtype="M8[D]"),
        np.array([True, False]),
        np.zeros(3, [("x", "f8")]),
        np.zeros((2, 2, 2)),
        np.array(3.0),
        np.zeros(0),
        np.zeros((0, 4)),
        np.zeros((4, 0)),
        np.array([1.0, np.nan]),
        np.array([[1.0], [np.inf]]),
    ],
)
def test_npy_refused(npy_file, content, refuses):
    """Truncated, forged, pickled, of another rank or dtype, empty or not finite: one sentence, and nothing is run."""
    refuses(npy_file(content))


def test_an_archive_of_arrays_is_none(tmp_path, refuses):
    """An NPZ under the other name is refused, and its file is closed."""
    file = tmp_path / "data.npy"
    stream = io.BytesIO()
    np.savez(stream, x=np.zeros(3))
    file.write_bytes(stream.getvalue())
    assert "NPY file of numbers" in refuses(file)


def test_npy_column_out_of_range(npy_file, refuses):
    """Columns of an array are numbered only."""
    assert "a column, a number from 0 to 1; got '2'" in refuses(npy_file(np.zeros((3, 2))), "2")
    assert "a number from 0 to 0; got 'x'" in refuses(npy_file(np.zeros(3)), "x")


@fuzz
@given(st.integers(6, 128), st.binary(min_size=1, max_size=6))
def test_any_damage_to_an_npy_is_noticed_or_harmless(tmp_path, read_or_refused, place, damage):
    """Bytes overwritten anywhere after the magic: finite numbers or a ValueError of ours."""
    file = tmp_path / "any.npy"
    np.save(file, np.arange(4.0))
    data = bytearray(file.read_bytes())
    data[place : place + len(damage)] = damage
    file.write_bytes(data)
    read_or_refused(file, None)
