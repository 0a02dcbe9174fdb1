"""Text as bytes: what is read, what is refused and in which words, and how bytes become vectors."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from gatedrnn.tasks import text

fuzz = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_help_text_is_real_and_long():
    """Python's own topics, all of them: hundreds of kilobytes of English in UTF-8."""
    data = text.help_text()
    assert len(data) > 300_000
    words = data.decode().split()
    assert words.count("the") > 1000
    assert b"\0" not in data
    assert b'The "assert" statement' in data
    assert data == text.help_text()


def test_help_text_passes_its_own_reader(tmp_path):
    """The default is a text file like any other."""
    file = tmp_path / "help.txt"
    file.write_bytes(text.help_text())
    assert text.read_text(file) == text.help_text()


@pytest.mark.parametrize(
    "data",
    [
        b"a",
        "Grüße, 世界 🎈\n".encode(),
        b"\xef\xbb\xbfwith a mark",
        b"\n\r\n\t\x1b\x7f",
        "\U0010ffff".encode(),
        b"ab\r\ncd",
    ],
    ids=["one byte", "unicode", "byte order mark", "controls", "last character", "line ends"],
)
def test_reads_bytes_as_they_are(tmp_path, data):
    """Nothing is dropped, translated or decoded."""
    file = tmp_path / "a file.txt"
    file.write_bytes(data)
    assert text.read_text(file) == text.read_text(str(file)) == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "at least one byte; got the empty file '{}'"),
        (b"abc\0def", "a text file; got a binary one: '{}' has a NUL byte at offset 3"),
        ("Grüße".encode("latin-1"), "a UTF-8 file; got byte 0xfc at offset 2 of '{}'"),
        (b"ab\xff", "a UTF-8 file; got byte 0xff at offset 2 of '{}'"),
        ("cut 世".encode()[:-1], "a UTF-8 file; got byte 0xe4 at offset 4 of '{}'"),
        (b"\xed\xa0\x80", "a UTF-8 file; got byte 0xed at offset 0 of '{}'"),
        (b"\xc0\xaf", "a UTF-8 file; got byte 0xc0 at offset 0 of '{}'"),
        ("wide".encode("utf-16-le"), "a text file; got a binary one: '{}' has a NUL byte at offset 1"),
        (b"x" * 1500 + b"\xff", "a UTF-8 file; got byte 0xff at offset 1,500 of '{}'"),
    ],
    ids=["empty", "NUL", "latin-1", "0xff", "cut short", "surrogate", "overlong", "UTF-16", "far in"],
)
def test_refuses_what_is_no_text(tmp_path, data, message):
    """One sentence: the argument, what was expected, what came and where."""
    file = tmp_path / "bad.txt"
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"^`text` must be .*; got .*\.$") as caught:
        text.read_text(file)
    assert message.format(file) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent", "No such file or directory"),
        ("folder", "Is a directory"),
        ("file/below", "Not a directory"),
        ("dangling", "No such file or directory"),
        ("loop", "Too many levels of symbolic links"),
        ("n" * 300, "File name too long"),
    ],
)
def test_refuses_what_cannot_be_read(tmp_path, name, reason):
    """The system's reason is passed on, in the same sentence."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("text")
    (tmp_path / "dangling").symlink_to("absent")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ValueError, match="^`text` must be a readable text file; got ") as caught:
        text.read_text(tmp_path / name)
    assert f"'{tmp_path / name}': {reason}" in str(caught.value)


def test_a_file_name_of_any_bytes(tmp_path):
    """A name that is no UTF-8 is read all the same, and named in the message without harm."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.txt")
    with pytest.raises(ValueError, match="No such file") as caught:
        text.read_text(path)
    assert str(caught.value).isprintable()
    with open(path, "wb") as file:
        file.write(b"fine")
    assert text.read_text(path) == b"fine"


def test_what_is_binary_is_not_read_to_its_end(tmp_path):
    """Nor is what is too large read at all, or a pipe waited for."""
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**29)
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 3 * 10**9)
    os.mkfifo(tmp_path / "pipe")
    for name, got in (
        ("sparse", "NUL byte at offset 0"),
        ("large", "3 GB, where at most"),
        ("pipe", "not a regular file"),
    ):
        with pytest.raises(ValueError, match=f"^`text` must be .*{got}"):
            text.read_text(tmp_path / name)


