"""`gatedrnn generate`: text from a model that was trained on text."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gatedrnn._check import fail
from gatedrnn.cli._app import app
from gatedrnn.cli._fields import option, size, with_options
from gatedrnn.cli._models import one_model
from gatedrnn.cli._options import find_cell, path_of
from gatedrnn.cli._settings import zero_or_held

END_OF_KEYS = 2**32 - 1


def _texts(name: str, values: list[str]) -> None:
    for value in values:
        _text(name, value)


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
    prompt: list[str] = option(
        ("The ",), "What the text begins with; several may be given, each with its own draws.", check=_texts
    ),
    length: int = option(500, "Bytes to add.", check=size(most=10_000_000, unit=" bytes")),
    temperature: float = option(0.8, "Below 1: likelier bytes; 0: the likeliest.", check=zero_or_held),
    seed: int = option(0, "Of the random draws.", check=size(least=0, most=END_OF_KEYS)),
    of_seed: int | None = option(
        None, "Whose model, in a folder with those of several seeds.", check=size(least=0, most=END_OF_KEYS)
    ),
    cell: str | None = option(None, "MODULE:CELL of the model's cell, if it is your own."),
) -> None:
    """Let a model trained on text go on from a prompt."""
    path = one_model(model, seed=of_seed)
    import jax
    import jax.numpy as jnp
    import numpy as np

    import gatedrnn as gr
    from gatedrnn.tasks import text

    loaded = gr.load(path, () if cell is None else (find_cell(cell),))
    if loaded.model.input_size != text.SYMBOLS or loaded.model.embedding_size is None:
        raise fail("model", "one trained on text", f"one trained on {loaded.about.get('task', 'features')!r}")
    begun, key = [each.encode() for each in prompt], jax.random.key(seed)
    if len(begun) == 1:
        (symbols,), lengths = (jnp.array(list(each)) for each in begun), None
    else:
        most = max(map(len, begun))
        symbols = jnp.array([list(each.ljust(most, b"\0")) for each in begun])
        lengths = jnp.array([len(each) for each in begun])
    drawn = gr.models.generate(loaded.model, loaded.params, key, symbols, length, temperature, lengths=lengths)
    for each, rest in zip(begun, np.atleast_2d(np.asarray(drawn, np.uint8)), strict=True):
        sys.stdout.buffer.write(each + bytes(rest) + b"\n")
