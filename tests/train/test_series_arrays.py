"""Series from archives and tables of arrays, hostile files, and how much memory a large one takes."""

import io
import os
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from gatedrnn.tasks import series

TWO = {"speed": np.arange(4.0), "table": np.arange(8, dtype=np.int16).reshape(4, 2)}


@pytest.mark.parametrize(
    ("column", "want"),
    [
        (None, [0, 1, 2, 3]),
        ("speed", [0, 1, 2, 3]),
        ("table.1", [1, 3, 5, 7]),
        ("1", [0, 2, 4, 6]),
        ("2", [1, 3, 5, 7]),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_columns(tmp_path, column, want, save):
    """By the array's name, with a number behind it where it has columns, or by number over all of them."""
    save(tmp_path / "data.npz", **TWO)
    np.testing.assert_array_equal(series.read_series(tmp_path / "data.npz", column), want)


def test_npz_refused(tmp_path, refuses):
    """Damage, no archive, no arrays, objects, a missing name."""
    path = tmp_path / "data.npz"
    np.savez(path, **TWO)
    assert "one of 'speed', 'table.0', 'table.1' or a number from 0 to 2; got 'x'" in refuses(path, "x")
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[:-30], whole.replace(b"NUMPY", b"NUMPI"), whole[:150] + b"x" + whole[151:]):
        path.write_bytes(damaged)
        refuses(path)
    np.savez(path, np.array([None], object))
    refuses(path)
    zipfile.ZipFile(path, "w").close()
    assert "an archive with an array" in refuses(path)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_promises_that_are_not_kept(tmp_path, refuses, suffix):
    """A header of more than the file holds, of more than the machine, or of 10 MB: refused before anything is read."""
    path = tmp_path / f"data.{suffix}"
    for shape in ("(10000000000,)", "(3, 1000000000000000000)"):
        stream = io.BytesIO()
        text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}\n".encode()
        stream.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"\0" * 80)
        _put(path, stream.getvalue())
        refuses(path)
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10,)}" + b" " * 10**7 + b"\n"
    _put(path, b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + b"\0" * 80)
    refuses(path)


def _put(path, content):
    if path.suffix == ".npy":
        path.write_bytes(content)
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)


@pytest.mark.parametrize("name", ["pipe.csv", "pipe.npy", "pipe.npz", "pipe.parquet", "pipe.csv.gz"])
def test_what_is_no_file_is_not_waited_for(tmp_path, refuses, name):
    """A pipe, a device, a link to one."""
    os.mkfifo(tmp_path / name)
    assert "got 'FILE': not a regular file" in refuses(tmp_path / name)
    (tmp_path / f"zero-{name}").symlink_to("/dev/zero")
    assert "got 'FILE': not a regular file" in refuses(tmp_path / f"zero-{name}")


@pytest.mark.parametrize("suffix", ["csv", "npy", "npz", "parquet"])
def test_a_sparse_file_is_not_read_to_its_end(tmp_path, suffix):
    """3 GB of nothing."""
    path = tmp_path / f"data.{suffix}"
    with path.open("wb") as file:
        file.truncate(3 * 10**9)
    with pytest.raises(ValueError, match="^`series` must be|^Parquet needs DuckDB"):
        series.read_series(path)


def test_names_of_any_length_stay_short_in_messages(tmp_path):
    """Ten million letters: the file's, the column's, a cell's."""
    for path, column in (("n" * 10**7 + ".csv", None), (tmp_path / "data.csv", "c" * 10**7)):
        (tmp_path / "data.csv").write_text("x,y\n1,2\n")
        with pytest.raises(ValueError, match="^`series` must be") as caught:
            series.read_series(path, column)
        assert len(str(caught.value)) < 1500


