"""keras.layers.SimpleRNN, GRU and LSTM, their cells, and models of them: the house layout, but for the GRU's.

kernel [D, G * H] = W        recurrent_kernel [H, G * H] = U        bias [G * H]
GRU: gates update, reset, candidate; bias [2, 3 * H], the input's half first; [3 * H] with `reset_after=False`.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import Array
from keras import layers

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn._forms import Carry, Params
from gatedrnn._packing import mask_of
from gatedrnn.cells import gru, gru_before, lstm, relu_rnn, rnn
from gatedrnn.interop._blocks import array, join, kind_of, part, reorder
from gatedrnn.interop._keras_layers import MERGES, loops, read, states, variables
from gatedrnn.interop._networks import Single, directions_of, layers_of, network
from gatedrnn.interop._verify import Errors, Outputs, differentiated, largest_errors

LAYERS: dict[Cell, Any] = {
    rnn.cell: layers.SimpleRNN,
    gru.cell: layers.GRU,
    lstm.cell: layers.LSTM,
    gru_before.cell: functools.partial(layers.GRU, reset_after=False),
    relu_rnn.cell: functools.partial(layers.SimpleRNN, activation="relu"),
}
ORDER = {rnn.cell: (0,), relu_rnn.cell: (0,), gru.cell: (1, 0, 2), gru_before.cell: (1, 0, 2), lstm.cell: (0, 1, 2, 3)}
"""Where each gate's block stands; each order is its own inverse."""


def from_keras(layer: Any) -> tuple[Cell, Any]:
    """The cell or network that a layer of keras computes, and its weights.

    `dropout` and `recurrent_dropout` of a layer do nothing at inference and are lost: what is returned has none. A
    `Dropout` between layers of a Sequential is kept, as the stack's; where rates differ, the layers below the change
    are a stack in the stack. Where a mask is False, keras shows the last output again, and `unroll` zero; all else is
    the same.

    Args:
        layer: a SimpleRNN, GRU or LSTM, a SimpleRNNCell, GRUCell or LSTMCell, StackedRNNCells, or an RNN over one of
            these; a Bidirectional of such layers, also with a `backward_layer` of its own; or a Sequential or a list of
            all these, from the input's side. Built, with or without bias, on any backend. What it returns
            (`return_sequences`, `return_state`) is free, but where another layer reads it.

    Returns:
        `gatedrnn.rnn` (of a SimpleRNN with relu, `gatedrnn.relu_rnn`), `gatedrnn.gru` (with `reset_after=False`,
        `gatedrnn.gru_before`) or `gatedrnn.lstm`; of a Bidirectional, `gr.bidirectional`, with the merge modes "ave" as
        "mean" and "mul" as "product"; of layers or cells on top of each other, `gr.stack`. And copies of the weights in
        their dtype. The GRU's two biases are summed, but for the candidate's.

    Raises:
        ValueError: a layer has another type or no weights yet, reads its input from the end outside a Bidirectional,
            has another activation than tanh or another recurrent activation than sigmoid; a Bidirectional does not
            merge; or the weights are float64 and JAX is not set to 64 bits.

    Example:
        >>> import keras
        >>> from gatedrnn.interop.keras import from_keras
        >>> layer = keras.layers.Bidirectional(keras.layers.GRU(16))
        >>> layer.build((None, None, 8))
        >>> cell, params = from_keras(layer)
        >>> cell.name
        'bidirectional(gru)'

    References:
        https://keras.io/api/layers/recurrent_layers/
    """
    tree = read(layer)
    return network(tree, _single, _weights(tree))


def to_keras(cell: Cell, params: Any) -> Any:
    """The inverse of `from_keras`, to a layer over sequences [B, T, D].

    Args:
        cell: `gatedrnn.rnn`, `gatedrnn.gru`, `gatedrnn.lstm`, `gatedrnn.gru_before` or `gatedrnn.relu_rnn`;
            `gr.bidirectional` of one or two of them; or a `gr.stack` of all these.
        params: its weights.

    Returns:
        A SimpleRNN, GRU or LSTM in the dtype of the weights, or a Bidirectional, which returns both its sequence and
        its state; its weights fit the cell of the same name. Of several layers a Sequential, which returns its sequence
        alone, with the stack's `dropout` as layers of keras.

    Raises:
        ValueError: the cell is another one, or `params` are not its weights.
    """
    parts = _in_a_row(cell, params)
    if len(parts) == 1:
        return _layer(*parts[0][:2], return_state=True)[0]
    found: list[Any] = []
    for place, (one, held, dropout) in enumerate(parts):
        layer, width = _layer(one, held, return_state=False)
        if not place:
            found.append(keras.Input((None, width), dtype=layer.dtype))
        elif dropout:
            found.append(layers.Dropout(dropout, dtype=layer.dtype))
        found.append(layer)
    return keras.Sequential(found)


