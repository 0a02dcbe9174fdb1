"""How long a segment is where nobody says: as long as its arrays stay near, as `Segmented.length` describes."""

import jax

from gatedrnn._cores import schedulable_cores
from gatedrnn._device import platform
from gatedrnn._jax import is_static
from gatedrnn._segments import nearest_divisor

ANY_LENGTH = 64  # steps per segment where sizes are not known


def default_length(steps: int, units: int, gates: int, of: str | None = None) -> int:
    """K for T = `steps` and B * H = `units` on a platform, by default the one at hand; see `Segmented.length`.

    A symbol of `jax.export` could be any number.
    """
    if not (is_static(steps) and is_static(units)):
        return ANY_LENGTH
    step = 4 * 6 * max(gates, 1) * max(units, 1)  # bytes; a cell need not name its gates
    if (of or platform()) == "cpu":
        shared = min(2**23 // step, 100) if schedulable_cores() > jax.local_device_count() else 0
        target = min(max(2**19 // step, shared, 25), 200)
    else:
        target = max(min(2**30 // step, 256), 16)
    if steps <= target:
        return max(steps, 1)
    found = nearest_divisor(steps, target)
    return nearest_divisor(steps - 1, target) if steps % found else found  # a rest of one step compiles sooner
