"""The scalars of a comparison, each said once: its name, its heading, its unit, its format, and what its absence means.

The JSON summary, the table of `gatedrnn compare`, the report's tables and the README's columns are made from these
rows. The levels at which a gradient counts as lost stand here too.
"""

import math
from typing import NamedTuple

USABLE = 3
"""Decades: a gradient within 10^-3 and 10^3 of its start counts as kept."""

FLOORS = {"float32": 38, "float64": 308}
"""Decades below 1 at which a norm turns to zero in a format, and above 1 at which it turns to infinity."""

LEVELS = {"lag_below_1e3": USABLE, **{f"lag_below_{name}": floor for name, floor in FLOORS.items()}}
"""Decades below its start at which a gradient has passed the level of a lag."""


class Scalar(NamedTuple):
    """One number of a run.

    Attributes:
        name: field of `Run`, and key of its JSON.
        title: heading of its column.
        unit: what it is counted in.
        form: format of a number; `,.0f` for whole ones.
        missing: what stands for None when seeds are put in order.
        absent: the same in words.
        short: heading where there is little room; "" leaves the column out there.
    """

    name: str
    title: str
    unit: str
    form: str
    missing: float
    absent: str
    short: str = ""

    @property
    def heading(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})"


SCALARS = {
    scalar.name: scalar
    for scalar in (
        Scalar("rate_log10_per_step", "rate", "decades per step", "+.1e", -math.inf, "undefined", "dec/step"),
        Scalar("half_life", "half-life", "steps", ",.1f", math.inf, "∞", "half"),
        Scalar("lag_below_1e3", "to a thousandth", "steps", ",.0f", math.inf, "not reached", "<1e-3"),
        Scalar("lag_below_float32", "to zero in float32", "steps", ",.0f", math.inf, "not reached", "<1e-38"),
        Scalar("lag_below_float64", "to zero in float64", "steps", ",.0f", math.inf, "not reached"),
        Scalar("lowest", "lowest norm", "decades from its start", "+z.2f", -math.inf, "−∞"),
        Scalar("highest", "highest norm", "decades from its start", "+z.2f", math.inf, "∞"),
        Scalar("lyapunov_max", "largest Lyapunov exponent", "nats per step", "+.1e", -math.inf, "−∞", "exponent"),
    )
}
