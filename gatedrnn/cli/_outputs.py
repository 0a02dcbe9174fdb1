"""The files that `train` writes, and which of those that are there are its own."""

import json
from dataclasses import asdict
from pathlib import Path

from gatedrnn._check import fail
from gatedrnn._files import read_regular
from gatedrnn._output import check_free
from gatedrnn.cli._settings import LARGEST_JSON, Settings

MAY_DIFFER = ("steps", "target")  # between a run and its resumption


def model_name(settings: Settings, seed: int) -> str:
    """Of the two files of a seed's model."""
    return "model" if settings.seeds == 1 else f"model-{seed}"


def check_outputs(settings: Settings, folder: Path, metrics: Path | None, resumed: bool, force: bool) -> None:
    """Looks for what a training would destroy; the rows' file is looked at where the rows are known.

    Raises:
        ValueError: a file is an input, or is of another run and `force` is not set.
    """
    name = "resume" if resumed else "out"
    models = [model_name(settings, seed) + kind for seed in settings.numbers for kind in (".json", ".safetensors")]
    paths = [folder / file for file in ("run.json", "result.json", *models)]
    checkpoints = (folder / "checkpoints").resolve()
    for option, read in settings.inputs.items():
        if Path(read).resolve().is_relative_to(checkpoints):
            raise fail(option, "a file that is not among the checkpoints", repr(read))
    check_free("metrics", [folder / "metrics.csv" if metrics is None else metrics], settings.inputs, force=True)
    check_free(name, paths, settings.inputs, force=True)
    check_free(name, [path for path in paths if not (resumed and _own(path, settings))], {}, force)


def _own(path: Path, settings: Settings) -> bool:
    """Whether a file is of the run with these settings: `run.json`, or what says so itself or by the JSON beside it."""
    if path.name == "run.json":
        return True
    try:
        record = json.loads(read_regular(path.with_suffix(".json"), 10 * LARGEST_JSON))
    except (OSError, ValueError, RecursionError):
        return False
    said = record.get("about", record) if isinstance(record, dict) else None
    wanted = {name: value for name, value in asdict(settings).items() if name not in MAY_DIFFER}
    return isinstance(said, dict) and all(said.get(name) == value for name, value in wanted.items())
