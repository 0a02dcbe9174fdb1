"""keras.layers.SimpleRNN, GRU and LSTM, and their cells: the house layout, but for the GRU's gates and biases.

kernel [D, G * H] = W        recurrent_kernel [H, G * H] = U        bias [G * H]
GRU: gates update, reset, candidate; bias [2, 3 * H], the input's half first; with `reset_after=True` alone.
"""

import functools
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import keras
import numpy as np
from jax import Array
from keras import layers

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn._forms import Carry, Params
from gatedrnn.cells import gru, lstm, rnn
from gatedrnn.interop._blocks import array, cell_of, check_options, join, kind_of, part, reorder
from gatedrnn.interop._verify import Errors, Outputs, differentiated, largest_errors

CELLS: dict[type, Cell] = {
    layers.SimpleRNN: rnn.cell,
    layers.GRU: gru.cell,
    layers.LSTM: lstm.cell,
    layers.SimpleRNNCell: rnn.cell,
    layers.GRUCell: gru.cell,
    layers.LSTMCell: lstm.cell,
}
LAYERS: dict[Cell, Any] = {rnn.cell: layers.SimpleRNN, gru.cell: layers.GRU, lstm.cell: layers.LSTM}
ORDER = {rnn.cell: (0,), gru.cell: (1, 0, 2), lstm.cell: (0, 1, 2, 3)}
"""Where each gate's block stands; each order is its own inverse."""


def from_keras(layer: layers.Layer) -> tuple[Cell, Params]:
    """The cell that a layer of keras computes, and its weights.

    Args:
        layer: a SimpleRNN, GRU or LSTM, a SimpleRNNCell, GRUCell or LSTMCell, or an RNN over one of these; built, with
            or without bias, on any backend. What it returns (`return_sequences`, `return_state`) is free, and so
            are `dropout` and `recurrent_dropout`, which do nothing at inference.

    Returns:
        `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`, and copies of the weights in their dtype. The GRU's two
        biases are summed, but for the candidate's.

    Raises:
        ValueError: the layer has another type or no weights yet, reads its input from the end, has another
            activation than tanh, another recurrent activation than sigmoid, or `reset_after=False`; or its weights are
            float64 and JAX is not set to 64 bits.

    Example:
        >>> import keras
        >>> from gatedrnn.interop.keras import from_keras
        >>> layer = keras.layers.GRU(16)
        >>> layer.build((None, None, 8))
        >>> cell, params = from_keras(layer)

    References:
        https://keras.io/api/layers/recurrent_layers/
    """
    step = _step(layer)
    cell = cell_of("layer", step if type(layer) is layers.RNN else layer, CELLS)
    _check_function(step, cell, "activation", keras.activations.tanh, keras.ops.tanh)
    if step is not layer:
        check_options(layer, cell, go_backwards=False)
    if cell != rnn.cell:
        _check_function(step, cell, "recurrent_activation", keras.activations.sigmoid, keras.ops.sigmoid)
    if cell == gru.cell and not step.reset_after:
        raise fail(
            "reset_after",
            "True to make gatedrnn.gru; with the reset gate before the product the GRU is another function",
            step.reset_after,
        )
    if not step.built:
        raise fail("layer", "built, by a first call or `layer.build((None, None, D))`", "one without weights")
    return cell, converted(cell, _weights(step))


def to_keras(cell: Cell, params: Params) -> layers.RNN:
    """The inverse of `from_keras`, to a layer over sequences [B, T, D].

    Args:
        cell: `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`.
        params: its weights.

    Returns:
        A SimpleRNN, GRU or LSTM in the dtype of the weights, which returns both its sequence and its state; its weights
        fit the cell of the same name.

    Raises:
        ValueError: the cell is another one, or `params` are not its weights.
    """
    kind = kind_of(cell, LAYERS)
    w, u, b_x, b_h = (reorder(blocks, ORDER[cell]) for blocks in part(cell, params))
    # keras's default for the recurrent kernel is drawn by a QR decomposition, which has no 16-bit form.
    options = {"return_sequences": True, "return_state": True, "recurrent_initializer": "glorot_uniform"}
    layer = kind(u.shape[0], dtype=w.dtype.name, **options)
    layer.build((None, None, w.shape[0]))
    bias = jnp.stack([b_x, b_h]) if cell == gru.cell else b_x
    layer.set_weights([np.asarray(a) for a in (w, u, bias)])
    return layer


def verify_keras(layer: layers.Layer, xs: Any) -> Errors:
    """Proves `from_keras(layer)` on `xs [T, B, D]`, in values and gradients; with keras on its JAX backend.

    Errors of float64 layers are those of float32: there, `keras.ops.tanh` rounds whatever it is given to float32.

    Args:
        layer: as in `from_keras`.
        xs: inputs, time-major, [T, B, D].

    Returns:
        The largest error of the outputs and of the gradients in `xs`, the first carry and each of keras's weights.

    Raises:
        ValueError: keras runs on another backend, or as `from_keras`.
    """
    if keras.backend.backend() != "jax":
        raise fail("KERAS_BACKEND", "jax, so that JAX can differentiate keras", keras.backend.backend())
    cell, _ = from_keras(layer)
    peer = differentiated(functools.partial(_run, _step(layer)))
    return largest_errors(cell, functools.partial(converted, cell), _weights(_step(layer)), peer, xs)


def _check_function(step: Any, cell: Cell, option: str, want: Any, alias: Any) -> None:
    """Takes keras's own function under either of its names, or JAX's or NumPy's, or a layer of it."""
    got = getattr(step, option)
    got = got.activation if type(got) is layers.Activation else got
    check_options(SimpleNamespace(**{option: want if got is alias else got}), cell, **{option: want})


def _step(layer: layers.Layer) -> Any:
    """The cell inside a layer over sequences, or the cell itself."""
    return layer.cell if isinstance(layer, layers.RNN) else layer


def _weights(step: Any) -> dict[str, Array]:
    weights = {"kernel": step.kernel, "recurrent_kernel": step.recurrent_kernel, "bias": step.bias}
    return {name: array(keras.ops.convert_to_numpy(a.value)) for name, a in weights.items() if a is not None}


def converted(cell: Cell, weights: dict[str, Array]) -> Params:
    """Ours of a framework's weights by name, as a function that JAX differentiates."""
    weights = {name: reorder(blocks, ORDER[cell]) for name, blocks in weights.items()}
    bias = weights.get("bias")
    b_x, b_h = bias if cell == gru.cell and bias is not None else (bias, None)
    return join(cell, weights["kernel"], weights["recurrent_kernel"], b_x, b_h)


def _run(step: Any, weights: dict[str, Array], xs: Array, carry: Carry) -> Outputs:
    """keras's loop over `step`, with `weights` in the place of its own."""
    loop = layers.RNN(step, return_sequences=True, return_state=True, dtype=step.dtype_policy)
    with keras.StatelessScope(state_mapping=[(getattr(step, name), a) for name, a in weights.items()]):
        ys, *end = loop(xs.swapaxes(0, 1), initial_state=list(carry))
    return type(carry)(*end), ys.swapaxes(0, 1)
