"""Files of others: what they are and how large they are is looked at before the first byte is believed."""

import os
import stat
from pathlib import Path

from gatedrnn._check import fail
from gatedrnn._memory import readable

_LONGEST = 600  # letters of a name


def named(path: str | Path) -> str:
    """How a path, or whatever else came from outside, stands in a message: quoted, and not at any length."""
    whole = str(path)
    return repr(whole if len(whole) <= _LONGEST else f"{whole[: _LONGEST // 2]}...{whole[-_LONGEST // 2 :]}")


def regular(path: str | Path, argument: str, most: int | None = None, kind: str = "file") -> int:
    """The size of a regular file.

    Args:
        path: followed where it is a link; a pipe, which may never end, and a device are none.
        argument: what the message calls it.
        most: bytes; None for any size.
        kind: what the message asks for.

    Raises:
        ValueError: it cannot be looked at, is no regular file, or is larger.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # the latter for a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise fail(argument, f"a readable {kind}", f"{named(path)}: {reason}") from None
    if stat.S_ISDIR(status.st_mode):
        raise fail(argument, f"a readable {kind}", f"{named(path)}: Is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise fail(argument, "a regular file", named(path))
    if most is not None and status.st_size > most:
        raise fail(argument, f"a {kind} of at most {readable(most)}", f"{readable(status.st_size)} in {named(path)}")
    return status.st_size
