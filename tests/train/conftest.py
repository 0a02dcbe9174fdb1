"""Short runs of training and what they end with, models with weights drawn at random, and series that are refused."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.tasks import series


@pytest.fixture(scope="session")
def adding_setup():
    """The adding task over 8 steps for 4 units."""
    return gr.train.Setup(gr.tasks.adding, gr.lstm, horizon=8, hidden_size=4, batch=2)


@pytest.fixture(scope="session")
def fit(adding_setup):
    """(folder, steps, ...) -> a short run that writes a checkpoint after every call."""

    def run(folder, steps, **options):
        options = {"test_every": 4, "test_batches": 1, "save_every": 0.0} | options
        return gr.train.fit(adding_setup, steps=steps, folder=folder, **options)

    return run


@pytest.fixture(scope="session")
def checkpoints():
    """(folder, whole=True) -> the whole checkpoints of a run, or those that are being written, by step, in order."""

    def steps(folder, whole=True):
        place = folder / "checkpoints"
        found = os.listdir(place) if place.exists() else []
        names = found if whole else [name.split("-")[1] for name in found if name.startswith(".unfinished-")]
        return sorted(int(name) for name in names if name.isdigit())

    return steps


@pytest.fixture(scope="session")
def plain():
    """(state) -> the state with its keys as numbers, which compare."""
    return lambda state: state._replace(key=jax.random.key_data(state.key))


@pytest.fixture(scope="session")
def drawn():
    """(model, dtype, seed) -> weights of the model, none of which is zero; without the compilation of `init`."""

    def draw(model, dtype="float32", seed=0):
        rng = np.random.default_rng(seed)
        shapes = jax.eval_shape(model.init, jax.random.key(0))
        return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), dtype), shapes)

    return draw


@pytest.fixture(scope="session")
def refuses():
    """(file, column, ...) -> the one sentence with which a series is refused, FILE in place of its name."""

    def sentence(file, column=None, **dialect):
        with pytest.raises(ValueError, match=r"^`series` must be .*; got .*\.$") as caught:
            series.read_series(file, column, **dialect)
        message = str(caught.value)
        assert len(message) < 400 + len(str(file))
        return message.replace(str(file), "FILE")

    return sentence


@pytest.fixture(scope="session")
def read_or_refused():
    """(file, column) -> whatever a file holds, it is read as finite numbers [N], or refused by the argument's name."""

    def check(file, column):
        got, message = None, ""
        try:
            got = series.read_series(file, column)
        except ValueError as error:
            message = str(error)
        if got is None:
            assert message.startswith("`series` must be ")
        else:
            assert got.dtype.kind in "fiu"
            assert got.ndim == 1
            assert np.isfinite(got).all()

    return check
