"""`gatedrnn generate`: text from a model that was trained on text."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gatedrnn._check import check_size, fail
from gatedrnn.cli._app import app
from gatedrnn.cli._options import find_cell, number, path_of, whole

LONGEST = 10_000_000


@app.command()
def generate(
    model: Annotated[
        Path, typer.Argument(parser=path_of, help="A trained model: its .safetensors file or its folder.")
    ],
    prompt: Annotated[str, typer.Option(help="What the text begins with.")] = "The ",
    length: Annotated[int, typer.Option(parser=whole, metavar="N", help="Bytes to add.")] = 500,
    temperature: Annotated[
        float, typer.Option(parser=number, metavar="X", help="Below 1: likelier bytes; 0: the likeliest.")
    ] = 0.8,
    seed: Annotated[int, typer.Option(parser=whole, metavar="N", help="Of the random draws.")] = 0,
    cell: Annotated[str | None, typer.Option(help="MODULE:CELL of the model's cell, if it is your own.")] = None,
) -> None:
    """Let a model trained on text go on from a prompt."""
    if check_size("length", length) > LONGEST:
        raise fail("length", f"at most {LONGEST:,} bytes", f"{length:,}")
    check_size("seed", seed, least=0)
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