@pytest.mark.parametrize("tail", ["é", "世", "\U0010ffff"])
def test_characters_across_blocks(tmp_path, monkeypatch, tail):
    """A character that two blocks share is whole; one that is cut at the end is named by its first byte."""
    monkeypatch.setattr(text, "BLOCK", 4)
    data = ("abc" + tail * 5).encode()
    (tmp_path / "data").write_bytes(data)
    assert text.read_text(tmp_path / "data") == data
    (tmp_path / "data").write_bytes(data[:-1])
    place = 3 + 4 * len(tail.encode())
    with pytest.raises(ValueError, match=f"got byte 0x{data[place]:02x} at offset {place} of"):
        text.read_text(tmp_path / "data")


@fuzz
@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_in_one_sentence(tmp_path, data):
    """Every file is either a text, returned as it is, or a ValueError; nothing else happens."""
    file = tmp_path / "any"
    file.write_bytes(data)
    try:
        wanted = data.decode()
    except UnicodeDecodeError:
        wanted = ""
    if wanted and "\0" not in wanted:
        assert text.read_text(file) == data
    else:
        with pytest.raises(ValueError, match=r"^`text` must be .*; got .*\.$"):
            text.read_text(file)


def test_windows_run_from_beginning_to_end():
    """Evenly spread; the first starts at the first byte, the last ends with the last."""
    got = text.windows(bytes(range(10)), 4, 3)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got.T, [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]])


@fuzz
@given(st.binary(min_size=1, max_size=50), st.data())
def test_every_window_is_a_piece_of_the_text(data, draw):
    """Any text, horizon and batch: columns are stretches of it, in order, and the two ends are among them."""
    steps, batch = draw.draw(st.integers(1, len(data))), draw.draw(st.integers(1, 9))
    columns = [column.tobytes() for column in text.windows(data, steps, batch).T]
    assert len(columns) == batch
    assert all(column in data and len(column) == steps for column in columns)
    assert columns[0] == data[:steps]
    if batch > 1:
        assert columns[-1] == data[-steps:]


def test_windows_errors():
    """Too short, or a size that is none."""
    with pytest.raises(ValueError, match="`text` must be at least as long as the horizon, 1,001 .*; got 1,000 "):
        text.windows(b"a" * 1000, 1001, 1)
    for steps, batch, name in (
        (0, 1, "horizon"),
        (-5, 1, "horizon"),
        (1.5, 1, "horizon"),
        (1, 0, "batch"),
        (1, "2", "batch"),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 1"):
            text.windows(b"abc", steps, batch)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_one_hot(dtype):
    """A one at the byte's value, zeros elsewhere, for each of the 256 values."""
    symbols = np.arange(256, dtype=np.uint8).reshape(128, 2)
    got = text.one_hot(symbols, dtype)
    assert (got.shape, got.dtype) == ((128, 2, 256), dtype)
    np.testing.assert_array_equal(np.asarray(got, np.float32).reshape(256, 256), np.eye(256, dtype=np.float32))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_embedded(dtype):
    """Equal bytes have equal vectors, different bytes others, of standard normal entries, the same each time."""
    symbols = np.arange(256, dtype=np.uint8)[:, None]
    got = text.embed(symbols, 32, dtype)
    assert (got.shape, got.dtype) == ((256, 1, 32), dtype)
    table = np.asarray(got[:, 0], np.float64)
    assert len(np.unique(table, axis=0)) == 256
    assert abs(table.mean()) < 4 / table.size**0.5
    assert abs(table.std() - 1) < 3 / table.size**0.5
    some = np.frombuffer(b"abracadabra", np.uint8)[:, None]
    np.testing.assert_array_equal(text.embed(some, 32, dtype), jnp.asarray(table, dtype)[some])


def test_float64_vectors():
    """With x64 the vectors are float64, not widened float32."""
    with jax.enable_x64(True):
        symbols = np.frombuffer(b"ab", np.uint8)[:, None]
        assert text.one_hot(symbols, "float64").dtype == "float64"
        embedded = np.asarray(text.embed(symbols, 4, "float64"))
    assert (embedded != embedded.astype(np.float32)).all()
