"""Tables of numbers, written in any dialect and read.

Of the kinds of faults that were found from outside, these would have shown: series that are guessed from one line;
names that are numbers, taken for data; decimal commas, marks between thousands, comments and lines of units; files that
take many times their size in memory.
"""

import gzip
import re

import numpy as np
from fuzz_settings import attempted, bounded, memory
from hypothesis import strategies as st

from gatedrnn.tasks.series import read_series

DELIMITERS, ENDS = [",", ";", "\t", "|", " "], ["\n", "\r\n"]
WORDS = ["date", "x", "pm2.5", "OT", "a b", "größe", "id", "n/a value"]
UNITS = ["m/s", "K", "°C", "count"]


@st.composite
def numbers(draw):
    """Values, and how each is written with a decimal point."""
    many = lambda elements: draw(st.lists(elements, min_size=6, max_size=6))
    kind = draw(st.sampled_from(["any", "fixed", "whole", "thousands"]))
    if kind == "any":
        return [(value, repr(value)) for value in many(st.floats(allow_nan=False, allow_infinity=False))]
    if kind == "fixed":
        digits = draw(st.integers(1, 4))
        return [(float(f"{value:.{digits}f}"), f"{value:.{digits}f}") for value in many(st.floats(-2e3, 2e3))]
    whole = many(st.integers(-9, 99_999))
    return [(float(value), f"{value:,}" if kind == "thousands" else str(value)) for value in whole]


@st.composite
def tables(draw):
    """Columns, their names, the text of a file that has them, and the dialect in which it is written."""
    count, rows = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    delimiter, decimal = draw(st.sampled_from(DELIMITERS)), draw(st.sampled_from(".,"))
    columns = [column[:rows] for column in draw(st.lists(numbers(), min_size=count, max_size=count))]
    swap = str.maketrans({".": ",", ",": "." if delimiter == ";" and count > 1 else ""} if decimal == "," else {})
    quote = delimiter != " " and draw(st.booleans())  # between blanks there are no quotes
    cell = lambda text: f'"{text}"' if quote or delimiter in text.strip() else text
    lines = [[cell(text.translate(swap)) for _, text in row] for row in zip(*columns, strict=True)]
    kind, labels = draw(st.sampled_from([None, "words", "counted", "years", "units"])), []
    kind = "words" if kind in ("counted", "years") and count == 1 else kind  # a lone 0 may be a number as well
    if kind is not None:
        words = draw(st.lists(st.sampled_from(WORDS), min_size=count, max_size=count, unique=True))
        counted = {"counted": range(count), "years": range(2019, 2019 + count)}.get(kind, words)
        labels = [*map(str, counted)]
        lines.insert(0, [*map(cell, labels)])
        if kind == "units":
            lines.insert(1, [draw(st.sampled_from(UNITS)) for _ in range(count)])
        if delimiter != " " and draw(st.booleans()):  # the index that libraries write, or dates
            index = draw(st.sampled_from([list(range(rows)), [f"2020-01-{i:02}" for i in range(1, rows + 1)]]))
            columns = [[(float(i), "") if isinstance(i, int) else (np.nan, "") for i in index], *columns]
            labels = ["", *labels]
            above = ["" for _ in range(len(lines) - rows)]
            lines = [[str(i), *line] for i, line in zip([*above, *index], lines, strict=True)]
    comment = draw(st.sampled_from([[], ["# made by hand, 1,5"], ["% x"]]))
    text = draw(st.sampled_from(ENDS)).join([*comment, *map(delimiter.join, lines), ""])
    asked = {"delimiter": delimiter, "decimal": decimal, "header": len(lines) - rows}
    return [[value for value, _ in column] for column in columns], labels, text, asked


@bounded(300)
def test_what_was_written_is_read_or_asked_about(tmp_path_factory, data):
    """Never other numbers; and a sentence that says where, or which options would tell."""
    columns, labels, text, asked = data.draw(tables())
    name, encoding = data.draw(st.sampled_from([("a.csv", "utf-8"), ("a.csv", "utf-16"), ("a.csv.gz", "utf-8")]))
    path, content = tmp_path_factory.mktemp("table") / name, text.encode(encoding)
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    column = str(data.draw(st.integers(0, len(columns) - 1)))
    want = columns[labels.index(column) if column in labels else int(column)]
    for told in ({}, asked):
        found, refused = attempted(lambda told=told: read_series(path, column, **told))
        if refused is None:
            assert found.tolist() == want, text
        else:
            assert re.search("line |`(header|delimiter|decimal)`", refused) and name in refused, (text, refused)


KINDS = ["int8", "uint16", "int16", "float32", "float64", "float16", "int64"]


@bounded(30)
def test_memory_of_arrays(tmp_path_factory, data):
    """A column takes no more than a few times the file, whatever its type, and comes back as it was."""
    count, kind = data.draw(st.integers(1, 4)), data.draw(st.sampled_from(KINDS))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows = rng.integers(0, 100, (data.draw(st.integers(1, 100_000)), count)).astype(kind)
    rows = np.asfortranarray(rows) if data.draw(st.booleans()) else rows
    path = tmp_path_factory.mktemp("arrays") / data.draw(st.sampled_from(["a.npy", "a.npz"]))
    np.save(path, rows) if path.suffix == ".npy" else np.savez(path, x=rows)
    column = data.draw(st.integers(0, count - 1))
    with memory(4 * path.stat().st_size + 2**20):
        found = read_series(path, str(column) if path.suffix == ".npy" or count == 1 else f"x.{column}")
    np.testing.assert_array_equal(found, rows[:, column])


@bounded(6)
def test_memory_of_text(tmp_path_factory, data):
    """The same of lines of numbers, beside what its dialect is found out from."""
    count, rows = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5)) ** 6 * 10
    values = np.random.default_rng(rows).integers(10, 10**6, (rows, count))
    path = tmp_path_factory.mktemp("text") / "a.csv"
    names = ",".join("abcd"[:count])
    np.savetxt(path, values, "%d", ",", header=names, comments="")
    with memory(4 * path.stat().st_size + 2**24):
        found = read_series(path, "a")
    np.testing.assert_array_equal(found, values[:, 0])
