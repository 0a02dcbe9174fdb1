"""Forecasts: a closed loop, by hand one step of `unroll` at a time; in batches, under transformations, and refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gatedrnn as gr
from gatedrnn.models import Model, forecast, read_out

every_cell = pytest.mark.parametrize("cell", gr.cells.CLASSICS.values(), ids=gr.cells.CLASSICS)
D = 2
XS = np.random.default_rng(0).normal(size=(9, 3, D)).astype("float32")


@pytest.fixture
def trained(drawn):
    """(cell) -> a model of two columns, with weights of a size at which a loop does not run away."""

    def make(cell, dtype="float32"):
        model = Model(cell, D, 4, D)
        return model, jax.tree.map(lambda a: a * a.dtype.type(0.4), drawn(model, dtype, seed=7))

    return make


def by_hand(model, params, xs, length):
    """One step after the other: each output is the next input."""
    carry, ys = gr.unroll(model.cell, params.cell, xs)
    found = []
    for _ in range(length):
        found.append(read_out(params.readout, ys[-1]))
        carry, ys = gr.unroll(model.cell, params.cell, found[-1][None], carry)
    return np.stack(found)


@every_cell
@pytest.mark.parametrize("xs", [XS, XS[:, 0], XS[:1]], ids=["several", "one", "one step"])
def test_a_closed_loop(cell, xs, trained):
    model, params = trained(cell)
    got = forecast(model, params, xs, 6)
    assert (got.shape, got.dtype) == ((6, *xs.shape[1:]), jnp.float32)
    np.testing.assert_allclose(got, by_hand(model, params, jnp.asarray(xs), 6), rtol=1e-5, atol=1e-6)


def test_each_series_goes_on_as_alone(trained):
    """And under `jit`, `vmap` and `grad` as outside."""
    model, params = trained(gr.gru)
    got = forecast(model, params, XS, 5)
    for b in range(3):
        np.testing.assert_allclose(got[:, b], forecast(model, params, XS[:, b], 5), rtol=1e-5, atol=1e-6)
    mapped = jax.vmap(lambda xs: forecast(model, params, xs, 5), 1, 1)(XS)
    jitted = jax.jit(lambda params, xs: forecast(model, params, xs, 5))(params, XS)
    np.testing.assert_allclose(mapped, got, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jitted, got, rtol=1e-5, atol=1e-6)
    last = lambda xs: forecast(model, params, xs, 5)[-1].sum()
    step = np.zeros_like(XS)
    step[-1, 0, 0] = 1e-2
    slope = (last(XS + step) - last(XS - step)) / 2e-2
    assert float(jax.grad(last)(jnp.asarray(XS))[-1, 0, 0]) == pytest.approx(float(slope), rel=2e-2, abs=1e-4)


def test_other_dtypes(trained):
    """Weights of half precision; the forecast is of the series's own type."""
    model, params = trained(gr.lstm, "bfloat16")
    assert forecast(model, params, XS, 4).dtype == jnp.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": Model(gr.gru, 2, 4, 1)}, "`model` must be one that predicts every column .*; got 2 features and 1"),
        (
            {"model": Model(gr.gru, 2, 4, 2, 3)},
            "`model` must be one that predicts every column .*; got 2 symbols and 2",
        ),
        ({"model": "gru"}, "`model` must be a Model"),
        ({"params": {}}, "`params` must be a ModelParams"),
        ({"length": 0}, "`length` must be a whole number"),
        ({"xs": XS[:0]}, r"`xs` must be real numbers .* at least one step; got float32 \(0, 3, 2\)"),
        ({"xs": XS[..., :1]}, r"`xs` must be real numbers .* with D = 2"),
        ({"xs": XS[:, 0, 0]}, r"`xs` must be real numbers .*; got float32 \(9,\)"),
        ({"xs": np.ones((3, 2), int)}, "`xs` must be real numbers"),
        ({"xs": "data.csv"}, "`xs` must be real numbers"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_refused(trained, change, message):
    model, params = trained(gr.gru)
    with pytest.raises(ValueError, match=f"^{message}"):
        forecast(**{"model": model, "params": params, "xs": XS, "length": 3} | change)
