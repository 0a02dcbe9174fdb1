"""Which saved model is meant: a file, a folder with one, or one seed of a folder with several."""

from pathlib import Path

from gatedrnn._check import fail
from gatedrnn._files import named


def one_model(model: Path, argument: str = "model", seed: int | None = None) -> Path:
    """The file or folder of a single model, to be loaded.

    Args:
        model: a `.safetensors` file, or a folder with one or several.
        argument: what the user calls it.
        seed: whose model, where a folder has those of several.

    Raises:
        ValueError: a folder has models of several seeds, and none, or another, is asked for.
    """
    several: dict[str, Path] = {}
    if model.is_dir() and not (model / "model.safetensors").exists():
        found = sorted(model.glob("*.safetensors"), key=lambda path: (len(path.name), path.name))
        several = {path.stem.removeprefix("model-"): path for path in found}
    if seed is not None:
        if str(seed) not in several:
            known = f"one of {', '.join(list(several)[:8])}" if several else "left out: there is one model"
            raise fail("of-seed", known, seed)
        return several[str(seed)]
    if several:
        names = [path.name for path in several.values()]
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise fail(argument, f"one of {shown}, such as {str(model / names[0])!r}", f"the folder {named(model)}")
    return model
