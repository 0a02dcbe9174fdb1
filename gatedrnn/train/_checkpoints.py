"""Checkpoints, written beside the training: a state, the rows so far, and what the run is.

checkpoints/8/state.safetensors     the leaves of the state
checkpoints/8/about.json            everything else, and a digest of both

A save is a folder that gets its name when it is whole, so a killed one leaves its predecessors as they are. Nothing is
believed that the digest does not cover. What else lies in the folder is not touched.
"""

import errno
import os
import secrets
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gatedrnn._check import fail
from gatedrnn._files import read_regular
from gatedrnn.train._about import ABOUT, About, Damaged, digest, leaves_in_words, settings_of_jax
from gatedrnn.train._metrics import Row
from gatedrnn.train._state import TrainState

KEPT = 2  # checkpoints on disk beside the one being written
STATE, UNFINISHED = "state.safetensors", ".unfinished-"
HEADER = 100_000_000  # the most bytes that safetensors lets a header have


class Restored(NamedTuple):
    """A checkpoint: the state, the rows before it, and the file that has them."""

    state: TrainState
    rows: list[Row]
    metrics: str | None


def steps(folder: Path) -> list[int]:
    """Of the checkpoints in a folder, in order; also of those of version 0.1.0, which cannot be read."""
    named = [path for path in folder.glob("[0-9]*") if path.name.isascii() and path.name.isdecimal()]
    parts = lambda path: any(os.path.lexists(path / name) for name in (ABOUT, STATE))  # one of which may be lost
    return sorted(int(path.name) for path in named if parts(path) or _old(path))


def remove(folder: Path, step: int) -> None:
    """Takes a checkpoint away; one that is gone by half has no name any more."""
    going = folder / f"{UNFINISHED}{step}-{secrets.token_hex(4)}"
    os.rename(folder / str(step), going)
    shutil.rmtree(going)


