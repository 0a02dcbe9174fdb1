"""What a checkpoint says of itself, beside the state: typed when it is read, and covered by a digest.

{"format": ..., "versions": {...}, "jax": {...}, "leaves": [...], "setup": {...}, "metrics": ..., "rows": [...],
 "state": sha256 of the state's file, "digest": sha256 of all this}
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from gatedrnn._check import fail
from gatedrnn._files import read_regular
from gatedrnn._version import __version__
from gatedrnn.train._metrics import Row

ABOUT, FORMAT = "about.json", "gatedrnn checkpoint 1"
LARGEST = 2**31  # bytes
SETTINGS = (
    "jax_enable_x64",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_default_matmul_precision",
)  # of JAX, on which every number depends


class Damaged(ValueError):
    """A checkpoint that is not as it was written."""


@dataclass(frozen=True)
class About:
    """One checkpoint.

    Attributes:
        setup: what the run's numbers depend on, as JSON.
        settings: of JAX.
        leaves: types and shapes of the state's arrays, in words.
        metrics: the file with the rows; relative to the run's folder where it lies within.
        rows: every test so far.
    """

    setup: dict[str, Any]
    settings: dict[str, Any]
    leaves: list[str]
    metrics: str | None
    rows: list[Row]

    def text(self, state: str) -> str:
        """As JSON, with the digest of the state's file."""
        record = {
            "format": FORMAT,
            "versions": {"gatedrnn": __version__, "jax": jax.__version__},
            "jax": self.settings,
            "leaves": self.leaves,
            "setup": self.setup,
            "metrics": self.metrics,
            "rows": [[value if math.isfinite(value) else str(value) for value in row] for row in self.rows],
            "state": state,
        }
        return json.dumps(record | {"digest": digest(_canonical(record))}, indent=1, allow_nan=False)

    @classmethod
    def read(cls, path: Path) -> "tuple[About, str]":
        """What `text` gave, and the digest of the state's file.

        Raises:
            OSError: it cannot be read.
            Damaged: it is not what was written.
            ValueError: it is not of this library, or of another version's form.
        """
        try:
            record = json.loads(read_regular(path, LARGEST))
        except (ValueError, RecursionError) as error:
            raise Damaged(f"{ABOUT} is damaged: {str(error).removesuffix('.')}") from None
        if not isinstance(record, dict) or not str(record.get("format")).startswith("gatedrnn checkpoint "):
            raise fail("folder", "one with checkpoints of this library", f"others in {str(path.parent.parent)!r}")
        if record["format"] != FORMAT:
            versions = f"{record['format']!r:.40}, of a later version, in {str(path.parent)!r}"
            raise fail("folder", f"one with checkpoints of the form {FORMAT!r}", versions)
        if record.pop("digest", None) != digest(_canonical(record)):
            raise Damaged(f"{ABOUT} is not as it was written")
        try:
            return cls(*_typed(record)), _string(record["state"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise Damaged(f"{ABOUT} is malformed: {error}") from None

    def check_same(self, settings: Mapping[str, Any], setup: Any, leaves: Sequence[str], folder: Path) -> None:
        """Raises ValueError where the run is not the one that goes on, or JAX is set otherwise than it was."""
        where = f"in {str(folder)!r}"
        for name, value in settings.items():
            then = self.settings.get(name, value)
            if then != value:
                got = f"one begun with {_assignment(name, then)} {where}, which can be gone on with when it is set so"
                raise fail("folder", f"one of a run with {_assignment(name, value)}", got)
        for name, value in json.loads(json.dumps(setup)).items():
            if self.setup.get(name) != value:
                raise fail(
                    "folder", f"one of a run with {name} {value!r}", f"one with {self.setup.get(name)!r} {where}"
                )
        for got, want in zip(self.leaves, leaves, strict=False):
            if got != want:
                raise fail("folder", f"one of a run whose state has {want}", f"one with {got} {where}")
        if len(self.leaves) != len(leaves):
            raise fail("folder", f"one of a run whose state is {len(leaves)} arrays", f"{len(self.leaves)} {where}")


def settings_of_jax() -> dict[str, Any]:
    """Those on which numbers depend, as they are now; what this version of JAX does not know is left out."""
    return {name: getattr(jax.config, name) for name in SETTINGS if hasattr(jax.config, name)}


def leaves_in_words(leaves: Sequence[Any]) -> list[str]:
    """`float32[2, 3]` for each array."""
    return [f"{leaf.dtype}{list(leaf.shape)}" for leaf in leaves]


def digest(data: bytes) -> str:
    """SHA-256, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _canonical(record: Any) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def _assignment(name: str, value: Any) -> str:
    """A setting as the environment says it."""
    return f"no {name.upper()}" if value is None else f"{name.upper()}={int(value) if value in (0, 1) else value}"


def _typed(record: dict[str, Any]) -> tuple[Any, ...]:
    for name, kind in (("setup", dict), ("jax", dict), ("leaves", list), ("metrics", str | None), ("rows", list)):
        if not isinstance(record[name], kind):
            raise TypeError(f"`{name}` is of another type")
    rows = [Row(_whole(step), _whole(seed), *map(_number, rest)) for step, seed, *rest in record["rows"]]
    return record["setup"], record["jax"], list(map(_string, record["leaves"])), record["metrics"], rows


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no word")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r:.40} is no step or seed")
    return value


def _number(value: Any) -> float:
    if value in ("nan", "inf", "-inf") or (isinstance(value, float | int) and not isinstance(value, bool)):
        return float(value)
    raise TypeError(f"{value!r:.40} is no number")
