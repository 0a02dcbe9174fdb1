"""What the programs share: where results stand, what made a record, and how records, numbers and tables are written."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import gatedrnn as gr

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Row = dict[str, Any]
"""A record, or a line of one, as JSON has it."""


def described(names: Iterable[str]) -> Row:
    """The versions of gatedrnn, Python and some packages, the commit and the device, as they are now.

    To be asked when a run starts: what is committed or edited while it measures has no part in its numbers.

    Args:
        names: packages, as the registry knows them.

    Returns:
        `versions`; `commit`, which ends in "-dirty" where a tracked file differs from it; `device`.
    """
    command = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "versions": {"gatedrnn": gr.__version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in names},
        "commit": commit.stdout.strip(),
        "device": {"platform": jax.default_backend(), "machine": platform.machine(), "cores": os.cpu_count()},
    }


def write_whole(path: Path, record: Row) -> None:
    """Writes a record so that whoever reads `path` finds the old one or the new one, never a part."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(record, indent=1) + "\n")
    draft.replace(path)


def number(value: float | None, form: str) -> str:
    """The number in the given format, or a dash for what never happened."""
    return "–" if value is None else format(value, form).replace("-", "−")


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
