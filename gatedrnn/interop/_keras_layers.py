"""Layers of keras as a tree: cells, pairs of directions, and what stands on top of each other.

Single     SimpleRNN, GRU, LSTM, their cells, RNN over one; `step` is the cell of keras
Pair       Bidirectional
Pile       StackedRNNCells, RNN over them, Sequential, a list
"""

import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import jax
import keras
from keras import layers

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn.cells import gru, gru_before, lstm, relu_rnn, rnn
from gatedrnn.interop._blocks import check_options
from gatedrnn.interop._networks import Pair, Pile, Single, Tree

CELLS: dict[type, Cell] = {
    layers.SimpleRNN: rnn.cell,
    layers.GRU: gru.cell,
    layers.LSTM: lstm.cell,
    layers.SimpleRNNCell: rnn.cell,
    layers.GRUCell: gru.cell,
    layers.LSTMCell: lstm.cell,
}
MERGES = {"concat": "concat", "sum": "sum", "ave": "mean", "mul": "product"}
"""keras's word for each of ours."""


def read(layer: Any, backwards: bool = False) -> Tree:
    """The tree of a layer, a cell, a Sequential or a list of layers; with `backwards`, of one that reads from the end.

    Raises:
        ValueError: something in it computes what no cell or network of the package computes, or has no weights yet.
    """
    if (parts := _flat(layer)) != [layer]:
        return _pile(parts)
    if type(layer) is layers.Bidirectional:
        if layer.merge_mode is None:
            raise fail("merge_mode", f"one of {', '.join(MERGES)}: with None, the layer gives two outputs", None)
        ends = read(layer.forward_layer), read(layer.backward_layer, backwards=True)
        return Pair(*ends, MERGES[layer.merge_mode])
    if isinstance(layer, layers.RNN) and layer.go_backwards != backwards:
        wanted = "False, or in a Bidirectional; `gr.unroll(reverse=True)` runs from the end, each output at its place"
        raise fail("go_backwards", wanted, layer.go_backwards)
    step = step_of(layer)
    if type(step) is layers.StackedRNNCells:
        return _pile(step.cells)
    found = step if type(layer) is layers.RNN else layer
    if type(found) not in CELLS:
        names = ", ".join(kind.__name__ for kind in CELLS)
        wanted = f"one of {names}, StackedRNNCells, RNN over one, Bidirectional, Sequential or a list of these"
        raise fail("layer", wanted, type(found).__name__)
    cell = _cell_of(step, CELLS[type(found)])
    _check_single(step, cell)
    return Single(cell, step)


def step_of(layer: Any) -> Any:
    """The cell inside a layer over sequences, or the cell itself."""
    return layer.cell if isinstance(layer, layers.RNN) else layer


def variables(tree: Tree) -> Any:
    """The variables of keras: of a cell by name, of a pair by direction, of a pile as a list."""
    if isinstance(tree, Single):
        names = ("kernel", "recurrent_kernel", "bias")
        return {name: getattr(tree.step, name) for name in names if getattr(tree.step, name) is not None}
    if isinstance(tree, Pair):
        return {"forward": variables(tree.forward), "backward": variables(tree.backward)}
    return [variables(part) for part in tree.layers]


def states(tree: Tree, carry: Any) -> list[Any]:
    """A carry of ours as keras wants it: a list of a cell's parts, one after the other of a pair, nested of a pile."""
    if isinstance(tree, Single):
        return list(carry)
    if isinstance(tree, Pair):
        return states(tree.forward, carry.forward) + states(tree.backward, carry.backward)
    return [states(part, held) for part, held in zip(tree.layers, carry, strict=True)]


def loops(layer: Any) -> list[Any]:
    """keras's layers, one after the other, that give all outputs and the last state; of a pair, a copy is built."""
    if (parts := _flat(layer)) != [layer]:
        return [loop for part in parts if type(part) is not layers.Dropout for loop in loops(part)]
    whole = {"return_sequences": True, "return_state": True}
    if type(layer) is layers.Bidirectional:
        ends = (layer.forward_layer, layer.backward_layer)
        counts = [len(_sizes(end)) for end in ends]
        if counts[0] != counts[1]:
            wanted = "one of directions with states of as many parts, of which keras hands each direction half"
            raise fail("layer", wanted, f"{counts[0]} and {counts[1]}")
        one, other = (type(end).from_config(end.get_config() | whole) for end in ends)
        copy = layers.Bidirectional(one, layer.merge_mode, backward_layer=other, dtype=layer.dtype_policy)
        copy.build((None, None, _width(read(layer))))
        return [copy]
    step = step_of(layer)
    return [layers.RNN(step, dtype=step.dtype_policy, **whole)]


