"""Measured series from CSV files: columns, what is refused and in which words."""

import re

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
        ("1,9\n0,8\n", "1", [9, 8]),
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
        ("x,x\n1,2\n", "1", [2]),
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
        ("", None, "at least one row of numbers; got 'FILE': none"),
        ("\n\n", None, "at least one row of numbers; got 'FILE': none"),
        ("x,y\n", None, "at least one row of numbers; got 'FILE': none"),
        ('"', None, "at least one row of numbers; got 'FILE': none"),
        ("x,y\n1,2\n", "z", "a column, one of 'x', 'y' or a number from 0 to 1; got 'z'"),
        ("x,y\n1,2\n", "2", "a column, one of 'x', 'y' or a number from 0 to 1; got '2'"),
        ("x,y\n1,2\n", "-1", "a column, one of 'x', 'y' or a number from 0 to 1; got '-1'"),
        ("x,y\n1,2\n", "", "a column, one of 'x', 'y' or a number from 0 to 1; got ''"),
        ("1,2.5\n", "x", "a column, a number from 0 to 1; got 'x'"),
        ("1,2.5\n", "²", "a column, a number from 0 to 1; got '²'"),
        ("x,x\n1,2\n", "x", "a column of a name of its own, or a number such as 0, 1; got 'x' for 'FILE'"),
        ("x,y\n1,2\n3\n", "y", "as many fields in every line, .*: 2 in line 1 and 1 in line 3, split at ','"),
        (
            "x,y\n1,2\n3,\n",
            "y",
            "missing ones filled in or their lines left out beforehand; got '' in line 3, column 1",
        ),
        ("x,y\n1,2\n\n,3\n", "x", "missing ones .*; got '' in line 4, column 0"),
        ("x,y\n1,NA\n2,3\n", "y", "missing ones .*; got 'NA' in line 2, column 1"),
        ("1\n2\nthree\n", None, "finite numbers; got 'three' in line 3, column 0"),
        ("1\nnan\n", None, "missing ones .*; got 'nan' in line 2, column 0"),
        ("1\n-inf\n", None, "missing ones .*; got '-inf' in line 2, column 0"),
        ("1\n1e999\n", None, "finite numbers; got '1e999' in line 2, column 0"),
        ("1\n1+2j\n", None, "finite numbers; got '1.2j' in line 2, column 0"),
        ("1\n0x10\n", None, "finite numbers; got '0x10' in line 2, column 0"),
        ("1\n1_000\n", None, "finite numbers; got '1_000' in line 2, column 0"),
        ("1\n١\n", None, "finite numbers; got '١' in line 2, column 0"),
        ("x,p\n1,5%\n", "p", "finite numbers; got '5%' in line 2, column 1"),
        ("x,p\n1,$5\n", "p", "finite numbers; got '.5' in line 2, column 1"),
        ("x,p\n1,2020-01-02\n", "p", "finite numbers; got '2020-01-02' in line 2, column 1"),
        (b"x\n1\n\0\n", None, "a text file; got a binary one: a NUL byte at offset 4 of 'FILE'"),
    ],
)
def test_csv_refused(csv_file, content, column, got, refuses):
    """One sentence with the line and the column."""
    assert re.search(got, refuses(csv_file(content), column))


def test_huge_fields_and_headers_stay_out_of_the_message(csv_file, refuses):
    """A field beyond the parser's limit, a long bad cell, a thousand names: still one short sentence."""
    assert "field larger than field limit" in refuses(csv_file("x\n" + "1" * 200_000))
    assert "'aaaa" in refuses(csv_file("1\n" + "a" * 100_000))
    assert "'c0', 'c1'" in refuses(csv_file(",".join(f"c{i}" for i in range(1000)) + "\n" + "1," * 999 + "1"), "x")
    np.testing.assert_array_equal(series.read_series(csv_file("x\n1." + "0" * 100_000)), [1])


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
def test_any_csv_is_read_or_refused_in_one_sentence(tmp_path, read_or_refused, content, column):
    """Finite numbers or a ValueError of ours; nothing else."""
    file = tmp_path / "any.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    read_or_refused(file, column)
