"""What a comparison found: runs, pictures of gates, medians over seeds, verdicts; JSON and files."""

import json
import math
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gatedrnn._output import whole_files

SCALARS = (
    "rate_log10_per_step",
    "half_life",
    "lag_below_1e3",
    "lag_below_float32",
    "lag_below_float64",
    "lyapunov_max",
)


@dataclass(frozen=True)
class Run:
    """One cell, input, initialisation and seed.

    Attributes:
        cell: the cell's name.
        input: name of the input.
        init: `default`, or `chrono` for biases set to the horizon.
        horizon: T, steps.
        hidden_size: H.
        batch: B, sequences whose log10 norms are averaged.
        seed: of the weights.
        lags: steps back from the loss, increasing from 0 to T; about 200, evenly spaced on a log scale.
        log10_norm: log10 of the norm of dL/dcarry at those lags, the whole carry; None where it is exactly zero.
        closed_form_log10_norm: the same from powers of the Jacobian at rest, for an input that is zero throughout.
        rate_log10_per_step: fitted slope over all lags, decades per step.
        half_life: steps in which the fitted line falls by a half; None where it does not fall.
        lag_below_1e3: first lag below 10^-3, steps.
        lag_below_float32: first lag below 10^-38.
        lag_below_float64: first lag below 10^-308.
        lyapunov_max: largest Lyapunov exponent, nats per step, after a tenth of the horizon; None for -inf.
        timescale_quantiles: 10, 50 and 90 percent of the units' time scales, steps; None where no gate carries.
        verdict: `isometric`, `vanishing` or `exploding`, with the numbers that justify it.
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
    lyapunov_max: float | None
    timescale_quantiles: list[float | None] | None
    verdict: str


@dataclass(frozen=True)
class GateMap:
    """The carrying gate of one run along time, units sorted by time scale, longest first.

    Attributes:
        cell: the cell's name.
        input: name of the input.
        init: `default` or `chrono`.
        gate: the gate's name.
        steps: centres of the bins of time, [N].
        values: the gate's mean in each bin, first sequence of the batch, [H, N].
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
        """Whether any unit's gate changes along time."""
        return bool(np.ptp(self.values, axis=1).any())


@dataclass(frozen=True)
class Comparison:
    """What `compare` measured.

    Attributes:
        runs: one per cell, input, initialisation and seed.
        gate_maps: one per gated cell, input and initialisation, of the first seed.
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

        A scalar that some seeds lack (a lag never reached) is None unless more than half of them have it.
        """
        return [_summarise(key, runs) for key, runs in self._groups().items()]

    def verdicts(self) -> list[str]:
        """One sentence per cell, input and initialisation: the verdict of the seed with the median decay rate."""
        middle = {key: sorted(runs, key=_rate)[len(runs) // 2] for key, runs in self._groups().items()}
        return [
            f"{cell}, {init} initialisation, {name} input: {run.verdict}" for (cell, name, init), run in middle.items()
        ]

    def _groups(self) -> dict[tuple[str, str, str], list[Run]]:
        groups: dict[tuple[str, str, str], list[Run]] = {}
        for run in self.runs:
            groups.setdefault((run.cell, run.input, run.init), []).append(run)
        return groups

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

    def save(self, out: str | Path) -> list[Path]:
        """Writes `comparison.json`, `report.html`, and the waterfall and the gates as PNG and SVG.

        Args:
            out: the folder; made if it is missing. Each file appears whole or not at all.

        Returns:
            The files' paths.

        Raises:
            ValueError: the folder cannot be made or written to.
        """
        from gatedrnn import plots, report  # matplotlib: not for those who only compute

        driven = [gate_map for gate_map in self.gate_maps if gate_map.varies]  # at rest a gate's picture is one colour
        maps = [vars(gate_map) for gate_map in driven or self.gate_maps]
        record = json.loads(self.to_json())
        with whole_files(out) as draft:
            (draft / "comparison.json").write_text(self.to_json(), encoding="utf-8")
            plots.save(plots.waterfall(record["runs"]), draft / "waterfall")
            if maps:
                plots.save(plots.gate_heatmap(maps), draft / "gates")
            (draft / "report.html").write_text(
                report.html({**record, "gate_maps": maps}), encoding="utf-8", errors="backslashreplace"
            )
            names = sorted(file.name for file in draft.iterdir())
        return [Path(out) / name for name in names]


def _summarise(key: tuple[str, str, str], runs: list[Run]) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(("cell", "input", "init"), key, strict=True))
    row["seeds"] = len(runs)
    for name in SCALARS:
        values = [value for run in runs if (value := getattr(run, name)) is not None]
        common = 2 * len(values) > len(runs)
        row[name] = statistics.median(values) if common else None
        row[f"{name}_spread"] = [min(values), max(values)] if values else None
    words = [run.verdict.split(":")[0] for run in runs]
    row["verdict"] = statistics.mode(words)
    return row


def _rate(run: Run) -> float:
    return -math.inf if run.rate_log10_per_step is None else run.rate_log10_per_step
