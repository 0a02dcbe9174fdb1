"""Text as bytes: any UTF-8 file, or the help text that ships with Python (`pydoc_data.topics`)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._check import check_size, fail

SYMBOLS = 256


def help_text() -> bytes:
    """The help topics that ship with Python, one after the other in alphabetical order: about 465,000 bytes."""
    from pydoc_data.topics import topics  # half a megabyte, needed by few

    return "\n\n".join(topics[name] for name in sorted(topics)).encode()


def read_text(path: str | Path) -> bytes:
    """The bytes of a UTF-8 text file.

    Raises:
        ValueError: the file cannot be read, is empty, is binary (holds a NUL byte) or is not UTF-8.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise fail("text", "a readable text file", f"{str(path)!r}: {error.strerror}") from None
    if not data:
        raise fail("text", "a file with at least one byte", f"the empty file {str(path)!r}")
    if b"\0" in data:
        place = data.index(b"\0")
        raise fail("text", "a text file", f"a binary one: {str(path)!r} has a NUL byte at offset {place:,}")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        what = f"byte 0x{data[error.start]:02x} at offset {error.start:,} of {str(path)!r}"
        raise fail("text", "a UTF-8 file", what) from None
    return data


def windows(data: bytes, steps: int, batch: int) -> np.ndarray:
    """`batch` stretches of `steps` bytes, spread evenly from the beginning of `data` to its end.

    Returns:
        uint8 [T, B].

    Raises:
        ValueError: `data` is shorter than `steps`, or a size is not a whole number of at least 1.
    """
    check_size("horizon", steps)
    check_size("batch", batch)
    if len(data) < steps:
        raise fail("text", f"at least as long as the horizon, {steps:,} bytes", f"{len(data):,} bytes")
    symbols = np.frombuffer(data, np.uint8)
    starts = np.linspace(0, len(data) - steps, batch).astype(int)  # [B]
    return np.stack([symbols[start : start + steps] for start in starts], axis=1)


def one_hot(symbols: np.ndarray, dtype: DTypeLike = jnp.float32) -> Array:
    """Bytes [T, B] -> [T, B, 256]."""
    return jax.nn.one_hot(symbols, SYMBOLS, dtype=dtype)


def embed(symbols: np.ndarray, width: int, dtype: DTypeLike = jnp.float32) -> Array:
    """Bytes [T, B] -> [T, B, D = `width`]: one fixed vector of standard normal entries per byte value."""
    table = jax.random.normal(jax.random.key(0), (SYMBOLS, width), dtype)
    return table[symbols]
