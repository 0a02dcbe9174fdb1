"""Files of others, looked at before their first byte is believed; and folders that one process has to itself."""

import contextlib
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gatedrnn._check import fail
from gatedrnn._memory import readable

LOCK = ".gatedrnn.lock"
LONGEST = 600  # letters of a name in a message


def named(path: str | Path) -> str:
    """How a path, or whatever else came from outside, stands in a message: quoted, and not at any length."""
    whole = str(path)
    return repr(whole if len(whole) <= LONGEST else f"{whole[: LONGEST // 2]}...{whole[-LONGEST // 2 :]}")


def check_regular(path: str | Path, most: float = math.inf) -> int:
    """The size of a file, in bytes; nothing of it is read.

    Raises:
        OSError: there is none.
        ValueError: it is a folder, or is no regular file, whose bytes may never come or never end; or it has more than
            `most` bytes.
    """
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise ValueError("Is a directory")
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("not a regular file")
    if found.st_size > most:
        raise ValueError(f"{readable(found.st_size)}, where at most {readable(most)} can be")
    return found.st_size


def regular(path: str | Path, argument: str, most: float = math.inf, kind: str = "file") -> int:
    """The same of what the user calls `argument`, a `kind` of file; everything raised is a ValueError that says so."""
    try:
        return check_regular(path, most)
    except (OSError, ValueError) as error:  # the latter also for a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise fail(argument, f"a readable {kind}", f"{named(path)}: {reason}") from None


def read_regular(path: str | Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes; raises as `check_regular` does."""
    size = check_regular(path, most)
    with open(path, "rb") as file:
        data = file.read(size + 1)  # as much as is asked for is set aside beforehand
    if len(data) > size:
        raise ValueError(f"more than {readable(size)}, and growing")
    return data


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two names are of one file: by another spelling, a link to it, or a second name of it."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one is not there
        return os.path.realpath(one) == os.path.realpath(other)


@contextlib.contextmanager
def made_folder(folder: str | Path, argument: str) -> Iterator[Path]:
    """`folder`, made if it is not there; what was made goes again at the end if nothing has come into it.

    Raises:
        ValueError: `folder`, which the message calls `argument`, cannot be made.
    """
    folder = Path(folder)
    try:
        made = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # a name with a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        raise fail(argument, "a folder that can be written to", f"{str(folder)!r}: {reason}") from None
    try:
        yield folder
    finally:
        for each in made:
            with contextlib.suppress(OSError):
                each.rmdir()


@contextlib.contextmanager
def locked(folder: str | Path, argument: str = "folder") -> Iterator[None]:
    """Keeps `folder` to this thread, which may lock it again within; the end of the process ends the lock, too.

    Raises:
        ValueError: another process or thread has it, or it cannot be written to.
    """
    from filelock import FileLock, Timeout

    with made_folder(folder, argument):
        path = Path(os.path.realpath(folder)) / LOCK
        lock = FileLock(path, timeout=0, is_singleton=True)
        within = lock.is_locked
        try:
            lock.acquire()
            if not path.exists():  # the one before removed it between its opening and its locking here
                lock.release()
                lock.acquire()
        except Timeout:
            raise fail(argument, "a folder that no other run is using", repr(str(folder))) from None
        except OSError as error:
            raise fail(argument, "a folder that can be written to", f"{str(folder)!r}: {error.strerror}") from None
        try:
            yield
        finally:
            if not within:
                with contextlib.suppress(OSError):  # where an open file cannot be removed, releasing it does
                    path.unlink()
            lock.release()
