"""`gatedrnn generate`: text from a model that was trained on text."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gatedrnn._check import fail
from gatedrnn.cli._app import app
from gatedrnn.cli._fields import option, size, with_options
from gatedrnn.cli._options import find_cell, path_of


@app.command()
@with_options()
def generate(
    model: Annotated[
        Path, typer.Argument(parser=path_of, help="A trained model: its .safetensors file or its folder.")
    ],
    prompt: str = option("The ", "What the text begins with."),
    length: int = option(500, "Bytes to add.", check=size(most=10_000_000, unit=" bytes")),
    temperature: float = option(0.8, "Below 1: likelier bytes; 0: the likeliest."),
    seed: int = option(0, "Of the random draws.", check=size(least=0)),
    cell: str | None = option(None, "MODULE:CELL of the model's cell, if it is your own."),
) -> None:
    """Let a model trained on text go on from a prompt."""
    if not prompt:
        raise fail("prompt", "at least one character", "nothing")
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
