"""Text as bytes, to be predicted: any UTF-8 file, or the help text that ships with Python (`pydoc_data.topics`).

symbols x_1 .. x_T        target_t = x_{t+1}        loss in nats per byte; bits are nats / ln 2
"""

import codecs
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._check import check_path, check_size, fail
from gatedrnn._files import named, regular
from gatedrnn.tasks._draw import windows_of
from gatedrnn.tasks._task import Batch, Constant, Task, one_less

SYMBOLS = 256
MOST = 2**30  # bytes of a text
BLOCK = 2**20  # bytes that are read at once
HELD_OUT = 10  # the last tenth of a text


def help_text() -> bytes:
    """The help topics that ship with Python, one after the other in alphabetical order: about 465,000 bytes."""
    from pydoc_data.topics import topics  # half a megabyte, needed by few

    return "\n\n".join(topics[name] for name in sorted(topics)).encode()


def read_text(path: str | Path) -> bytes:
    """The bytes of a UTF-8 text file.

    Raises:
        ValueError: the file cannot be read, is no regular one or larger than 1 GiB, is empty, is binary (holds a NUL
            byte) or is not UTF-8.
    """
    path = check_path("text", path)
    size = regular(path, "text", MOST, "text file")
    data, decoder = bytearray(), codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while block := file.read(min(BLOCK, size - len(data))):
                _check_text(block, data, decoder, path)
        _check_text(b"", data, decoder, path)
    except OSError as error:
        raise fail("text", "a readable text file", f"{named(path)}: {error.strerror}") from None
    if not data:
        raise fail("text", "a file with at least one byte", f"the empty file {named(path)}")
    return bytes(data)


def _check_text(block: bytes, data: bytearray, decoder: codecs.IncrementalDecoder, path: Path) -> None:
    """Adds a block to the data, or raises ValueError where it is no text; an empty one is the end."""
    if b"\0" in block:
        place = len(data) + block.index(b"\0")
        raise fail("text", "a text file", f"a binary one: {named(path)} has a NUL byte at offset {place:,}")
    pending = len(decoder.getstate()[0])
    data += block
    try:
        decoder.decode(block, final=not block)
    except UnicodeDecodeError as error:
        place = len(data) - len(block) - pending + error.start
        what = f"byte 0x{data[place]:02x} at offset {place:,} of {named(path)}"
        raise fail("text", "a UTF-8 file", what) from None


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


def prediction(data: bytes) -> Task:
    """The next byte at every step, from windows at random places of the text.

    Args:
        data: the text, such as `help_text()`; the last tenth is held out.

    Returns:
        A task of symbols; its chance loss is the entropy of single bytes, in nats.

    Raises:
        ValueError: `data` has fewer than 20 bytes.
    """
    if len(data) < 2 * HELD_OUT:
        raise fail("text", f"at least {2 * HELD_OUT} bytes, of which a tenth is held out", f"{len(data)} bytes")
    symbols = np.frombuffer(data, np.uint8)
    cut = len(symbols) - len(symbols) // HELD_OUT
    shares = np.bincount(symbols[:cut], minlength=SYMBOLS) / cut
    return Task(
        name="text",
        sample=_sample,
        chance=Constant(float(-(shares * np.log(np.maximum(shares, 1e-300))).sum())),
        memory=one_less,
        input_size=SYMBOLS,
        output_size=SYMBOLS,
        symbols=True,
        at_end=False,
        ahead=True,
        longest=len(symbols) - cut - 1,
        data=jnp.asarray(symbols[:cut]),
        held_out_data=jnp.asarray(symbols[cut:]),
    )


def _sample(key: Array, batch: int, steps: int, symbols: Any) -> Batch:
    stretch = windows_of(key, batch, steps + 1, symbols).astype(jnp.int32)  # [T + 1, B]
    return Batch(stretch[:-1], stretch[1:], jnp.ones((steps, batch), bool))
