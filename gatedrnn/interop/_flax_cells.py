"""flax's cells and their weights: SimpleCell, GRUCell, LSTMCell and OptimizedLSTMCell of linen and of nnx.

linen   a layer per gate, `i*` for the input and `h*` for the state: LSTM biases at `h*`, GRU biases at `i*` and `hn`
nnx     `dense_i` and `dense_h`, gates side by side in the house order; LSTMCell has a layer per gate instead
        GRUCell has no bias at `dense_h`, although its docstring prints b_hn
"""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import fail, shown
from gatedrnn._forms import Params
from gatedrnn.cells import gru, lstm, rnn
from gatedrnn.interop._blocks import array, cell_of, check_options, join, kind_of, part

LINEN_CELLS: dict[type, Cell] = {
    nn.SimpleCell: rnn.cell,
    nn.GRUCell: gru.cell,
    nn.LSTMCell: lstm.cell,
    nn.OptimizedLSTMCell: lstm.cell,
}
LINEN_KINDS: dict[Cell, Any] = {rnn.cell: nn.SimpleCell, gru.cell: nn.GRUCell, lstm.cell: nn.OptimizedLSTMCell}
NNX_CELLS: dict[type, Cell] = {
    nnx.SimpleCell: rnn.cell,
    nnx.GRUCell: gru.cell,
    nnx.LSTMCell: lstm.cell,
    nnx.OptimizedLSTMCell: lstm.cell,
}
NNX_KINDS: dict[Cell, Any] = {rnn.cell: nnx.SimpleCell, gru.cell: nnx.GRUCell, lstm.cell: nnx.OptimizedLSTMCell}
LETTERS = {rnn.cell: ("",), gru.cell: tuple("rzn"), lstm.cell: tuple("ifgo")}
"""What linen calls the gates, in the house order."""
NNX_LSTM = (["ii", "if_", "ig", "io"], ["hi", "hf", "hg", "ho"])
"""The layers of an nnx.LSTMCell, in the house order."""


def linen_cell(module: nn.RNNCellBase) -> Cell:
    """The cell whose step a linen cell computes, from whatever first carry."""
    cell = cell_of("module", module, LINEN_CELLS)
    _check_functions(module, cell)
    return cell


def linen_weights(cell: Cell, variables: Mapping[str, Any]) -> Params:
    """The weights of `cell` from the variables of a linen cell."""
    variables = _plain(variables)
    layers = variables.get("params", {}) if isinstance(variables, Mapping) else {}
    if not isinstance(variables, Mapping) or not isinstance(layers, Mapping):
        raise fail("variables", '{"params": {...}}', shown(variables))
    names = {side + letter for side in "ih" for letter in LETTERS[cell]}
    if set(layers) != names:
        raise fail("variables", f'{{"params": {{...}}}} with the layers {sorted(names)}', sorted(layers or variables))
    (w, b_x), (u, b_h) = (_side([layers[side + letter] for letter in LETTERS[cell]]) for side in "ih")
    return join(cell, w, u, b_x, b_h)


def nnx_cell(module: nnx.Module) -> Cell:
    """The cell whose step an nnx cell computes, from whatever first carry."""
    cell = cell_of("module", module, NNX_CELLS)
    _check_functions(module, cell)
    return cell


def nnx_weights(cell: Cell, module: nnx.Module) -> Params:
    """The weights of `cell` from those of an nnx cell."""
    names = NNX_LSTM if type(module) is nnx.LSTMCell else (["dense_i"], ["dense_h"])
    layers = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    for name in (name for side in names for name in side):
        if type(getattr(module, name)) is not nnx.Linear or name not in layers:
            raise fail(
                "module", f"one whose {name} is an nnx.Linear of nnx.Params", type(getattr(module, name)).__name__
            )
    (w, b_x), (u, b_h) = (_side([layers[name] for name in side]) for side in names)
    return join(cell, w, u, b_x, b_h)


def to_linen_cell(cell: Cell, params: Any) -> tuple[nn.RNNCellBase, dict[str, Any]]:
    """A linen cell and its layers."""
    kind = kind_of(cell, LINEN_KINDS)
    letters = LETTERS[cell]
    w, u, b_x, b_h = (jnp.split(a, len(letters), axis=-1) for a in part(cell, params))
    layers: dict[str, dict[str, Array]] = {}
    for k, letter in enumerate(letters):
        layers["i" + letter], layers["h" + letter] = {"kernel": w[k]}, {"kernel": u[k]}
        layers[("h" if cell == lstm.cell else "i") + letter]["bias"] = b_x[k]
    if cell == gru.cell:
        layers["hn"]["bias"] = b_h[2]
    return kind(features=u[0].shape[0], param_dtype=u[0].dtype), layers


def to_nnx_cell(cell: Cell, params: Any) -> Any:
    """An nnx cell."""
    kind = kind_of(cell, NNX_KINDS)
    w, u, b_x, b_h = part(cell, params)
    if cell == gru.cell and b_h.any():
        raise fail(
            'params.recurrent["b"]',
            "zero to make an nnx.GRUCell, which has no bias b_hn inside the reset gate's product",
            f"values up to {jnp.abs(b_h).max()}",
        )
    inputs, states = {"kernel": w}, {"kernel": u}
    (states if cell == lstm.cell else inputs)["bias"] = b_x
    make = functools.partial(kind, w.shape[0], u.shape[0], dtype=w.dtype, param_dtype=w.dtype)
    structure, state = nnx.split(nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0))))  # draws no starting values
    nnx.replace_by_pure_dict(state, {"dense_i": inputs, "dense_h": states})
    return nnx.merge(structure, state)


def _check_functions(module: Any, cell: Cell) -> None:
    check_options(module, cell, activation_fn=nn.tanh)
    check_options(module, cell, **({"residual": False} if cell == rnn.cell else {"gate_fn": nn.sigmoid}))


def _side(layers: list[Mapping[str, Any]]) -> tuple[Array, Array]:
    """Kernels and biases of layers side by side, [N, G * H] and [G * H]; a layer without a bias has a zero one."""
    for layer in layers:
        if not isinstance(layer, Mapping) or not {"kernel"} <= set(layer) <= {"kernel", "bias"}:
            found = sorted(layer) if isinstance(layer, Mapping) else shown(layer)
            raise fail("variables", "layers of a 'kernel', with or without a 'bias'", found)
    kernels = [array(layer["kernel"]) for layer in layers]
    biases = [array(layer["bias"]) if "bias" in layer else jnp.zeros_like(kernels[0][0]) for layer in layers]
    return jnp.concatenate(kernels, axis=-1), jnp.concatenate(biases)


def _plain(variables: Any) -> Any:
    """The variables without the boxes that say how they are partitioned, or that nnx keeps them in."""
    boxes = nn.meta.AxisMetadata, nnx.Variable
    open_box = lambda leaf: leaf.get_value() if isinstance(leaf, nnx.Variable) else nn.meta.unbox(leaf)
    return jax.tree.map(open_box, variables, is_leaf=lambda leaf: isinstance(leaf, boxes))
