"""flax: the linen cells SimpleCell, GRUCell, LSTMCell and OptimizedLSTMCell, and the nnx cells of the same names.

linen   a layer per gate, `i*` for the input and `h*` for the state: LSTM biases at `h*`, GRU biases at `i*` and `hn`
nnx     `dense_i` and `dense_h`, gates side by side in the house order; LSTMCell has a layer per gate instead
        GRUCell has no bias at `dense_h`, although its docstring prints b_hn
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._check import fail, shown
from gatedrnn._forms import Carry, Params
from gatedrnn.cells import gru, lstm, rnn
from gatedrnn.interop._blocks import array, cell_of, check_options, join, kind_of, part
from gatedrnn.interop._verify import Errors, Outputs, differentiated, largest_errors

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


def from_linen(module: nn.RNNCellBase, variables: Mapping[str, Any]) -> tuple[Cell, Params]:
    """The cell that a linen cell computes, and its weights.

    Args:
        module: a SimpleCell, GRUCell, LSTMCell or OptimizedLSTMCell.
        variables: what its `init` gave, `{"params": {...}}`, partitioned or not. Inside `nn.RNN` they stand
            under `["params"]["cell"]`.

    Returns:
        `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`, and its weights in the dtype of the variables.

    Raises:
        ValueError: the module has another type, a residual connection, or another function than sigmoid at the gates,
            tanh at the candidate or zeros at the first carry; or the variables are not those of one such cell.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp
        >>> from gatedrnn.interop.flax import from_linen
        >>> module = nn.GRUCell(16)
        >>> variables = module.init(jax.random.key(0), jnp.zeros((4, 16)), jnp.zeros((4, 8)))
        >>> cell, params = from_linen(module, variables)

    References:
        https://flax-linen.readthedocs.io/en/latest/api_reference/flax.linen/layers.html#recurrent
    """
    cell = linen_cell(module)
    check_options(module, cell, carry_init=nn.initializers.zeros)
    return cell, linen_weights(cell, variables)


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


def to_linen(cell: Cell, params: Params) -> tuple[nn.RNNCellBase, dict[str, Any]]:
    """The inverse of `from_linen`.

    Args:
        cell: `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`.
        params: its weights.

    Returns:
        A SimpleCell, GRUCell or OptimizedLSTMCell and its variables, which fit an LSTMCell as well.

    Raises:
        ValueError: the cell is another one, or `params` are not its weights.
    """
    kind = kind_of(cell, LINEN_KINDS)
    letters = LETTERS[cell]
    w, u, b_x, b_h = (jnp.split(a, len(letters), axis=-1) for a in part(cell, params))
    layers: dict[str, dict[str, Array]] = {}
    for k, letter in enumerate(letters):
        layers["i" + letter], layers["h" + letter] = {"kernel": w[k]}, {"kernel": u[k]}
        layers[("h" if cell == lstm.cell else "i") + letter]["bias"] = b_x[k]
    if cell == gru.cell:
        layers["hn"]["bias"] = b_h[2]
    return kind(features=u[0].shape[0], param_dtype=u[0].dtype), {"params": layers}


def verify_linen(module: nn.RNNCellBase, variables: Mapping[str, Any], xs: Any) -> Errors:
    """Proves `from_linen(module, variables)` on `xs [T, B, D]`, in values and gradients.

    Raises:
        ValueError: as `from_linen`.
    """
    cell, _ = from_linen(module, variables)
    peer = differentiated(lambda v, xs, carry: _scan(functools.partial(module.apply, v), xs, carry))
    return largest_errors(cell, lambda v: from_linen(module, v)[1], variables, peer, xs)


def from_nnx(module: nnx.Module) -> tuple[Cell, Params]:
    """The cell that an nnx cell computes, and its weights.

    Args:
        module: a SimpleCell, GRUCell, LSTMCell or OptimizedLSTMCell.

    Returns:
        `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`, and copies of its weights. The bias inside the reset gate's
        product, which flax's GRU leaves out, becomes zero.

    Raises:
        ValueError: the module has another type, a residual connection, or another function than sigmoid at the gates,
            tanh at the candidate or zeros at the first carry.

    References:
        https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/recurrent.html
    """
    cell = nnx_cell(module)
    check_options(module, cell, carry_init=None)
    return cell, nnx_weights(cell, module)


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


def to_nnx(cell: Cell, params: Params) -> nnx.Module:
    """The inverse of `from_nnx`.

    Args:
        cell: `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`.
        params: its weights.

    Returns:
        A SimpleCell, GRUCell or OptimizedLSTMCell.

    Raises:
        ValueError: the cell is another one, `params` are not its weights, or they have a bias that flax's GRU has not.

    References:
        The missing bias: https://github.com/google/flax/issues/5594
    """
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


def verify_nnx(module: nnx.Module, xs: Any) -> Errors:
    """Proves `from_nnx(module)` on `xs [T, B, D]`, in values and gradients.

    Raises:
        ValueError: as `from_nnx`.
    """
    cell, _ = from_nnx(module)
    structure, weights, *rest = nnx.split(module, nnx.Param, ...)
    peer = differentiated(lambda w, xs, carry: _scan(nnx.merge(structure, w, *rest), xs, carry))
    return largest_errors(cell, lambda w: from_nnx(nnx.merge(structure, w, *rest))[1], weights, peer, xs)


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


def _scan(step: Callable[..., Any], xs: Array, carry: Carry) -> Outputs:
    """flax's step over time; the LSTM's carry is (c, h) there, the others' h."""
    end, ys = lax.scan(step, carry[0] if len(carry) == 1 else tuple(carry)[::-1], xs)
    return type(carry)(*([end] if len(carry) == 1 else end[::-1])), ys
