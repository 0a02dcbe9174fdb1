"""One column of a file of arrays: NPY, NPZ and Parquet; no number passes through a list or a string.

What the header promises is compared with the file before anything is read.
"""

import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from gatedrnn._check import fail
from gatedrnn._files import named
from gatedrnn._memory import machine_bytes, readable

Find = Callable[[list[list[str]], int], int]
HEADER = 10_000  # bytes
_UNREADABLE = (ValueError, EOFError, TypeError, OverflowError, MemoryError, SyntaxError, tokenize.TokenError)
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, *_UNREADABLE)
_REAL = ("INT", "DECIMAL", "DOUBLE", "FLOAT", "BIGINT", "HUGEINT")


def read_npy(path: Path, find: Find) -> np.ndarray:
    """A column of an array [N] or [N, C], of its own type."""
    with path.open("rb") as file:
        shape, fortran, dtype = _header(file, path)
        offset, size = file.tell(), os.fstat(file.fileno()).st_size
        if dtype.itemsize * math.prod(shape) > size - offset:
            got = f"{shape} of {dtype}, of which {readable(size - offset)} are there, in {named(path)}"
            raise fail("series", "a NPY file with as much as its header says", got)
        column = find([], _columns(shape, dtype, path))
        try:
            array = np.memmap(file, dtype, "r", offset, shape, "F" if fortran else "C")
        except _UNREADABLE as error:
            raise fail("series", "a NPY file of numbers", f"{named(path)}: {error}") from None
        return _copied(array if array.ndim == 1 else array[:, column])


def read_npz(path: Path, find: Find) -> np.ndarray:
    """A column of an archive of arrays: `NAME` for an array [N], `NAME.0`, `NAME.1`, ... for one [N, C]."""
    places: list[tuple[zipfile.ZipInfo, int]] = []
    names: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as file:
                    shape, _, dtype = _header(file, path)
                count, name = _columns(shape, dtype, path), member.filename.removesuffix(".npy")
                _check_memory(math.prod(shape) * dtype.itemsize, path)
                places += [(member, i) for i in range(count)]
                names += [name] if len(shape) == 1 else [f"{name}.{i}" for i in range(count)]
            if not places:
                raise fail("series", "an archive with an array", f"none in {named(path)}")
            member, column = places[find([names], len(names))]
            with archive.open(member) as file:
                array = npy.read_array(file, allow_pickle=False, max_header_size=HEADER)
    except _DAMAGED as error:
        if str(error).startswith("`series`"):
            raise
        raise fail("series", "a NPZ file of numbers", f"{named(path)}: {error}") from None
    return _copied(array if array.ndim == 1 else array[:, column])


def read_parquet(path: Path, find: Find) -> np.ndarray:
    """A column of a Parquet file, without the others."""
    try:
        import duckdb
    except ImportError:
        raise ValueError("Parquet needs DuckDB, which is not installed: pip install duckdb.") from None
    offline: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    table = "read_parquet(?, hive_partitioning = false)"
    this = [_literal(path)]
    try:
        with duckdb.connect(config=offline) as database:
            kinds = database.execute(f"DESCRIBE SELECT * FROM {table}", this).fetchall()
            column = find([[name for name, *_ in kinds]], len(kinds))
            name, kind, *_ = kinds[column]
            if not any(real in kind for real in _REAL) or "[" in kind or "(" in kind.replace("DECIMAL(", ""):
                raise fail("series", "a column of real numbers", f"{kind} in column {column} of {named(path)}")
            quoted = '"' + name.replace('"', '""') + '"'
            (count,) = database.execute(f"SELECT count(*) FROM {table}", this).fetchall()[0]
            _check_memory(8 * count, path)
            found = database.execute(f"SELECT CAST({quoted} AS DOUBLE) AS x FROM {table}", this).fetchnumpy()["x"]
    except duckdb.Error as error:
        reason = str(error).splitlines()[0][:200].removesuffix(".")
        raise fail("series", "a Parquet file", f"{named(path)}: {reason}") from None
    return np.ma.filled(found, math.nan)


def _header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type, as the header says."""
    try:
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"version {version[0]}.{version[1]}")
        shape, fortran, dtype = read(file, max_header_size=HEADER)
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0][:200].removesuffix(".") if str(error) else "it ends too early"
        raise fail("series", "a NPY file of numbers", f"{named(path)}: {reason}") from None
    return shape, fortran, dtype


def _columns(shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> int:
    """How many there are; raises ValueError for what has none of numbers."""
    if len(shape) not in (1, 2) or dtype.kind not in "fiu" or any(isinstance(n, bool) or n < 0 for n in shape):
        raise fail("series", "an array [N] or [N, C] of real numbers", f"{dtype} {shape} in {named(path)}")
    if not math.prod(shape):
        raise fail("series", "a file with at least one row of numbers", f"none in {named(path)}")
    return 1 if len(shape) == 1 else shape[1]


def _check_memory(need: int, path: Path) -> None:
    if need > machine_bytes() // 2:
        got = f"{readable(need)} in {named(path)}, on a machine with {readable(machine_bytes())}"
        raise fail("series", "arrays that fit in memory, unpacked", got)


def _copied(column: np.ndarray) -> np.ndarray:
    """[N] in memory, in the machine's byte order; wider floats than float64 become float64."""
    wide = column.dtype.kind == "f" and column.dtype.itemsize > 8
    return np.array(column, np.float64 if wide else column.dtype.newbyteorder("="))


def _literal(path: Path) -> str:
    """The path, none of whose letters stands for others."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))
