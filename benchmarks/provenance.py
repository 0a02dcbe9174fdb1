"""What made a record, and how a record is written."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import gatedrnn as gr


def described(names: Iterable[str]) -> dict[str, Any]:
    """The versions of gatedrnn, Python and some packages, the commit and the device, as they are now.

    To be asked when a run starts: what is committed or edited while it measures has no part in its numbers.

    Args:
        names: packages, as the registry knows them.

    Returns:
        `versions`; `commit`, which ends in "-dirty" where a tracked file differs from it; `device`.
    """
    command = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return {
        "versions": {"gatedrnn": gr.__version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in names},
        "commit": commit.stdout.strip(),
        "device": {"platform": jax.default_backend(), "machine": platform.machine(), "cores": os.cpu_count()},
    }


def write_whole(path: Path, record: Any) -> None:
    """Writes a record so that whoever reads `path` finds the old one or the new one, never a part."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(record, indent=1) + "\n")
    draft.replace(path)
