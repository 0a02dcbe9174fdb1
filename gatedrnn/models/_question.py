"""What is asked of a trained model over sequences of its own kind: one answer at the end, and the loss of all.

readout = answer at the last step        of symbols the log probability of the one that follows, else a predicted value
loss    = mean over all steps of -ln softmax(y_t)[target_t], or of (y_t - target_t)^2
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._check import check_array, check_kind, check_size, fail
from gatedrnn._sequence import check_causal
from gatedrnn._unroll import unroll
from gatedrnn.models._model import Model, ModelParams, read_out


class Question(NamedTuple):
    """What `gatedrnn.flow.inspect` is given.

    Attributes:
        xs: what the recurrence reads, [T, B, D].
        dys: d readout / d ys, [T, B, H]: zero but at the last step.
        loss: `ys [T, B, H] -> value []`, in the format of `ys`.
        along: of symbols, by how much what stands for each differs from the mean of all that are read, [T, B, D]; None
            for features.
        answers: the readout of each row, [B].
        value: what the loss is of the outputs as they are, [].
    """

    xs: Array
    dys: Array
    loss: Callable[[Array], Array]
    along: Array | None
    answers: Array
    value: Array


def question(model: Model, params: ModelParams, xs: Array, targets: Array, output: int = 0) -> Question:
    """Asks a model that was trained to answer at every step, such as one of text or of a series.

    Args:
        model: the function.
        params: its weights.
        xs: symbols, whole numbers [T, B], or features [T, B, D]; of at least one step and row.
        targets: whole numbers [T, B] for a model of classes, or values [T, B, O].
        output: which value is the readout, where targets are values.

    Raises:
        ValueError: the network reads backwards, or shapes or dtypes do not go together.

    Example:
        >>> import jax, jax.numpy as jnp, gatedrnn as gr
        >>> model = gr.models.Model(gr.gru, 5, 8, 5, embedding_size=3)
        >>> params, symbols = model.init(jax.random.key(0)), jnp.arange(42).reshape(21, 2) % 5
        >>> asked = gr.models.question(model, params, symbols[:-1], symbols[1:])
        >>> asked.xs.shape, asked.dys.shape, asked.answers.shape
        ((20, 2, 3), (20, 2, 8), (2,))
    """
    check_kind("model", Model, model, "gatedrnn.load(path).model")
    check_kind("params", ModelParams, params, "gatedrnn.load(path).params")
    check_causal("model.cell", model.cell)
    xs, targets = _check_pair(model, xs, targets)
    output = check_size("output", output, 0, model.output_size - 1)
    read = model.features(params, xs)
    classes = jnp.issubdtype(targets.dtype, jnp.integer)

    def answered(ys: Array) -> Array:
        return read_out(jax.tree.map(lambda a: a.astype(ys.dtype), params.readout), ys)

    def loss(ys: Array) -> Array:
        if classes:
            return -_chosen(jax.nn.log_softmax(answered(ys)), targets).mean()
        return jnp.square(answered(ys) - targets.astype(ys.dtype)).mean()

    def readout(y: Array) -> Array:  # [B, H] -> [B]
        return _chosen(jax.nn.log_softmax(answered(y)), targets[-1]) if classes else answered(y)[:, output]

    _, ys = unroll(model.cell, params.cell, read)
    answers, pull = jax.vjp(readout, ys[-1])
    dys = jnp.zeros_like(ys).at[-1].set(pull(jnp.ones_like(answers))[0])
    mean = read.mean((0, 1), keepdims=True)
    along = None if params.embedding is None else read - jnp.broadcast_to(mean, read.shape)
    return Question(read, dys, loss, along, answers, loss(ys))


def _chosen(logs: Array, targets: Array) -> Array:
    """Those of the targets: [..., V] and [...] -> [...]."""
    return jnp.take_along_axis(logs, targets[..., None], -1)[..., 0]


def _check_pair(model: Model, xs: Any, targets: Any) -> tuple[Array, Array]:
    symbols = model.embedding_size is not None
    expected = "whole numbers [T, B]" if symbols else f"real numbers [T, B, D] with D = {model.input_size}"
    xs = check_array("xs", expected, xs)
    kind = jnp.integer if symbols else jnp.floating
    fits = xs.ndim == 2 if symbols else xs.ndim == 3 and xs.shape[2] == model.input_size
    if not fits or 0 in xs.shape or not jnp.issubdtype(xs.dtype, kind):
        raise fail("xs", f"{expected}, of at least one step and row", f"{xs.dtype} {xs.shape}")
    expected = f"whole numbers [T, B], or values [T, B, O] with O = {model.output_size}"
    targets = check_array("targets", expected, targets)
    kind, shape = (
        (jnp.integer, xs.shape[:2]) if targets.ndim == 2 else (jnp.floating, (*xs.shape[:2], model.output_size))
    )
    if targets.shape != shape or not jnp.issubdtype(targets.dtype, kind):
        raise fail("targets", expected, f"{targets.dtype} {targets.shape}")
    return xs, targets
