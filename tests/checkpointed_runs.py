"""Short runs of training that write checkpoints, and how what they end with is compared."""

import os

import jax

import gatedrnn as gr

SETUP = gr.train.Setup(gr.tasks.adding, gr.lstm, horizon=8, hidden_size=4, batch=2)


def fit(folder, steps, **options):
    """A short run that writes a checkpoint after every call."""
    return gr.train.fit(SETUP, steps=steps, test_every=4, test_batches=1, folder=folder, save_every=0.0, **options)


def plain(state):
    """The state with keys as numbers, which compare."""
    return state._replace(key=jax.random.key_data(state.key))


def checkpoints(folder, whole=True):
    """The whole checkpoints, or those that are being written, by step, in order."""
    place = folder / "checkpoints"
    found = os.listdir(place) if place.exists() else []
    end = "" if whole else ".orbax-checkpoint-tmp"
    names = [name.removesuffix(end) for name in found if name.endswith(end)]
    return sorted(int(name) for name in names if name.isdigit())
