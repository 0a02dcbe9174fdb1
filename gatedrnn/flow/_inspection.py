"""What an inspection found, as one record; and its JSON."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatedrnn.flow._comparison import GateMap
from gatedrnn.flow._groups import finite, finites
from gatedrnn.flow._shown import ShownUnit
from gatedrnn.flow.adjoint import Adjoint
from gatedrnn.flow.coverage import Coverage
from gatedrnn.flow.decay import Decay
from gatedrnn.flow.paths import Paths
from gatedrnn.flow.precision import PrecisionAudit
from gatedrnn.flow.spectrum import Spectrum
from gatedrnn.flow.windows import WindowAudit

Floats = NDArray[np.float64]

POINTS, BINS = 200, 100  # of a curve by lag, and of one by time, in the JSON


class Keeper(NamedTuple):
    """The unit in which most of the gradient is, at a lag.

    Attributes:
        place: of its cell, as in `ShownUnit`.
        unit: its number in that cell.
        lag: steps.
        share: of the squared norm of the whole gradient there, mean over B.
        direct: log10 of what came along the unit itself, median over B.
        rest: log10 of what crossed the recurrent weights, median over B.
        timescale: steps in which its gate lets its memory fall by 1/e; inf where all is kept, 0 where nothing is.
    """

    place: str
    unit: int
    lag: int
    share: float
    direct: float
    rest: float
    timescale: float


class Inspection(NamedTuple):
    """Result of `inspect`, of NumPy's arrays. Row 0 of the batch is the one that is shown step by step.

    Attributes:
        cells: the name of every cell by its place, as `0` in a stack; "" for a single one.
        keeps: by place, the gate by which units keep their memory; "" where the cell names none.
        input_log10: log10 of the norm of d readout / d x_t, [T, B]; -inf for zero.
        sign: of what each step adds to the readout in row 0, -1, 0 or 1, [T, R].
        log10: log10 of its size, [T, R].
        looks_back: in each row, how many last steps hold 99 % of the sum of the norms of d readout / d x_t, [B].
        gradient: of the readout in the carries: `Paths`, or `Adjoint` where a cell has `step` alone.
        decay: of the median over B of its norm.
        timescales: by place, of every unit in steps, [H]; none where nothing is kept.
        gate_maps: what units keep along time in row 0, by cell; none where nothing is kept.
        keeper: the unit that carries most, at the lag of the median look back; None where a cell has `step` alone.
        start: the first step that is shown.
        units: those that the readout hangs on in the steps shown.
        spectrum: the leading exponents of row 0.
        windows: what truncation keeps of the gradient of the loss.
        precision: where formats part.
        coverage: how far a longer run leaves the states of the trained length; None without one.
        trained: that length, steps; None without one.
        left_out: what was not measured, and why.
    """

    cells: dict[str, str]
    keeps: dict[str, str]
    input_log10: Floats
    sign: NDArray[np.int64]
    log10: Floats
    looks_back: NDArray[np.int64]
    gradient: Paths | Adjoint
    decay: Decay
    timescales: dict[str, Floats]
    gate_maps: tuple[GateMap, ...]
    keeper: Keeper | None
    start: int
    units: tuple[ShownUnit, ...]
    spectrum: Spectrum
    windows: WindowAudit
    precision: PrecisionAudit
    coverage: Coverage | None
    trained: int | None
    left_out: dict[str, str]

    @property
    def paths(self) -> Paths | None:
        """Along units, or across them; None where a cell has `step` alone."""
        return self.gradient if isinstance(self.gradient, Paths) else None

    @property
    def profile(self) -> Floats:
        """log10 of the norm of d readout / d carry_t, [T + 1, B]."""
        norms = self.gradient.whole if isinstance(self.gradient, Paths) else self.gradient.log10_norm
        return np.asarray(norms["state"], np.float64)

    def record(self) -> dict[str, Any]:
        """As strict JSON holds it: curves at about 200 lags, medians over B; None for what is not finite."""
        steps, batch = self.input_log10.shape
        shown = slice(self.start, self.start + len(self.units[0].memory))
        lags = _marks(steps)
        split = self.paths
        return {
            "horizon": steps,
            "batch": batch,
            "cells": self.cells,
            "keeps": self.keeps,
            "looks_back": self.looks_back.tolist(),
            "lags": lags,
            "sensitivity": _by_lag(self.input_log10, lags),
            "adjoint": _by_lag(self.profile, lags),
            "decay": _scalars(self.decay._asdict()) | {"word": self.decay.word},
            "paths": split
            and {
                kind: {part: _by_lag(rows, lags) for part, rows in getattr(split, kind).items()}
                for kind in ("whole", "direct", "rest")
            },
            "layers": {} if split is None else {place: _means(rows, lags) for place, rows in split.share.items()},
            "at_keeper": None if split is None or self.keeper is None else _at(split, self.keeper.lag),
            "timescales": {place: finites(scales) for place, scales in self.timescales.items()},
            "keeper": None if self.keeper is None else _scalars(self.keeper._asdict()),
            "strip": {
                "start": self.start,
                "sign": self.sign[shown].tolist(),
                "log10": [finites(each) for each in self.log10[shown]],
                "units": [_unit(each) for each in self.units],
            },
            "spectrum": {
                "exponents": finites(self.spectrum.exponents),
                "error": finites(self.spectrum.error),
                "number": int(self.spectrum.number),
                "every": self.spectrum.every,
            },
            "windows": self.windows.record(),
            "precision": self.precision.record(),
            "coverage": None if self.coverage is None else _coverage(self.coverage, self.trained),
            "left_out": self.left_out,
        }


def _marks(steps: int) -> list[int]:
    """Lags from 0 to T - 1, evenly spread over their logarithm."""
    return [int(lag) for lag in np.unique(np.geomspace(1, steps, POINTS).round()) - 1]


def _by_lag(rows: Any, lags: list[int]) -> list[float | None]:
    """Median over B of rows [N, B] in the order of time, the last at lag 0."""
    return finites(np.median(np.asarray(rows, np.float64), 1)[::-1][lags])


def _means(rows: Any, lags: list[int]) -> list[float | None]:
    return finites(np.asarray(rows, np.float64).mean(1)[::-1][lags])


def _at(split: Paths, lag: int) -> dict[str, Any]:
    """Of the whole carry, and of each layer, at one lag."""
    rows = {kind: getattr(split, kind)["state"][-1 - lag] for kind in ("whole", "direct", "rest")}
    shares = {place: finite(np.asarray(each[-1 - lag], np.float64).mean()) for place, each in split.share.items()}
    medians = {kind: finite(np.median(np.asarray(each, np.float64))) for kind, each in rows.items()}
    return {"lag": lag} | medians | {"layers": shares}


def _coverage(found: Coverage, trained: int | None) -> dict[str, Any]:
    names = ("distance_trained", "distance_beyond", "outside_trained", "outside_beyond")
    rows = np.asarray(found.outside, np.float64).mean(1)
    bins = np.array_split(np.arange(len(rows)), min(BINS, len(rows)))
    curve = {"marks": [float(each.mean()) for each in bins], "outside": finites([rows[each].mean() for each in bins])}
    scalars = {name: finite(getattr(found, name)) for name in names}
    return {"trained": trained, "steps": len(rows)} | scalars | curve


def _unit(found: ShownUnit) -> dict[str, Any]:
    gates = {name: finites(values) for name, values in found.gates.items()}
    return found._asdict() | {"memory": finites(found.memory), "gates": gates}


def _scalars(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, int | str) else finite(value) for name, value in values.items()}
