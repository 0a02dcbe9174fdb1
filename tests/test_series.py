"""Measured series: columns of CSV and NPY files, what is refused and in which words, and standardised windows."""

import io
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from gatedrnn.tasks import series

fuzz = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
numbers = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture
def csv_file(tmp_path):
    """Writes a CSV file and returns its path."""

    def write(content):
        file = tmp_path / "data.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


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


def refuses(file, column=None):
    """The one sentence with which a file is refused."""
    with pytest.raises(ValueError, match=r"^`series` must be .*; got .*\.$") as caught:
        series.read_series(file, column)
    message = str(caught.value)
    assert len(message) < 400 + len(str(file))
    return message.replace(str(file), "FILE")


NAMED = "day,pm2.5,x12,a:b, spaced \n1,20.5,3,4,5\n2,-1e3,6,7,8\n"
PLAIN = "1,20.5\n2,-1e3\n"


@pytest.mark.parametrize(
    ("content", "column", "want"),
    [
        (NAMED, None, [1, 2]),
        (NAMED, "pm2.5", [20.5, -1000]),
        (NAMED, "1", [20.5, -1000]),
        (NAMED, "a:b", [4, 7]),
        (NAMED, "spaced", [5, 8]),
        (NAMED, "4", [5, 8]),
        (PLAIN, None, [1, 2]),
        (PLAIN, "1", [20.5, -1000]),
        ("1,9\n0,8\n", "0", [1, 0]),
        ('"a, quoted ""name""",b\n"1","2"\n3,"4"\n', 'a, quoted "name"', [1, 3]),
        ('"two\nlines",b\n1,2\n', "two\nlines", [1]),
        ("x,y\n1,2\n", "y", [2]),
        ("\ufeffx,y\n1,2\n", "x", [1]),
        ("\ufeff1\n2\n", None, [1, 2]),
        ("x\r\n1\r\n2\r\n", "x", [1, 2]),
        ("x\r1\r2", "x", [1, 2]),
        ("\n\n1\n\n2\n\n", None, [1, 2]),
        ("x\n 1 \n2\t\n", "x", [1, 2]),
        ("note,x\nbad,1\nworse,2\n", "x", [1, 2]),
        ("7", None, [7]),
        ("x,x\n1,2\n", "x", [1]),
    ],
)
def test_csv_columns(csv_file, content, column, want):
    """By name, by number or the first; with or without a line of names, quoted or not, and with any line ends."""
    got = series.read_series(csv_file(content), column)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("content", "column", "got"),
    [
        ("", None, "a file with at least one row of numbers; got none in 'FILE'."),
        ("\n\n", None, "a file with at least one row of numbers; got none in 'FILE'."),
        ("x,y\n", None, "a file with at least one row of numbers; got none in 'FILE'."),
        ("x,y\n1,2\n", "z", "a column, one of 'x', 'y' or a number from 0 to 1; got 'z' for 'FILE'."),
        ("x,y\n1,2\n", "2", "a column, one of 'x', 'y' or a number from 0 to 1; got '2' for 'FILE'."),
        ("x,y\n1,2\n", "-1", "a column, one of 'x', 'y' or a number from 0 to 1; got '-1' for 'FILE'."),
        ("x,y\n1,2\n", "", "a column, one of 'x', 'y' or a number from 0 to 1; got '' for 'FILE'."),
        ("1,2\n", "x", "a column, a number from 0 to 1; got 'x' for 'FILE'."),
        ("1,2\n", "²", "a column, a number from 0 to 1; got '²' for 'FILE'."),
        ("x,y\n1,2\n3\n", "y", "finite numbers; got nothing in row 3, column 1 of 'FILE'."),
        ("x,y\n1,2\n3,\n", "y", "finite numbers; got '' in row 3, column 1 of 'FILE'."),
        ("1\n2\nthree\n", None, "finite numbers; got 'three' in row 3, column 0 of 'FILE'."),
        ("1\nnan\n", None, "finite numbers; got 'nan' in row 2, column 0 of 'FILE'."),
        ("1\n-inf\n", None, "finite numbers; got '-inf' in row 2, column 0 of 'FILE'."),
        ("1\n1e999\n", None, "finite numbers; got '1e999' in row 2, column 0 of 'FILE'."),
        ("1\n1+2j\n", None, "finite numbers; got '1+2j' in row 2, column 0 of 'FILE'."),
        ("1\n0x10\n", None, "finite numbers; got '0x10' in row 2, column 0 of 'FILE'."),
        ("1;2\n3;4\n5;6\n", None, "finite numbers; got '3;4' in row 2, column 0 of 'FILE'."),
        ("1,5\n2\n", "1", "finite numbers; got nothing in row 2, column 1 of 'FILE'."),
        (b"x\n1\n\0\n", None, "finite numbers; got '\\x00' in row 3, column 0 of 'FILE'."),
        ("größe\n1\n".encode("latin-1"), None, "a CSV file in UTF-8; got 'FILE': invalid start byte at 2."),
        (b"\xff\xfe1\x00\n\x00", None, "a CSV file in UTF-8; got 'FILE': invalid start byte at 0."),
    ],
)
def test_csv_refused(csv_file, content, column, got):
    """One sentence with the row and the column."""
    assert refuses(csv_file(content), column) == f"`series` must be {got}"


