"""Dialects of series in text files: read where there is one meaning, refused where there are two, or told."""

import gzip
import re

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gatedrnn.tasks import series

ETT = "date,0,1,OT\n2016-07-01,5.8,2.0,30.5\n2016-07-02,5.7,2.1,27.8\n"
PANDAS = ",0,1\n0,1.5,5\n1,2.5,6\n2,3.5,7\n"
YEARS = "month,2019,2020\n1,5,6\n2,7,8\n"
UNITS = "time,temp,wind\ns,K,m/s\n0,280,1.5\n1,281,2.5\n"
EUROPE = "Datum;Wert;Größe\n01.02.2020;1,5;7\n02.02.2020;-2,25;8\n"


@pytest.fixture
def file(tmp_path):
    """(content, name) -> a file with it."""

    def write(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("content", "column", "want"),
    [
        (ETT, "OT", [30.5, 27.8]),
        (ETT, "1", [2.0, 2.1]),
        (ETT, "3", [30.5, 27.8]),
        (PANDAS, "0", [1.5, 2.5, 3.5]),
        (PANDAS, None, [0, 1, 2]),
        (",0\n2020-01-01,5\n2020-01-02,6\n", "0", [5, 6]),
        (YEARS, "2020", [6, 8]),
        ("2020-01-01,5\n2020-01-02,6\n", "1", [5, 6]),
        (UNITS, "temp", [280, 281]),
        (UNITS, "m/s", [1.5, 2.5]),
        (EUROPE, "Wert", [1.5, -2.25]),
        (EUROPE, "Größe", [7, 8]),
        ("1,5;2\n3,25;4\n", None, [1.5, 3.25]),
        ('x\n"1,5"\n"2,25"\n', None, [1.5, 2.25]),
        ('x,y\n"1,5","2"\n"2,25","3"\n', "x", [1.5, 2.25]),
        ("'a','b'\n'1','2'\n", "b", [2]),
        ("1;2\n3;4\n", "1", [2, 4]),
        ("a\tb\n1\t2\n3\t4\n", "b", [2, 4]),
        ("a|b\n1|2\n3|4\n", "b", [2, 4]),
        ("a b\n1 2\n3 4\n", "b", [2, 4]),
        ("   1.0   2.0\n  13.0  -4.0\n", "1", [2, -4]),
        ("# made\n% units: m\na,b\n1,2\n# a pause\n3,4\n", "b", [2, 4]),
        ("x, y\n1, 2\n3, 4\n", "y", [2, 4]),
        ("air temperature\n1.5\n2\n", "0", [1.5, 2]),
        ("0\n1\n0\n", None, [0, 1, 0]),
        ("5.1,3.5\n4.9,3.0\n", "1", [3.5, 3.0]),
        ("pop;x\n1,234;5\n2,345;6\n", "x", [5, 6]),
        ("x\n1\n" + "2\n" * 40_000 + "3", None, [1, *[2] * 40_000, 3]),
    ],
)
def test_one_meaning(file, content, column, want):
    """Delimiters, decimal commas, quotes, comments, names that are numbers, a second line of names."""
    np.testing.assert_array_equal(series.read_series(file(content), column), want)


@pytest.mark.parametrize(
    ("content", "expected", "got", "told", "want"),
    [
        ("x\n1,5\n2,5\n", "`decimal`", "1 in line 1 and 2 in line 2", {"decimal": ","}, [1.5, 2.5]),
        ("x\n1,5\n2,5\n", "`header`", "1 in line 1 and 2 in line 2", {"delimiter": ",", "header": 1}, [1, 2]),
        ("1,5\n2,5\n", "`delimiter` or `decimal`", "'1,5' in line 1, where commas", {"delimiter": "comma"}, [1, 2]),
        ("1,5\n2,5\n", "`delimiter` or `decimal`", "'1,5' in line 1, where commas", {"decimal": ","}, [1.5, 2.5]),
        ("1,234\n5,678\n", "`delimiter` or `decimal`", "'1,234' in line 1", {"decimal": "."}, [1, 5]),
        ("1,234,567\n2,345,678\n", "`delimiter` or", "between thousands", {"delimiter": ","}, [1, 2]),
        (
            "1,5 2,5\n3,5 4,5\n",
            "`delimiter` or `decimal`",
            "'1,5 2,5'",
            {"decimal": ",", "delimiter": "space"},
            [1.5, 3.5],
        ),
        ('x\n"1,234"\n"5,678"\n', "`decimal`", "'1,234', which may", {"decimal": ","}, [1.234, 5.678]),
        ("1.234;1\n5.678;2\n", "`decimal`", "'1.234', which may", {"decimal": "."}, [1.234, 5.678]),
        (
            "7 1.234 -1,5e+28 2,5\n8 5.678 -2,5e-11 3,5\n",
            "`delimiter` or `decimal`",
            "'7 1.234 -1,5e+28 2,5' in line 1, where commas may also be decimal commas",
            {"decimal": ",", "delimiter": "space"},
            [7, 8],
        ),
        (
            "2020-01-01 1,5\n2020-01-02 2,5\n",
            "`delimiter` or `decimal`",
            "'2020-01-01 1,5' in line 1, where commas",
            {"decimal": ".", "header": 0},
            None,
        ),
        ("1.234,5\n5.678,9\n", "`delimiter` or `decimal`", "'1.234,5' in line 1", {"decimal": ","}, None),
        ("1 234\n2 345\n", "`delimiter`", "'1 234' in line 1", {"delimiter": "space"}, [1, 2]),
        ("1;2|3\n4;5|6\n", "one delimiter, or `delimiter`", "';' and '|'", {"delimiter": "|", "header": 0}, None),
        ("0,1,2\n5,6,7\n", "`header`", "'0,1,2' in line 1", {"header": 1}, [5]),
        ("0,1,2\n5,6,7\n", "`header`", "'0,1,2' in line 1", {"header": 0}, [0, 5]),
        ("2019;2020\n5;6\n", "`header`", "'2019,2020' in line 1", {"header": 1}, [5]),
        ("0\n1.5\n2.5\n", "`header`", "'0' in line 1", {"header": 0}, [0, 1.5, 2.5]),
        ("bad,7\n1,2\n3,4\n", "`header`", "'bad,7' in line 1", {"header": 1}, [1, 3]),
        (
            "x y\n1,5 2\n2,5 3\n",
            "`delimiter`, `decimal` or `header`",
            "1 in line 1 and 2 in line 2, split at ','",
            {"decimal": ",", "delimiter": "space"},
            [1.5, 2.5],
        ),
        ("x\nm/s\n1\n2\n", "`header`", "'m/s' in line 2", {"header": 2}, [1, 2]),
        ("By me\n\nx,y\n1,2\n", "`header`", "1 in line 1 and 2 in line 3", {"header": 2}, [1]),
    ],
)
def test_two_meanings_are_asked_about(file, refuses, content, expected, got, told, want):
    """The sentence names the line and the options; with them the file is read."""
    path = file(content)
    sentence = refuses(path)
    assert expected in sentence
    assert got in sentence
    if want is None:
        assert "got" in refuses(path, **told)
    else:
        np.testing.assert_array_equal(series.read_series(path, **told), want)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]
)
def test_encodings(file, encoding, ending):
    """With a mark or without; names come back, too."""
    content = EUROPE.replace("\n", ending).encode(encoding)
    np.testing.assert_array_equal(series.read_series(file(content), "Größe"), [7, 8])