class Checkpoints:
    """The checkpoints of one run in `folder`, which this process has locked.

    Args:
        folder: made with the first of them.
        described: what the run's numbers depend on.
        metrics: where its rows are.
    """

    def __init__(self, folder: Path, described: dict[str, Any], metrics: str | None) -> None:
        self.folder, self._described, self._metrics = folder.absolute(), described, metrics
        self._made = not self.folder.exists()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    @property
    def latest(self) -> int | None:
        """The step of the last whole checkpoint."""
        return max(steps(self.folder), default=None)

    def clear(self) -> None:
        """Takes all of them away.

        Raises:
            ValueError: one cannot be removed.
        """
        try:
            for step in steps(self.folder):
                remove(self.folder, step)
        except OSError as error:
            raise self._fail("removed", self.folder, error) from None

    def prepare(self) -> None:
        """Makes room, where the folder of a resumed run can be written to; before hours are spent.

        Raises:
            ValueError: it cannot.
        """
        probe = self.folder / f"{UNFINISHED}0-{secrets.token_hex(4)}"
        try:
            self.folder.mkdir(exist_ok=True)
            for path in self.folder.glob(
                f"{UNFINISHED}[0-9]*-{8 * '[0-9a-f]'}"
            ):  # a killed process was writing, or removing
                shutil.rmtree(path)
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise self._fail("written to", self.folder, error) from None

    def save(self, step: int, state: TrainState, rows: Sequence[Row]) -> None:
        """Begins to write a checkpoint; the arrays are copied first, so the state may be used up at once.

        Raises:
            ValueError: the save before it could not be written.
        """
        self.wait()
        if step == self.latest:
            return
        leaves = [np.array(leaf, order="C") for leaf in jax.tree.leaves(_plain(state))]
        about = About(self._described, settings_of_jax(), leaves_in_words(leaves), self._metrics, list(rows))
        self._thread = threading.Thread(target=self._write, args=(step, leaves, about), daemon=True)
        self._thread.start()

    def restore(self, like: TrainState) -> Restored:
        """The last checkpoint of a run whose states are like `like`.

        Raises:
            ValueError: there is none, it is damaged or cannot be read, or it is of another run, version or setting.
        """
        step = self.latest
        if step is None:
            raise fail("folder", "one that holds a checkpoint", f"none in {str(self.folder)!r}")
        place = self.folder / str(step)
        if _old(place):
            got = f"those of version 0.1.0 in {str(self.folder)!r}, which that version goes on with"
            raise fail("folder", "one with checkpoints of this version", got)
        expected, structure = jax.tree.flatten(_plain(like))
        try:
            about, digest_of_state = About.read(place / ABOUT)
            about.check_same(settings_of_jax(), self._described, leaves_in_words(expected), self.folder)
            self._described = about.setup | self._described  # with the weights it began from, which need not be told
            data = _bytes(place / STATE, sum(leaf.nbytes for leaf in expected) + HEADER)
            if digest(data) != digest_of_state:
                raise Damaged(f"{STATE} is not as it was written")
            leaves = _leaves(place / STATE)
            if leaves_in_words(leaves) != leaves_in_words(expected):
                raise Damaged(f"{STATE} holds other arrays than are said")
        except (OSError, Damaged) as error:
            raise self._fail("read", place, error) from None
        state = jax.tree.unflatten(structure, leaves)
        key = jax.random.wrap_key_data(state.key, impl=jax.random.key_impl(like.key))
        return Restored(state._replace(key=key), about.rows, about.metrics)

    def wait(self) -> None:
        """Waits for the save under way.

        Raises:
            ValueError: it could not be written.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise self._fail("written to", self.folder, error) from error

    def close(self) -> None:
        """Waits, and takes the folder away again if no checkpoint came into it; raises as `wait` does."""
        try:
            self.wait()
        finally:
            if self._made and self.folder.is_dir() and not any(self.folder.iterdir()):
                self.folder.rmdir()

    def _write(self, step: int, leaves: list[np.ndarray], about: About) -> None:
        """In a thread of its own, which says what went wrong and never raises."""
        draft = self.folder / f"{UNFINISHED}{step}-{secrets.token_hex(4)}"
        try:
            from safetensors.numpy import save

            data = save({str(i): leaf for i, leaf in enumerate(leaves)})
            draft.mkdir()
            _write_through(draft / STATE, data)
            _write_through(draft / ABOUT, about.text(digest(data)).encode())
            place = self.folder / str(step)
            if os.path.lexists(place):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
            os.rename(draft, place)
            for old in steps(self.folder)[:-KEPT]:
                remove(self.folder, old)
        except Exception as error:
            shutil.rmtree(draft, ignore_errors=True)
            self._error = error

    def _fail(self, done: str, place: Path, error: Exception) -> ValueError:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        hint = ""
        if isinstance(error, Damaged | FileNotFoundError) and len(steps(self.folder)) > 1:
            hint = "; remove it to go on from the one before it"
        named = getattr(error, "filename", None)
        name = place if named is None or UNFINISHED in str(named) else named
        return fail("folder", f"one whose checkpoints can be {done}", f"{str(name)!r}: {reason}{hint}")


def _plain(state: TrainState) -> TrainState:
    return state._replace(key=jax.random.key_data(state.key))


def _old(path: Path) -> bool:
    return (path / "about").is_dir() and (path / "state").is_dir()


def _bytes(path: Path, most: int) -> bytes:
    try:
        return read_regular(path, most)
    except ValueError as error:
        raise Damaged(f"{path.name} is damaged: {error}") from None


def _leaves(path: Path) -> list[jax.Array]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="flax") as file:
            return [file.get_tensor(name) for name in sorted(file.keys(), key=lambda name: (len(name), name))]
    except (SafetensorError, KeyError, ValueError) as error:
        raise Damaged(f"{STATE} is malformed: {str(error).removesuffix('.')}") from None


def _write_through(path: Path, data: bytes) -> None:
    """All of it is on the disk when this returns, whatever happens to the machine."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
