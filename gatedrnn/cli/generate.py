"""`gatedrnn generate`: text from a model that was trained on text."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gatedrnn._check import fail
from gatedrnn._files import named
from gatedrnn.cli._app import app
from gatedrnn.cli._fields import option, size, with_options
from gatedrnn.cli._options import find_cell, path_of
from gatedrnn.cli._settings import zero_or_held

END_OF_KEYS = 2**32 - 1


def _text(name: str, value: str) -> None:
    """Refuses nothing, and bytes that are no text: they come as halves of surrogate pairs."""
    if not value:
        raise fail(name, "at least one character", "nothing")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise fail(name, "text in UTF-8", repr(value[:100]))


@app.command()
@with_options()
def generate(
    model: Annotated[
        Path, typer.Argument(parser=path_of, help="A trained model: its .safetensors file or its folder.")
    ],
    prompt: str = option("The ", "What the text begins with.", check=_text),
    length: int = option(500, "Bytes to add.", check=size(most=10_000_000, unit=" bytes")),
    temperature: float = option(0.8, "Below 1: likelier bytes; 0: the likeliest.", check=zero_or_held),
    seed: int = option(0, "Of the random draws.", check=size(least=0, most=END_OF_KEYS)),
    cell: str | None = option(None, "MODULE:CELL of the model's cell, if it is your own."),
) -> None:
    """Let a model trained on text go on from a prompt."""
    _check_one(model)
    import jax
    import jax.numpy as jnp
    import numpy as np

    import gatedrnn as gr
    from gatedrnn.tasks import text

    loaded = gr.load(model, () if cell is None else (find_cell(cell),))
    if loaded.model.input_size != text.SYMBOLS or loaded.model.embedding_size is None:
        raise fail("model", "one trained on text", f"one trained on {loaded.about.get('task', 'features')!r}")
    symbols = jnp.array(list(prompt.encode()))
    drawn = gr.models.generate(loaded.model, loaded.params, jax.random.key(seed), symbols, length, temperature)
    sys.stdout.buffer.write(prompt.encode() + bytes(np.asarray(drawn, np.uint8)) + b"\n")


def _check_one(model: Path) -> None:
    """Raises ValueError where a folder has models of several seeds."""
    if not model.is_dir() or (model / "model.safetensors").exists():
        return
    several = sorted((path.name for path in model.glob("*.safetensors")), key=lambda name: (len(name), name))
    if several:
        shown = ", ".join(several[:8]) + (", ..." if len(several) > 8 else "")
        raise fail("model", f"one of {shown}, such as {str(model / several[0])!r}", f"the folder {named(model)}")