@pytest.mark.parametrize("encoding", ["cp1251", "shift-jis", "gbk"])
def test_numbers_are_the_same_in_any_code_page(file, encoding):
    """Only names need the right one."""
    np.testing.assert_array_equal(series.read_series(file("x,имя\n1,да\n2,нет\n".encode(encoding)), "x"), [1, 2])


def test_gzip(file, refuses):
    """Read through; damage, a cut and too much are refused."""
    packed = gzip.compress(ETT.encode())
    np.testing.assert_array_equal(series.read_series(file(packed, "data.csv.gz"), "OT"), [30.5, 27.8])
    assert "a whole gzip file" in refuses(file(packed[:-9], "data.csv.gz"))
    assert "a whole gzip file" in refuses(file(ETT, "data.csv.gz"))


def test_a_gzip_of_far_more_is_refused(file, refuses, monkeypatch):
    """One line without an end, and lines without one."""
    from gatedrnn.tasks import _rows

    assert "lines of at most" in refuses(file(gzip.compress(b"1" * 2**25), "data.csv.gz"))
    monkeypatch.setattr(_rows, "MOST", 200_000)
    assert "200 kB in all; got more" in refuses(file(gzip.compress(b"1\n" * 200_000), "data.csv.gz"))


@pytest.mark.thinned(3)
@pytest.mark.parametrize("tail", ["5,6,7\n", "5\n", "x,6\n", '"5,6"\n', "5,inf\n", "5,1_0\n", "5,0x1\n"])
def test_what_comes_late_is_refused_with_its_line(file, refuses, tail):
    """Behind the lines from which the dialect is found out."""
    assert re.search(
        "in line 20,002", refuses(file("x,y\n" + "1,2\n" * 20_000 + tail), "1" if "x" not in tail[:1] else "0")
    )


def test_quotes_that_come_late_are_read(file):
    """By Python's reader instead of NumPy's."""
    got = series.read_series(file("x,y\n" + "1,2\n" * 20_000 + '3,"4"\n'), "y")
    np.testing.assert_array_equal(got, [*[2] * 20_000, 4])


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"delimiter": "ab"}, "`delimiter` must be one character"),
        ({"delimiter": ""}, "`delimiter` must be one character"),
        ({"delimiter": "1"}, "`delimiter` must be one character"),
        ({"delimiter": "."}, "`delimiter` must be one character"),
        ({"delimiter": 3}, "`delimiter` must be one character"),
        ({"decimal": ";"}, "`decimal` must be '.' or ','; got ';'"),
        ({"header": -1}, "`header` must be a whole number of at least 0; got -1"),
        ({"header": 2**70}, "`series` must be a file with at least one row of numbers"),
        ({"delimiter": ",", "decimal": ","}, "`series` must be"),
    ],
)
def test_dialects_that_are_none(file, told, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        series.read_series(file("a,b,c\n1,5,2,5\n"), **told)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(*[st.floats(-1e6, 1e6).map(lambda x: round(x, 5))] * 3), min_size=2, max_size=6),
    st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ","), ("|", "."), (" ", ".")]),
    st.booleans(),
)
def test_what_was_written_is_read_or_asked_about(tmp_path_factory, rows, dialect, named):
    """Never another number than the one that was written."""
    delimiter, decimal = dialect
    path = tmp_path_factory.mktemp("any") / "any.csv"
    lines = [delimiter.join("abc")] * named
    lines += [delimiter.join(repr(x).replace(".", decimal) for x in row) for row in rows]
    path.write_text("\n".join(lines))
    want = [row[1] for row in rows]
    try:
        got = series.read_series(path, "1")
    except ValueError:
        got = series.read_series(path, "1", delimiter=delimiter, decimal=decimal, header=int(named))
    np.testing.assert_array_equal(got, want)