PEAK = """
import sys
import jax, numpy as np
from gatedrnn.tasks import series

def peak():
    with open("/proc/self/status") as file:
        return int(file.read().split("VmHWM:")[1].split()[0]) * 1024

jax.block_until_ready(jax.device_put(np.zeros(3)))
before = peak()
task = series.prediction(series.read_series(sys.argv[1], sys.argv[2]))
print(peak() - before, task.data.size + task.held_out_data.size)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the system does not say how much memory was taken")
@pytest.mark.parametrize(("dtype", "shape"), [("f8", (8_000_000,)), ("f4", (16_000_000,)), ("f8", (2_000_000, 4))])
def test_memory_for_arrays(tmp_path, dtype, shape):
    """At most three times the file, on the way to a task: nothing is a list, and nothing is widened as a whole."""
    path = tmp_path / "data.npy"
    np.save(path, np.random.default_rng(0).normal(size=shape).astype(dtype))
    done = subprocess.run([sys.executable, "-c", PEAK, path, "0"], capture_output=True, text=True, check=True)
    taken, count = map(int, done.stdout.split())
    assert count == shape[0]
    assert taken < 3 * path.stat().st_size


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u8", "f2", "f4", "f8", ">f8", ">i4"])
def test_standardised_whatever_the_type(tmp_path, dtype):
    """To float64's last digit what NumPy's mean and deviation of the widened values give."""
    values = (np.random.default_rng(0).normal(size=100_003) * 20 + 60).clip(0, 120).astype(dtype)
    np.save(tmp_path / "data.npy", values)
    task = series.prediction(series.read_series(tmp_path / "data.npy"))
    wide, cut = values.astype(np.float64), len(values) - len(values) // 5
    want = ((wide - wide[:cut].mean()) / wide[:cut].std()).astype(np.float32)
    np.testing.assert_array_equal(np.concatenate([task.data, task.held_out_data]), want)


def _parquet(path, columns):
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as database:
        database.execute(f"COPY (SELECT {columns} FROM range(5) AS t(i)) TO '{path}' (FORMAT parquet)")


@pytest.mark.parametrize("name", ["data.parquet", "a [1] * ?.parquet", "it's.pq"])
def test_parquet_columns(tmp_path, name):
    """By name or number, of any real type, whatever letters the file's name has."""
    plain = tmp_path / "plain"
    _parquet(plain, 'i, i / 2 AS "a ""b""", i::DECIMAL(9, 2) AS c, DATE \'2020-01-01\' + i::INTEGER AS day')
    plain.rename(tmp_path / name)
    for column, want in ((None, [0, 1, 2, 3, 4]), ('a "b"', [0, 0.5, 1, 1.5, 2]), ("2", [0, 1, 2, 3, 4])):
        np.testing.assert_array_equal(series.read_series(tmp_path / name, column), want)


def test_parquet_refused(tmp_path, refuses):
    """Dates, words, what is missing, damage."""
    path = tmp_path / "data.parquet"
    _parquet(path, "i, DATE '2020-01-01' + i::INTEGER AS day, 'x' AS word, nullif(i, 3) AS gap, [i] AS list")
    for column, got in (
        ("day", "DATE in column 1"),
        ("word", "VARCHAR in column 2"),
        ("gap", "nan in row 3"),
        ("list", "BIGINT.. in column 4"),
        ("x", "a column, one of 'i', 'day'"),
    ):
        assert got.replace("..", "[]") in refuses(path, column)
    path.write_bytes(path.read_bytes()[:-20])
    assert "a Parquet file" in refuses(path)


def test_parquet_without_its_library(tmp_path, monkeypatch):
    """The sentence says what to install."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="pip install duckdb"):
        series.read_series(tmp_path / "data.parquet")


def test_a_dialect_of_arrays_is_refused(tmp_path):
    """They have none."""
    np.save(tmp_path / "data.npy", np.arange(3.0))
    for told in ({"delimiter": ","}, {"decimal": "."}, {"header": 0}):
        with pytest.raises(ValueError, match=f"^`{next(iter(told))}` must be left out: it is for text files"):
            series.read_series(tmp_path / "data.npy", **told)