def test_huge_fields_and_headers_stay_out_of_the_message(csv_file):
    """A field beyond the parser's limit, a long bad cell, a thousand names: still one short sentence."""
    assert "field larger than field limit" in refuses(csv_file("x\n" + "1" * 200_000))
    assert "'aaaa" in refuses(csv_file("1\n" + "a" * 100_000))
    assert "'c0', 'c1'" in refuses(csv_file(",".join(f"c{i}" for i in range(1000)) + "\n" + "1," * 999 + "1"), "x")
    np.testing.assert_array_equal(series.read_series(csv_file("x\n1." + "0" * 100_000)), [1])


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
def test_what_cannot_be_read(tmp_path, name, reason, suffix):
    """The system's reason is passed on."""
    file = tmp_path / name.format(suffix)
    (tmp_path / f"folder.{suffix}").mkdir()
    (tmp_path / "file").write_text("text")
    assert refuses(file) == f"`series` must be a readable CSV or NPY file; got 'FILE': {reason}."


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


class Bomb:
    """Unpickling it raises, loudly."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


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
def test_npy_refused(npy_file, content):
    """Truncated, forged, pickled, of another rank or dtype, empty or not finite: one sentence, and nothing is run."""
    refuses(npy_file(content))


def test_an_archive_of_arrays_is_none(tmp_path):
    """An NPZ under the other name is refused, and its file is closed."""
    file = tmp_path / "data.npy"
    stream = io.BytesIO()
    np.savez(stream, x=np.zeros(3))
    file.write_bytes(stream.getvalue())
    assert "NPY file of numbers" in refuses(file)


def test_npy_column_out_of_range(npy_file):
    """Columns of an array are numbered only."""
    assert (
        refuses(npy_file(np.zeros((3, 2))), "2")
        == "`series` must be a column, a number from 0 to 1; got '2' for 'FILE'."
    )
    assert "a number from 0 to 0; got 'x'" in refuses(npy_file(np.zeros(3)), "x")


@fuzz
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8), st.booleans())
def test_what_was_written_is_read(tmp_path, rows, named):
    """Any finite float64 survives a CSV written with `repr`."""
    file = tmp_path / "any.csv"
    lines = ["first,second"] * named + [f"{a!r},{b!r}" for a, b in rows]
    file.write_text("\n".join(lines))
    np.testing.assert_array_equal(series.read_series(file, "1"), [b for _, b in rows])


@fuzz
@given(
    st.one_of(st.binary(max_size=60), st.text(alphabet='0123456789.,-+einfa"\n\r; ', max_size=60)),
    st.sampled_from([None, "0", "a"]),
)
def test_any_csv_is_read_or_refused_in_one_sentence(tmp_path, content, column):
    """Finite numbers or a ValueError of ours; nothing else."""
    file = tmp_path / "any.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    read_or_refused(file, column)


@fuzz
@given(st.integers(6, 128), st.binary(min_size=1, max_size=6))
def test_any_damage_to_an_npy_is_noticed_or_harmless(tmp_path, place, damage):
    """Bytes overwritten anywhere after the magic: finite numbers or a ValueError of ours."""
    file = tmp_path / "any.npy"
    np.save(file, np.arange(4.0))
    data = bytearray(file.read_bytes())
    data[place : place + len(damage)] = damage
    file.write_bytes(data)
    read_or_refused(file, None)


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
    with pytest.raises(
        ValueError, match="`series` must be at least as long as the horizon, 1,001 values; got 5 values"
    ):
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