def verify_keras(layer: Any, xs: Any, *, lengths: Any = None) -> Errors:
    """Proves `from_keras(layer)` on `xs [T, B, D]`, in values and gradients; with keras on its JAX backend.

    Errors of float64 layers are those of float32: there, `keras.ops.tanh` rounds whatever it is given to float32.

    Args:
        layer: as in `from_keras`.
        xs: inputs, time-major, [T, B, D].
        lengths: whole numbers [B], the steps of each row that are there: keras's mask. Outputs after them are left out.

    Returns:
        The largest error of the outputs and of the gradients in `xs`, the first carry and each of keras's weights: of
        models under names such as "0/forward/kernel".

    Raises:
        ValueError: keras runs on another backend, or gives no first carry to both directions, where one has more parts
            than the other; or as `from_keras`, and as `unroll` of `lengths`.
    """
    if keras.backend.backend() != "jax":
        raise fail("KERAS_BACKEND", "jax, so that JAX can differentiate keras", keras.backend.backend())
    tree = read(layer)
    weights = _weights(tree)
    cell, _ = network(tree, _single, weights)
    peer = differentiated(functools.partial(_run, loops(layer), lengths))
    return largest_errors(cell, lambda w: network(tree, _single, w)[1], weights, peer, xs, lengths)


def converted(cell: Cell, weights: dict[str, Array]) -> Params:
    """Ours of a framework's weights by name, as a function that JAX differentiates."""
    weights = {name: reorder(blocks, ORDER[cell]) for name, blocks in weights.items()}
    bias = weights.get("bias")
    b_x, b_h = bias if cell == gru.cell and bias is not None else (bias, None)
    return join(cell, weights["kernel"], weights["recurrent_kernel"], b_x, b_h)


def _single(single: Single, weights: dict[str, Array]) -> Params:
    return converted(single.cell, weights)


def _weights(tree: Any) -> Any:
    return jax.tree.map(lambda a: array(keras.ops.convert_to_numpy(a.value)), variables(tree))


def _in_a_row(cell: Cell, params: Any) -> list[tuple[Cell, Any, float]]:
    """Layers with their weights and the dropout below each, also those of a stack that is the first of a stack."""
    (first, *above), dropout = layers_of(cell, params)
    below = [(*first, 0.0)] if first[0] == cell else _in_a_row(*first)
    return below + [(*layer, dropout) for layer in above]


def _layer(cell: Cell, params: Any, **options: Any) -> tuple[Any, int]:
    """A layer of one direction or both, built, with its weights; and D."""
    cells, merge = directions_of(cell, params)
    kinds = [kind_of(one, LAYERS) for one, _ in cells]
    blocks = [[reorder(block, ORDER[one]) for block in part(one, held)] for one, held in cells]
    # keras's default for the recurrent kernel is drawn by a QR decomposition, which has no 16-bit form.
    options = {"return_sequences": True, "recurrent_initializer": "glorot_uniform", **options}
    found = [
        kind(u.shape[0], dtype=w.dtype.name, go_backwards=bool(place), **options)
        for place, (kind, (w, u, *_)) in enumerate(zip(kinds, blocks, strict=True))
    ]
    layer, width = found[0], blocks[0][0].shape[0]
    if merge:
        word = next(word for word, ours in MERGES.items() if ours == merge)
        layer = layers.Bidirectional(found[0], word, backward_layer=found[1], dtype=blocks[0][0].dtype.name)
        found = [layer.forward_layer, layer.backward_layer]  # the first of them a copy
    layer.build((None, None, width))
    for one, (held, _), (w, u, b_x, b_h) in zip(found, cells, blocks, strict=True):
        bias = jnp.stack([b_x, b_h]) if held == gru.cell else b_x
        one.set_weights([np.asarray(a) for a in (w, u, bias)])
    return layer, width


def _run(running: list[Any], lengths: Any, weights: Any, xs: Array, carry: Carry) -> Outputs:
    """keras's own loops, one after the other, with `weights` in the place of their variables."""
    trees = [read(loop) for loop in running]
    held = jax.tree.leaves([variables(tree) for tree in trees])
    mask = None if lengths is None else mask_of(lengths, xs.shape[:2]).T  # [B, T]
    ys, ends = xs.swapaxes(0, 1), []
    with keras.StatelessScope(state_mapping=list(zip(held, jax.tree.leaves(weights), strict=True))):
        for loop, tree, first in zip(running, trees, _carries(carry, len(running)), strict=True):
            ys, *end = loop(ys, initial_state=states(tree, first), mask=mask)
            ends.append(end)
    if mask is not None:
        ys = jnp.where(jnp.broadcast_to(mask[..., None], ys.shape), ys, jnp.zeros_like(ys))
    return jax.tree.unflatten(jax.tree.structure(carry), jax.tree.leaves(ends)), ys.swapaxes(0, 1)


def _carries(carry: Any, count: int) -> list[Any]:
    """Those of so many layers in a row, of which the first may be inside a stack of their own."""
    if count == 1:
        return [carry]
    first, *above = carry
    return [*_carries(first, count - len(above)), *above]
