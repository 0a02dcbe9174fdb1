"""How a single cell is run, in words: what methods that choose say of their choice."""

from typing import NamedTuple

ALONE = "the cell has `step` alone"
ASKED = "it was asked for"


class Way(NamedTuple):
    """A choice.

    Attributes:
        forward: what runs where no derivative is asked for: `scan`, `segments` or `kernel`.
        gradient: what runs where one is, likewise.
        length: steps per segment, K, or None.
        why: in one sentence.
    """

    forward: str
    gradient: str
    length: int | None
    why: str