def _sizes(layer: Any) -> list[Any]:
    """Those of a state's parts."""
    return list(layer.state_size) if isinstance(layer.state_size, list | tuple) else [layer.state_size]


def _flat(layer: Any) -> list[Any]:
    """The layers of a Sequential or a list, also of one inside another; of anything else, itself."""
    parts: Any = layer.layers if type(layer) is keras.Sequential else layer
    return [inner for part in parts for inner in _flat(part)] if isinstance(parts, list | tuple) else [layer]


def _pile(parts: Sequence[Any]) -> Tree:
    """Layers one after the other, with nothing between two of them, or dropout.

    Where the rates differ, those below a change are a pile of their own, the first of what it lies in.
    """
    inner = [part for part in parts if type(part) is not layers.Dropout]
    if not inner:
        raise fail("layer", "recurrent layers, at least one", "none")
    for below in inner[:-1]:
        if not getattr(below, "return_sequences", True):
            raise fail("return_sequences", "True of every layer that another one reads", f"False of {below.name!r}")
    rates = _rates(parts)
    first, *above = map(read, inner)
    if not above:
        return first
    pile = Pile((first, above[0]), rates[0])
    for tree, rate in zip(above[1:], rates[1:], strict=True):
        pile = Pile((*pile.layers, tree), rate) if rate == pile.dropout else Pile((pile, tree), rate)
    return pile


def _rates(parts: Sequence[Any]) -> list[float]:
    """The rate of the dropout between each recurrent layer and the next; zero where there is none."""
    drops = [type(part) is layers.Dropout for part in parts]
    if drops[0] or drops[-1] or any(one and other for one, other in itertools.pairwise(drops)):
        raise fail("layer", "one whose Dropout lies between two recurrent layers, and alone there", _kinds(parts))
    if any(part.noise_shape is not None for part in parts if type(part) is layers.Dropout):
        raise fail("noise_shape", "None: `gr.stack` drops each number for itself", "another")
    pairs = itertools.pairwise(parts)
    return [
        below.rate if type(below) is layers.Dropout else 0.0
        for below, part in pairs
        if type(part) is not layers.Dropout
    ]


def _kinds(parts: Sequence[Any]) -> str:
    return ", ".join(type(part).__name__ for part in parts)


def _width(tree: Tree) -> int:
    """D, of the inputs."""
    if isinstance(tree, Single):
        return tree.step.kernel.shape[0]
    return _width(tree.forward if isinstance(tree, Pair) else tree.layers[0])


def _cell_of(step: Any, cell: Cell) -> Cell:
    """The variant that the options make of a cell of keras."""
    if cell == gru.cell and not step.reset_after:
        return gru_before.cell
    if cell == rnn.cell and _bare(step.activation) in (keras.activations.relu, keras.ops.relu, jax.nn.relu):
        return relu_rnn.cell
    return cell


def _check_single(step: Any, cell: Cell) -> None:
    if cell != relu_rnn.cell:
        _check_function(step, cell, "activation", keras.activations.tanh, keras.ops.tanh)
    if cell not in (rnn.cell, relu_rnn.cell):
        _check_function(step, cell, "recurrent_activation", keras.activations.sigmoid, keras.ops.sigmoid)
    if not step.built:
        raise fail("layer", "built, by a first call or `layer.build((None, None, D))`", "one without weights")


def _check_function(step: Any, cell: Cell, option: str, want: Any, alias: Any) -> None:
    """Takes keras's own function under either of its names, or JAX's or NumPy's, or a layer of it."""
    got = _bare(getattr(step, option))
    check_options(SimpleNamespace(**{option: want if got is alias else got}), cell, **{option: want})


def _bare(function: Any) -> Any:
    """The function that a layer of keras applies, or the function itself."""
    return function.activation if type(function) is layers.Activation else function
