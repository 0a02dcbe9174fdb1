"""Where a run is written: its checkpoints and its rows, or neither."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gatedrnn._check import fail
from gatedrnn.train._checkpoints import Checkpoints
from gatedrnn.train._metrics import MetricsFile, Row
from gatedrnn.train._state import TrainState

UNDER_WAY: set[str] = set()  # the folders of this process's runs: one may not be begun again within itself


class Record:
    """The files of one run, none of which is touched before `begin`.

    Args:
        folder: of the run, locked; None for no checkpoints.
        metrics: the file of the rows; None for the folder's, if there is one.
        described: what the run's numbers depend on.
        state: the first one.
        resume: whether the folder's run goes on.
        force: whether what other runs left may be replaced.

    Raises:
        ValueError: what is there is of another run, or cannot be read.
    """

    def __init__(
        self,
        folder: Path | None,
        metrics: str | Path | None,
        described: dict[str, Any],
        state: TrainState,
        resume: bool,
        force: bool,
    ) -> None:
        self.state, own = state, force
        self.rows: list[Row] = []
        self._checkpoints = self._metrics = None
        self._place = None if folder is None else os.path.realpath(folder)
        if folder is not None:
            if self._place in UNDER_WAY:
                raise fail("folder", "a folder that no other run is using", repr(str(folder)))
            metrics = folder / "metrics.csv" if metrics is None else metrics
            self._checkpoints = Checkpoints(folder / "checkpoints", described, _named(metrics, folder))
            if resume:
                self.state, self.rows, begun = self._checkpoints.restore(state)
                own = force or begun == _named(metrics, folder)
            elif self._checkpoints.latest is not None and not force:
                got = f"{str(folder)!r}, which holds a run at step {self._checkpoints.latest:,}"
                raise fail("folder", "empty, or resumed", got)
        if metrics is not None:
            self._metrics = MetricsFile(metrics, self.rows, own)
        self._anew = not resume
        UNDER_WAY.update([self._place] if self._place else [])

    def begin(self) -> None:
        """From here on, a killed run can be resumed."""
        if self._checkpoints is not None:
            self._checkpoints.prepare()
            if self._anew:
                self._checkpoints.clear()
                self._checkpoints.save(0, self.state, self.rows)
                self._checkpoints.wait()
        if self._metrics is not None:
            self._metrics.begin()

    def append(self, rows: Sequence[Row]) -> None:
        """Adds rows, in memory and in their file."""
        self.rows += rows
        if self._metrics is not None:
            self._metrics.append(rows)

    def save(self, step: int, state: TrainState) -> None:
        """Begins to write a checkpoint; the state may be used up at once."""
        if self._checkpoints is not None:
            self._checkpoints.save(step, state, self.rows)

    def close(self) -> None:
        """Waits until all is written."""
        UNDER_WAY.discard(self._place or "")
        if self._checkpoints is not None:
            self._checkpoints.close()


def _named(path: str | Path, folder: Path) -> str:
    """The whole path, but for a file in the run's folder, which may be moved."""
    whole, within = os.path.abspath(path), os.path.abspath(folder)
    return os.path.relpath(whole, within) if Path(whole).is_relative_to(within) else whole
