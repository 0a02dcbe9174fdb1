"""A training that begins with the weights of a model: its cell and its sizes are the model's."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from gatedrnn._check import fail
from gatedrnn.cli._models import one_model
from gatedrnn.cli._options import find_cell
from gatedrnn.cli._settings import Settings


def check_begun(settings: Settings, given: Collection[str]) -> tuple[Settings, Any]:
    """The settings of a training that begins with a model, which says its cell and sizes; and the model.

    Args:
        settings: with `from_model`.
        given: the options on the command line.

    Raises:
        ValueError: there is no such model, or an option says another cell or size than its own.
    """
    import jax

    import gatedrnn as gr

    own = (find_cell(settings.cell),) if "cell" in given and ":" in settings.cell else ()
    try:
        loaded = gr.load(one_model(Path(str(settings.from_model)), "from"), own)
    except ValueError as error:
        raise ValueError(str(error).replace("`path`", "`from`", 1)) from None
    model = loaded.model
    if "cell" in given and find_cell(settings.cell) != model.cell:
        raise fail("cell", f"left out beside `from`, or {model.cell.name}, as in the model", repr(settings.cell))
    if "init" in given:
        raise fail("init", "left out beside `from`, whose weights are not drawn", repr(settings.init))
    sizes = {"hidden": model.hidden_size, "embedding": model.embedding_size or settings.embedding}
    for name, size in sizes.items():
        if name in given and getattr(settings, name) != size:
            raise fail(name, f"left out beside `from`, or {size}, as in the model", getattr(settings, name))
    kinds = {str(leaf.dtype) for leaf in jax.tree.leaves(loaded.params)}
    if kinds != {"float32"}:
        raise fail("from", "a model of float32 weights", " and ".join(sorted(kinds)))
    cell = settings.cell if "cell" in given else model.cell.name
    return replace(settings, cell=cell, hidden=sizes["hidden"], embedding=sizes["embedding"]), loaded
