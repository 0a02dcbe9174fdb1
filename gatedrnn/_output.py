"""Files that appear whole or not at all: written beside their place under a temporary name, then renamed."""

import contextlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatedrnn._check import fail


@contextlib.contextmanager
def whole_files(out: str | Path, argument: str = "out") -> Iterator[Path]:
    """A temporary folder whose files move into the folder `out` at the end, and vanish if the block fails.

    Raises:
        ValueError: `out`, which the message calls `argument`, cannot be made or written to.
    """
    out = Path(out)
    try:
        made = [folder for folder in (out, *out.parents) if not folder.exists()]
        out.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=out))
    except OSError as error:
        raise fail(argument, "a folder that can be written to", f"{str(out)!r}: {error.strerror}") from None
    try:
        yield draft
        files = sorted(draft.iterdir())
        taken = [name for file in files if (name := out / file.name).is_dir()]
        if taken:
            raise fail(argument, "a folder where files can be written", f"a folder in place of {str(taken[0])!r}")
        for file in files:
            os.replace(file, out / file.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        for folder in made:  # a folder made here goes again if nothing came into it
            with contextlib.suppress(OSError):
                folder.rmdir()


def check_writable(out: str | Path, argument: str = "out") -> None:
    """Raises ValueError where the folder `out` cannot be made or written to; leaves nothing behind."""
    with whole_files(out, argument):
        pass


def write_json(path: Path, value: Any) -> None:
    """Writes strict JSON, with null for a number that is not finite: the loss of a training that has diverged."""
    path.write_text(json.dumps(_finite(value), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
