"""What a model of a series reads and predicts, and in which units: kept beside its weights, read for a forecast.

about["columns"] = {"names": [C], "mean": [C], "deviation": [C], "predicted": [places]}
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from gatedrnn._check import fail, shown


class Units(NamedTuple):
    """Columns, their standardisation, and which of them are predicted.

    Attributes:
        names: of the columns, C of them.
        mean: of the training part, in each column's own units.
        deviation: the same.
        predicted: places of the predicted columns among them, in order.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    predicted: tuple[int, ...]

    def scaled(self, values: Any) -> np.ndarray:
        """Values [N] or [N, C] in their own units -> float64 [N, C], of mean 0 and deviation 1 where it was trained.

        Raises:
            ValueError: there are not C columns.
        """
        found = np.asarray(values, np.float64)
        found = found[:, None] if found.ndim == 1 else found
        if found.ndim != 2 or found.shape[1] != len(self.names):
            raise fail("values", f"[N, C] with the {len(self.names)} columns {', '.join(self.names)}", found.shape)
        return (found - np.array(self.mean)) / np.array(self.deviation)

    def unscaled(self, values: Any) -> np.ndarray:
        """Values [..., C] of mean 0 and deviation 1 -> float64 in their own units."""
        return np.asarray(values, np.float64) * np.array(self.deviation) + np.array(self.mean)

    def described(self) -> dict[str, Any]:
        """As JSON, for what is said of a model."""
        return {name: list(value) for name, value in self._asdict().items()}

    @classmethod
    def read(cls, about: Mapping[str, Any]) -> Self:
        """From what is said of a model.

        Raises:
            ValueError: it is not of a model of a series.
        """
        found = about.get("columns")
        if isinstance(found, dict) and all(isinstance(found.get(name), list) for name in cls._fields):
            units = cls(*(tuple(found[name]) for name in cls._fields))
            if units._sound():
                return units
        got = f"one trained on {shown(about.get('task', 'features'))}" if found is None else "other `columns`"
        raise fail("model", "one trained on a series", got)

    def _sound(self) -> bool:
        count, numbers = len(self.names), (*self.mean, *self.deviation)
        plain = all(isinstance(x, float | int) and math.isfinite(x) for x in numbers)
        places = [place for place in range(count) if place in self.predicted]
        return (
            count == len(self.mean) == len(self.deviation) > 0
            and all(isinstance(name, str) for name in self.names)
            and (plain and all(deviation > 0 for deviation in self.deviation))
            and list(self.predicted) == places != []
        )
