"""A series goes on: each value that the model predicts is the next that it reads.

h_t = step(h_{t-1}, x_t)        x_{t+1} = h_t W + b
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._check import check_array, check_kind, check_size, fail
from gatedrnn._sequence import check_causal
from gatedrnn._unroll import unroll
from gatedrnn.methods.checkpointed import Checkpointed
from gatedrnn.models._model import Model, ModelParams, read_out


def forecast(model: Model, params: ModelParams, xs: Array, length: int) -> Array:
    """Goes on from a series, or from each of several, in a closed loop; under `jax.jit` and `jax.vmap`, too.

    Args:
        model: one that predicts the next value of every column that it reads: D inputs and D outputs.
        params: its weights.
        xs: what came before, time first, as in training: [T, D], or [T, B, D]; at least one step.
        length: steps to add.

    Returns:
        [`length`, D], or [`length`, B, D], of the dtype of `xs`, in the units of `xs`. A model of
        `gr.tasks.series.prediction` reads standardised values: `gr.tasks.series.units(values)` makes them, and makes
        what is predicted the series's own again.

    Raises:
        ValueError: the model has an embedding, or does not predict what it reads; `xs` has other axes, or no step;
            `length` is no whole number.

    Example:
        >>> import jax, jax.numpy as jnp, gatedrnn as gr
        >>> model = gr.models.Model(gr.gru, 2, 8, 2)
        >>> params = model.init(jax.random.key(0))
        >>> gr.models.forecast(model, params, jnp.ones((100, 3, 2)), 24).shape
        (24, 3, 2)
    """
    check_kind("model", Model, model, "gatedrnn.load(path).model")
    check_kind("params", ModelParams, params, "gatedrnn.load(path).params")
    check_causal("model.cell", model.cell)
    if model.embedding_size is not None or model.input_size != model.output_size:
        inputs = "features" if model.embedding_size is None else "symbols"
        got = f"{model.input_size} {inputs} and {model.output_size} outputs"
        raise fail("model", "one that predicts every column that it reads", got)
    length = check_size("length", length)
    expected = f"real numbers [T, D] or [T, B, D] with D = {model.input_size} and at least one step"
    xs = check_array("xs", expected, xs)
    axes = xs.ndim in (2, 3) and xs.shape[-1] == model.input_size and xs.shape[0] > 0
    if not axes or not jnp.issubdtype(xs.dtype, jnp.floating):
        raise fail("xs", expected, f"{xs.dtype} {xs.shape}")
    return _forecast(model, length, params, xs)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _forecast(model: Model, length: int, params: ModelParams, xs: Array) -> Array:
    method = Checkpointed()
    carry, last = unroll(model.cell, params.cell, xs, method=method, outputs="last")

    def step(state: tuple[Any, Array], _: None) -> tuple[tuple[Any, Array], Array]:
        carry, x = state
        carry, h = model.cell.step(params.cell, carry, x)
        return (carry, read_out(params.readout, h).astype(xs.dtype)), x

    first = read_out(params.readout, last).astype(xs.dtype)  # [D] or [B, D]
    return lax.scan(step, (carry, first), None, length)[1]
