"""What a comparison found, as records: runs, gates along time, medians over seeds; and its JSON."""

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from gatedrnn.flow._groups import Group, finite, grouped
from gatedrnn.flow._scalars import SCALARS


@dataclass(frozen=True)
class Run:
    """One cell, input, initialisation and seed.

    Attributes:
        cell: the cell's name.
        input: name of the input.
        init: `default`, or `chrono` for gate biases set to the horizon.
        horizon: T, steps.
        hidden_size: H.
        batch: B, sequences whose log10 norms are averaged.
        seed: of the weights.
        lags: steps back from the loss, increasing from 0 to T; about 200, evenly spaced on a log scale.
        log10_norm: log10 of the norm of dL/dcarry at those lags, the whole carry; None where it is exactly zero, which
            includes lag 0 of a cell with `step` alone: its last output reads the carry before it. Of a network that
            reads backwards the lags are each direction's own.
        closed_form_log10_norm: the same from powers of the Jacobian at rest, for an input that is zero throughout; None
            for what reads backwards.
        rate_log10_per_step: as in `Decay`, from which the next six are too; None where there is no number.
        half_life: steps; None where the gradient does not fall.
        lag_below_1e3: steps from where the profile starts, at norm 1; None if never.
        lag_below_float32: steps.
        lag_below_float64: steps.
        lowest: decades from its start; None for -inf.
        highest: decades from its start.
        lyapunov_max: largest Lyapunov exponent, nats per step, after a tenth of the horizon; None for -inf.
        timescale_quantiles: 10, 50 and 90 percent of the units' time scales, steps; None where nothing is kept.
        verdict: `isometric`, `vanishing` or `exploding`.
    """

    cell: str
    input: str
    init: str
    horizon: int
    hidden_size: int
    batch: int
    seed: int
    lags: list[int]
    log10_norm: list[float | None]
    closed_form_log10_norm: list[float | None] | None
    rate_log10_per_step: float | None
    half_life: float | None
    lag_below_1e3: int | None
    lag_below_float32: int | None
    lag_below_float64: int | None
    lowest: float | None
    highest: float | None
    lyapunov_max: float | None
    timescale_quantiles: list[float | None] | None
    verdict: str


@dataclass(frozen=True)
class GateMap:
    """How much of itself each unit keeps along time in one run, units sorted by time scale, longest first.

    Attributes:
        cell: the cell's name.
        input: name of the input.
        init: `default` or `chrono`.
        gate: `cell.keeps`, the gate that does it; "" where the cell names none, so that it is d after / d before.
        steps: centres of the bins of time, [N].
        values: the mean in each bin, first sequence of the batch, [H, N].
        timescales: the units' time scales in steps, [H].
    """

    cell: str
    input: str
    init: str
    gate: str
    steps: np.ndarray
    values: np.ndarray
    timescales: np.ndarray

    @property
    def varies(self) -> bool:
        """Whether any unit's values change along time."""
        return bool(np.ptp(self.values, axis=1).any())


@dataclass(frozen=True)
class Comparison:
    """What `compare` measured.

    Attributes:
        runs: one per cell, input, initialisation and seed.
        gate_maps: one per cell that keeps something, input and initialisation, of the first seed.
        notes: what the reader must know about the inputs and what was left out.
        versions: of the packages that computed it.
        device: platform, kind and number of devices.
        command: the command line, where there was one.
    """

    runs: tuple[Run, ...]
    gate_maps: tuple[GateMap, ...] = ()
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    device: dict[str, Any] = field(default_factory=dict)
    command: str = ""

    def summary(self) -> list[dict[str, Any]]:
        """One row per cell, input and initialisation: each scalar's median over seeds, and `[least, greatest]`.

        A lag that a seed never reaches counts as the largest; None stands for what is not finite.
        """
        return [_summarise(group) for group in grouped(vars(run) for run in self.runs)]

    def to_json(self) -> str:
        """Strict JSON: `runs`, `summary`, `notes`, `versions`, `device`, `command`; null for the logarithm of zero."""
        record = {
            "runs": [asdict(run) for run in self.runs],
            "summary": self.summary(),
            "notes": list(self.notes),
            "versions": self.versions,
            "device": self.device,
            "command": self.command,
        }
        return json.dumps(record, indent=1, allow_nan=False)


def _summarise(group: Group) -> dict[str, Any]:
    row: dict[str, Any] = {"cell": group.cell, "input": group.input, "init": group.init, "seeds": len(group.runs)}
    for name in SCALARS:
        median, *ends = map(finite, group.scalar(name))
        row[name] = median
        row[f"{name}_spread"] = None if ends == [None, None] else ends
    return row | {"verdict": statistics.mode(run["verdict"] for run in group.runs)}
