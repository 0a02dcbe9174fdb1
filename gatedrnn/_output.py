"""Files that appear whole or not at all: written beside their place under a temporary name, then renamed."""

import contextlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gatedrnn._check import fail
from gatedrnn._files import made_folder, same_file


@contextlib.contextmanager
def whole_files(out: str | Path, argument: str = "out") -> Iterator[Path]:
    """A temporary folder whose files move into the folder `out` at the end, and vanish if the block fails.

    Raises:
        ValueError: `out`, which the message calls `argument`, cannot be made or written to.
    """
    with made_folder(out, argument) as out:
        try:
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
        except OSError as error:  # a full disk, which says no name
            files = sorted(draft.iterdir(), key=lambda file: file.stat().st_mtime_ns)
            named = [Path(error.filename)] if isinstance(error.filename, str) else files[-1:]
            place = out.joinpath(*(file.name for file in named))
            raise fail(argument, "a folder that can be written to", f"{str(place)!r}: {error.strerror}") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def check_writable(out: str | Path, argument: str = "out") -> None:
    """Raises ValueError where the folder `out` cannot be made or written to; leaves nothing behind."""
    with whole_files(out, argument):
        pass


def check_free(argument: str, paths: Iterable[Path], inputs: Mapping[str, str], force: bool) -> None:
    """Looks for what files to be written would destroy.

    Args:
        argument: what says where they go.
        paths: the files.
        inputs: files that are read, by the argument that names each; a model's weights with the JSON beside them.
        force: whether other files may be replaced; inputs never are.

    Raises:
        ValueError: one is an input, or is there and `force` is not set.
    """
    for path in paths:
        for name, read in inputs.items():
            beside = Path(read).with_suffix(".json") if read.endswith(".safetensors") else read
            if same_file(path, read) or same_file(path, beside):
                raise fail(argument, f"apart from `{name}`, which is only read", f"{str(path)!r} as both")
        if not force and os.path.lexists(path):
            raise fail(argument, "free of what other runs left, or `force` given to replace it", repr(str(path)))


def write_json(path: Path, value: Any) -> None:
    """Writes strict JSON, with null for a number that is not finite: the loss of a training that has diverged."""
    path.write_text(json.dumps(_finite(value), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
