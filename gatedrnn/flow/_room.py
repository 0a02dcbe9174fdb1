"""Whether what a measure holds at once fits into the device's memory, asked before it starts."""

import jax

from gatedrnn._check import fail
from gatedrnn._jax import is_static
from gatedrnn._memory import beyond_memory
from gatedrnn._sequence import Sequence
from gatedrnn.flow._frames import widths_of


def check_room(argument: str, sequence: Sequence, per_step: int = 0, inputs: int = 0, at_once: int = 0) -> None:
    """Raises ValueError where it would not fit; an estimate from below, of what is certainly held.

    Args:
        argument: what is to be smaller.
        sequence: the steps.
        per_step: how many numbers there are at each step for each number of the carry.
        inputs: and for each feature of the inputs.
        at_once: how many there are once for each number of the carry.
    """
    steps, batch, width = sequence.xs.shape
    if not all(map(is_static, (steps, batch))):
        return
    size = sum(widths_of(sequence.carry))
    item = max((part.dtype.itemsize for part in jax.tree.leaves(sequence.carry)), default=4)
    need = item * batch * (steps * (per_step * size + inputs * width) + at_once * size)
    beyond = beyond_memory(need)
    if beyond:
        sizes = f"{steps:,} steps, batch {batch:,}, {size:,} numbers in the carry and {width:,} features"
        raise fail(argument, "such that what is measured fits in memory", f"{sizes}, {beyond}")
