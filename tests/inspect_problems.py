"""Models to inspect, and the files of text and of a series that they read."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import gatedrnn as gr

T, B, H, D = 20, 3, 4, 2
TRAINED, COUNT = 8, 400  # steps of a training's sequence; bytes, or rows, of a file
NAME = "odd <b> & 'ü'.txt"
LETTERS = ("the cat sat on the mät, " * 20).encode()[:COUNT]
ROWS = np.stack([5 + np.sin(np.arange(COUNT) / 3), 100 + 50 * np.cos(np.arange(COUNT) / 5)], 1)
SIZES = ("--horizon", T, "--batch", B, "--shown", 12)


def saved(folder, cell, inputs, outputs, about, embedding=None, change=lambda params: params):
    """A model with weights as wide as trained ones have, in a folder."""
    model = gr.models.Model(cell, inputs, H, outputs, embedding)
    params = jax.tree.map(lambda a: 1.5 * a, model.init(jax.random.key(3)))
    gr.models.save(folder, model, change(params), {"horizon": TRAINED, **about})


def save_models():
    """Models of text and of a series, with the same cell and sizes, so that what is compiled for one serves both."""
    Path(NAME).write_bytes(LETTERS)
    lines = ["height,wind", *(f"{a:.9g},{b:.9g}" for a, b in ROWS)]
    Path("tide.csv").write_text("\n".join(lines) + "\n")
    Path("empty.txt").write_text("")
    Path("one.txt").write_text("a")
    units = gr.tasks.series.units(ROWS, columns=["height", "wind"]).described()
    saved("prose", gr.lstm, 256, 256, {"task": "text"}, D)
    saved("untold", gr.lstm, 256, 256, {"task": "text", "horizon": None}, D)
    saved("tide", gr.lstm, D, D, {"task": "series", "columns": units})
    huge = lambda params: jax.tree.map(lambda a: 1e37 * a, params)
    saved("huge", gr.lstm, D, D, {"task": "series", "columns": units}, change=huge)
    saved("adding", gr.rnn, D, 1, {"task": "adding"})
    saved("both-ways", gr.bidirectional(gr.rnn), 256, 256, {"task": "text"}, D)
    broken = lambda params: params._replace(embedding=params.embedding.at[0, 0].set(jnp.nan))
    saved("broken", gr.rnn, 256, 256, {"task": "text"}, D, broken)
    saved("two", gr.rnn, 256, 256, {"task": "text"}, D)
    for kind in ("json", "safetensors"):
        Path(f"two/model.{kind}").rename(f"two/model-3.{kind}")
