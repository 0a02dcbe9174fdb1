"""The runs, grouped: one configuration per input, cell and initialisation, with its names in words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gatedrnn import plots
from gatedrnn.flow._groups import KEYS, Group, Spread, grouped as groups_of
from gatedrnn.flow._scalars import FLOORS, USABLE
from gatedrnn.flow.decay import word_of

Run = Mapping[str, Any]

LEVELS = {
    "lag_below_1e3": plots.ten_to(-USABLE),
    **{f"lag_below_{name}": f"{plots.ten_to(-floor)} (zero in {name})" for name, floor in FLOORS.items()},
}


class Configuration(Group):
    """The runs of one input, cell and initialisation, one per seed."""

    @property
    def name(self) -> str:
        """The cell and how it was initialised: "LSTM chrono"."""
        return f"{plots.cell_title(self.cell)} {self.init}"

    @property
    def title(self) -> str:
        """The name and the input: "LSTM chrono, silent"."""
        return f"{self.name}, {plots.input_title(self.input)}"

    @property
    def horizon(self) -> int:
        """The largest lag, in steps."""
        return max(int(run["horizon"]) for run in self.runs)

    @property
    def end(self) -> Spread:
        """log10 of the gradient norm at the largest lag, -inf where it is exactly zero."""
        return Spread(*(float(part[-1]) for part in self.profile()))

    @property
    def left(self) -> str:
        """The median gradient norm at the largest lag, in words."""
        return plots.power(self.end.median)

    @property
    def kept(self) -> bool:
        """Whether the gradient norm stays usable at every lag, in the median."""
        return word_of(self.scalar("lowest").median, self.scalar("highest").median) == "isometric"

    def verdicts(self) -> str:
        """The seeds' verdicts; with counts where they differ."""
        counts = Counter(run["verdict"] for run in self.runs)
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{word} ({count} of {len(self.runs)} seeds)" for word, count in counts.most_common())


def grouped(runs: Sequence[Run]) -> list[Configuration]:
    if not runs:
        raise ValueError("`runs` must hold at least one run to report; got none.")
    return [Configuration(*group) for group in groups_of(plots.in_order(runs, *KEYS))]


def runs_of(configurations: Sequence[Configuration]) -> list[Run]:
    return [run for one in configurations for run in one.runs]


def group_by(configurations: Sequence[Configuration], *fields: str) -> dict[tuple[str, ...], list[Configuration]]:
    groups: dict[tuple[str, ...], list[Configuration]] = {}
    for one in configurations:
        groups.setdefault(tuple(getattr(one, field) for field in fields), []).append(one)
    return groups


def decades_between(before: Configuration, after: Configuration) -> float:
    """Decades by which the gradient norm at the largest lag differs; 0 between two zeros."""
    ends = before.end.median, after.end.median
    return 0.0 if ends[0] == ends[1] else ends[1] - ends[0]
