"""Records of a training on disk: a line of JSON each, whole at every moment; and scalars for TensorBoard."""

import importlib
import json
import os
from collections.abc import Iterator
from typing import Any

from gatedrnn._check import check_path, fail
from gatedrnn._files import named

BLOCK = 1 << 16


class Lines:
    """A file of JSON lines that is only ever added to, a whole line at a time.

    What a killed run left of its last line is cut off before the first is added.
    """

    def __init__(self, path: Any, argument: str) -> None:
        self.path = check_path(argument, path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a+b") as file:
                file.truncate(_whole(file))
        except OSError as error:
            raise fail(argument, "a file that can be written to", f"{named(path)}: {error.strerror}") from None

    def add(self, record: dict[str, Any]) -> None:
        """Strict JSON in one write."""
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        with open(self.path, "ab", buffering=0) as file:
            file.write(line)


def _whole(file: Any) -> int:
    """How many bytes of a file are lines that end."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(end - BLOCK, 0)
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0


def monitored(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    r"""What `monitor` wrote: its records, by step; of a step that was run again after a restart, the last.

    A half line at the end, of a run that was killed or is writing, is left out.

    Args:
        path: the file.

    Raises:
        ValueError: it cannot be read, or another line is no JSON.

    Example:
        >>> import gatedrnn as gr
        >>> with open("run.jsonl", "w") as file:
        ...     print('{"step": 0, "loss": 2.5}', '{"step": 100, "lo', sep="\n", end="", file=file)
        >>> gr.flow.monitored("run.jsonl")
        [{'step': 0, 'loss': 2.5}]
    """
    place = check_path("path", path)
    try:
        data = place.read_bytes()
    except OSError as error:
        raise fail("path", "a readable file", f"{named(place)}: {error.strerror}") from None
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        try:
            record = json.loads(line)
            found[record["step"], record.get("event", "")] = record
        except (ValueError, TypeError, KeyError, AttributeError):
            raise fail("path", "a file of `monitor`", f"line {number} of {named(place)}") from None
    return [found[key] for key in sorted(found)]


def board(folder: Any) -> Any:
    """A writer of TensorBoard's files, by tensorboardX or torch; imported here and nowhere else.

    Raises:
        ValueError: neither is installed.
    """
    place = check_path("tensorboard", folder)
    for module in ("tensorboardX", "torch.utils.tensorboard"):
        try:
            return importlib.import_module(module).SummaryWriter(str(place))
        except ImportError:
            continue
    raise fail("tensorboard", "None where neither tensorboardX nor torch with tensorboard is installed", named(place))


def scalars(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a record, by its place, such as `gates/forget/mean`; profiles are none."""
    for name, value in record.items():
        place = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from scalars(value, f"{place}/")
        elif isinstance(value, list) and name == "exponents":
            yield from ((f"{place}/{i}", each) for i, each in enumerate(value) if each is not None)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield place, float(value)
