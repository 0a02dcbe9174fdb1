"""A file of the user's, cut into the stretches that a model reads for an inspection, and what is asked of it there.

stretch: T steps that are read, the first of them up to the one that is asked for, the others spread over the file
"""

from typing import Any, NamedTuple

import numpy as np

from gatedrnn._check import fail
from gatedrnn._words import counted

LONGER = 32  # runs by which the states beyond the trained length are known: their first steps say what is usual


class Stretches(NamedTuple):
    """Where they are in a file of N steps.

    Attributes:
        starts: of each, [B]; the first ends before the step that is asked for.
        steps: T.
        longer: starts of longer ones, for the states that are met there; none where the file has no such.
        reach: steps of those.
        notes: what came out otherwise than asked.
    """

    starts: list[int]
    steps: int
    longer: list[int]
    reach: int
    notes: list[str]

    def of(self, data: Any) -> tuple[Any, Any]:
        """Steps [N, ...] -> those that are read, and those that follow each, [T, B, ...]."""
        cut = np.stack([data[start : start + self.steps + 1] for start in self.starts], axis=1)
        return cut[:-1], cut[1:]

    def far(self, data: Any) -> Any:
        """Steps [N, ...] -> the longer ones, [T', B', ...]; None without any."""
        if not self.longer:
            return None
        return np.stack([data[start : start + self.reach] for start in self.longer], axis=1)


def stretches(count: int, horizon: int, batch: int, at: int | None, trained: int | None, kind: str) -> Stretches:
    """Cuts a file of so many steps.

    Args:
        count: N, of which the last can be asked for.
        horizon: steps of a stretch, at most.
        batch: stretches, at most.
        at: the step that is asked for; the last by default.
        trained: steps of a sequence in training, where it is known.
        kind: what a step is called: byte, row.

    Raises:
        ValueError: there are fewer than two steps, or none to be read before the one that is asked for.
    """
    if count < 2:
        raise fail("text" if kind == "byte" else "series", f"of at least two {kind}s", f"{count}")
    last = count - 1 if at is None else at
    if not 1 <= last < count:
        raise fail("at", f"a {kind} from 1 to {count - 1:,}, before which something is read", f"{last:,}")
    steps, notes = min(horizon, last), []
    if steps < horizon:
        notes.append(f"Before {kind} {last:,} there is room for a stretch of {counted(steps, kind)}, not {horizon:,}.")
    first, end = last - steps, count - 1 - steps
    spread = _spread(end, batch)
    if first not in spread:
        spread = _spread(end, max(batch - 1, 1))
    starts = [first, *(start for start in spread if start != first)][:batch]
    if len(starts) < batch:
        notes.append(f"Stretches of {counted(steps, kind)} that differ: {len(starts)} of the {batch} asked for.")
    reach = 0 if trained is None else min(10 * trained, count)
    longer = []
    if trained is not None and reach > trained:
        longer = _spread(count - reach, LONGER)
    return Stretches(starts, steps, longer, reach, notes)


def _spread(end: int, count: int) -> list[int]:
    """Whole numbers from 0 to `end`, evenly, each once."""
    return [int(place) for place in np.unique(np.linspace(0, end, count).astype(int))]


def trained_length(about: Any) -> int | None:
    """The length of a training's sequences, where what is said of a model tells it."""
    found = about.get("horizon")
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None


def read_bytes(path: Any, model: Any, about: Any) -> np.ndarray:
    """The bytes of a text, [N], for a model of text.

    Raises:
        ValueError: the file is none, or the model of something else.
    """
    from gatedrnn.tasks import text

    if (model.input_size, model.output_size) != (text.SYMBOLS,) * 2 or model.embedding_size is None:
        raise fail("model", "one trained on text", f"one trained on {about.get('task', 'features')!r}")
    return np.frombuffer(text.read_text(path), np.uint8)


def read_rows(of: Any, model: Any, about: Any) -> tuple[np.ndarray, Any]:
    """The rows of a series, float32 [N, C] of mean 0 and deviation 1 as in training, and their units.

    Raises:
        ValueError: the file has no such columns, or the model was trained on something else.
    """
    from gatedrnn.cli._prepare import read_standardised
    from gatedrnn.tasks._units import Units

    units = Units.read(about)
    sizes = len(units.names), len(units.predicted)
    if (model.input_size, model.output_size) != sizes or model.embedding_size is not None:
        raise fail("model", "of as many columns as its JSON says", f"{model.input_size} and {model.output_size}")
    return read_standardised(of, units), units
