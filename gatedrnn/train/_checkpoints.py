"""Checkpoints by orbax, written beside the training: a state, the rows so far, and what the run is.

A save is a folder that gets its name when it is whole, so a killed one leaves its predecessors as they are. A digest of
the state's bytes tells a damaged one.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gatedrnn._check import fail
from gatedrnn.train._metrics import Row
from gatedrnn.train._setup import TrainState

KEPT = 2  # checkpoints on disk beside the one being written


class Checkpoints:
    """The checkpoints of one run in `folder`; `described` is what its numbers depend on.

    Raises:
        ValueError: the folder cannot be written to, or is not there and should be.
    """

    def __init__(self, folder: Path, described: dict[str, Any], there: bool) -> None:
        if there and not folder.is_dir():
            raise fail("folder", "one that holds a checkpoint", f"none in {str(folder)!r}")
        import orbax.checkpoint as ocp

        logging.getLogger("absl").setLevel(logging.CRITICAL)  # what goes wrong is raised, too
        self.folder, self.described, self._ocp = folder.absolute(), described, ocp
        with _plainly(self.folder, "written to"):
            # What a killed run was writing goes once its run goes on; a new run may be refused, and must not touch it.
            options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, create=True, cleanup_tmp_directories=there)
            self._manager = ocp.CheckpointManager(self.folder, options=options)

    @property
    def latest(self) -> int | None:
        """The step of the last whole checkpoint."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState, rows: Sequence[Row]) -> None:
        """Begins to write a checkpoint; the arrays are copied first, so the state may be used up at once.

        Raises:
            ValueError: this save or the one before it could not be written.
        """
        if step == self.latest:
            return
        args = self._ocp.args
        leaves = [np.array(leaf) for leaf in jax.tree.leaves(_plain(state))]
        about = {"setup": self.described, "digest": _digest(leaves), "rows": [list(row) for row in rows]}
        with _plainly(self.folder, "written to"):
            self._manager.wait_until_finished()
            self._manager.save(
                step, args=args.Composite(state=args.StandardSave(leaves), about=args.JsonSave(about)), force=True
            )

    def restore(self, like: TrainState) -> tuple[TrainState, list[Row]]:
        """The last checkpoint of a run whose states are like `like`.

        Raises:
            ValueError: there is none, it is damaged, or it is of another run.
        """
        step = self.latest
        if step is None:
            raise fail("folder", "one that holds a checkpoint", f"none in {str(self.folder)!r}")
        args = self._ocp.args
        place = self.folder / str(step)
        with _plainly(place, "read"):
            about = self._manager.restore(step, args=args.Composite(about=args.JsonRestore()))["about"]
        if not isinstance(about, dict) or not {"setup", "digest", "rows"} <= set(about):
            raise fail("folder", "one with checkpoints of this library", f"others in {str(self.folder)!r}")
        self._check_same(about["setup"])
        expected, structure = jax.tree.flatten(_plain(like))
        target = [np.zeros(leaf.shape, leaf.dtype) for leaf in expected]
        with _plainly(place, "read"):
            found = self._manager.restore(step, args=args.Composite(state=args.StandardRestore(target)))["state"]
        if _digest(found) != about["digest"]:
            raise fail(
                "folder",
                "one with whole checkpoints",
                f"a damaged one, {str(place)!r}; remove it to go on from the one before it",
            )
        state = jax.tree.unflatten(structure, [jax.numpy.asarray(leaf) for leaf in found])
        return state._replace(key=jax.random.wrap_key_data(state.key)), [Row(*row) for row in about["rows"]]

    def close(self) -> None:
        """Waits for the save under way.

        Raises:
            ValueError: it could not be written.
        """
        with _plainly(self.folder, "written to"):
            self._manager.wait_until_finished()
            self._manager.close()

    def _check_same(self, described: dict[str, Any]) -> None:
        for name, value in json.loads(json.dumps(self.described)).items():
            if described.get(name) != value:
                got = f"one with {described.get(name)!r} in {str(self.folder)!r}"
                raise fail("folder", f"one of a run with {name} {value!r}", got)


def _plain(state: TrainState) -> TrainState:
    return state._replace(key=jax.random.key_data(state.key))


def _digest(leaves: Sequence[np.ndarray]) -> str:
    found = hashlib.sha256()
    for leaf in leaves:
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()


@contextlib.contextmanager
def _plainly(place: Path, done: str) -> Iterator[None]:
    """What orbax and the libraries below it raise is of many types: one sentence for all."""
    try:
        yield
    except Exception as error:
        raise fail("folder", f"one whose checkpoints can be {done}", f"{str(place)!r}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What the operating system said, if it did; tensorstore hands its number on in the text of a ValueError alone."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    number = re.search(r"os_error_code='(\d+)'", str(error))
    if number:
        return os.strerror(int(number[1]))
    return f"{(str(error).strip() or type(error).__name__).splitlines()[0]:.160}"
