"""flax, linen and nnx: SimpleCell, GRUCell, LSTMCell and OptimizedLSTMCell, and layers of them.

RNN                        the cell
Bidirectional              gr.bidirectional
Sequential, a list         gr.stack
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
from flax import nnx

from gatedrnn._cell import Cell
from gatedrnn._check import fail, shown
from gatedrnn._forms import Params
from gatedrnn.interop._flax_cells import linen_weights, nnx_weights, to_linen_cell, to_nnx_cell
from gatedrnn.interop._flax_layers import read, run_linen, run_nnx, states_of, variables_of, with_state
from gatedrnn.interop._flax_wrapped import Linen, Nnx
from gatedrnn.interop._networks import Single, directions_of, layers_of, network
from gatedrnn.interop._verify import Errors, differentiated, largest_errors
from gatedrnn.interop._wrapped import width, wrapped


def from_linen(module: Any, variables: Mapping[str, Any], *, path: str | Sequence[Any] = "") -> tuple[Cell, Any]:
    """The cell or network that a linen module computes, and its weights.

    Args:
        module: a SimpleCell, GRUCell, LSTMCell or OptimizedLSTMCell; an `nn.RNN` over one, a Bidirectional of two RNNs;
            or a Sequential or a list of these, from the input's side.
        variables: what `init` gave, of the module or of a whole model, `{"params": {...}}`, partitioned or not.
        path: where the module's variables stand below "params", such as "encoder/rnn". Where its parts stand in
            different places, as the cells of layers made inside an `nn.compact` method do, a list of paths, one for
            each direction or layer: `["OptimizedLSTMCell_0", "OptimizedLSTMCell_1"]`.

    Returns:
        `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`, of both directions `gr.bidirectional`, of several layers a
        `gr.stack`; and the weights in the dtype of the variables.

    Raises:
        ValueError: the module has another type, a residual connection, or another function than sigmoid at the gates,
            tanh at the candidate or zeros at the first carry; it is reversed outside of a Bidirectional, or merges
            otherwise than side by side; or the variables are not those of such a module.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp
        >>> from gatedrnn.interop.flax import from_linen
        >>> module = nn.Bidirectional(nn.RNN(nn.GRUCell(16)), nn.RNN(nn.GRUCell(16)))
        >>> variables = module.init(jax.random.key(0), jnp.zeros((4, 100, 8)))
        >>> cell, params = from_linen(module, variables)
        >>> cell.name
        'bidirectional(gru)'

    References:
        https://flax-linen.readthedocs.io/en/latest/api_reference/flax.linen/layers.html#recurrent
    """
    return network(read(module), _linen, _variables(module, variables, path))


def to_linen(cell: Cell, params: Any) -> tuple[Any, dict[str, Any]]:
    """The inverse of `from_linen`.

    Args:
        cell: `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`; `gr.bidirectional` of one or two of them, merged by
            "concat"; or a `gr.stack` of all these, without dropout.
        params: its weights.

    Returns:
        A SimpleCell, GRUCell or OptimizedLSTMCell and its variables, which fit an LSTMCell as well; a Bidirectional;
        or a Sequential of RNNs and Bidirectionals.

    Raises:
        ValueError: the cell is another one, or `params` are not its weights.
    """
    found: list[tuple[Any, Any]] = []
    for pair in _layers(cell, params):
        cells, held = zip(*(to_linen_cell(*single) for single in pair), strict=True)
        if len(pair) == 1:
            found.append((nn.RNN(cells[0]), {"cell": held[0]}))
        else:
            both = nn.Bidirectional(nn.RNN(cells[0]), nn.RNN(cells[1]))
            found.append((both, {"forward_rnn": {"cell": held[0]}, "backward_rnn": {"cell": held[1]}}))
    if len(found) > 1:
        weights = {f"layers_{place}": held for place, (_, held) in enumerate(found)}
        return nn.Sequential([layer for layer, _ in found]), {"params": weights}
    ((layer, held),) = found
    return (layer.cell, {"params": held["cell"]}) if isinstance(layer, nn.RNN) else (layer, {"params": held})


def verify_linen(module: Any, variables: Mapping[str, Any], xs: Any, *, path: str | Sequence[Any] = "") -> Errors:
    """Proves `from_linen(module, variables, path=path)` on `xs [T, B, D]`, in values and gradients.

    Raises:
        ValueError: as `from_linen`.
    """
    tree, weights = read(module), _variables(module, variables, path)
    cell, _ = network(tree, _linen, weights)
    peer = differentiated(functools.partial(run_linen, tree))
    return largest_errors(cell, lambda w: network(tree, _linen, w)[1], weights, peer, xs)


def wrap_linen(module: Any, variables: Mapping[str, Any], input_size: int) -> tuple[Cell, Any]:
    """Any recurrent cell of linen as it is, and its weights: one of your own, or one that `from_linen` refuses.

    Args:
        module: an `nn.RNNCellBase`: called, `(carry, x [B, D]) -> (carry, y [B, H])`, with `initialize_carry`. What it
            draws or writes on its way is lost: dropout must be off.
        variables: what `init` gave: `{"params": {...}}`, partitioned or not.
        input_size: D.

    Returns:
        A cell that has `step` alone, with the module's carry; and `variables`. Methods but `Autodiff` and measures that
        ask for gates refuse it, all else runs it. Its `init` draws nothing.

    Raises:
        ValueError: the module is no RNNCellBase, has no weights, or `input_size` is no size.

    Example:
        >>> import flax.linen as nn, jax, gatedrnn as gr
        >>> from gatedrnn.interop.flax import wrap_linen
        >>> module, x = nn.MGUCell(16), jax.numpy.ones((4, 8))
        >>> variables = module.init(jax.random.key(0), module.initialize_carry(jax.random.key(0), x.shape), x)
        >>> cell, params = wrap_linen(module, variables, 8)
        >>> gr.flow.lyapunov(cell, params, jax.numpy.ones((20, 4, 8)), k=2).shape
        (4, 2)
    """
    if not isinstance(module, nn.RNNCellBase):
        raise fail("module", "an nn.RNNCellBase", shown(module))
    return wrapped(type(module).__name__, Linen(module, width(input_size)), nn.meta.unbox(dict(variables)))


def wrap_nnx(module: Any, input_size: int) -> tuple[Cell, Any]:
    """The same of nnx.

    Args:
        module: an `nnx.RNNCellBase`, as in `wrap_linen`; copied.
        input_size: D.

    Returns:
        As `wrap_linen`, the weights as an `nnx.State`.

    Raises:
        ValueError: as `wrap_linen`.
    """
    if not isinstance(module, nnx.RNNCellBase):
        raise fail("module", "an nnx.RNNCellBase", shown(module))
    structure, state = nnx.split(module)
    return wrapped(type(module).__name__, Nnx(structure, width(input_size)), state)


def from_nnx(module: Any) -> tuple[Cell, Any]:
    """The cell or network that an nnx module computes, and its weights.

    Args:
        module: a SimpleCell, GRUCell, LSTMCell or OptimizedLSTMCell; an `nnx.RNN` over one, a Bidirectional of two
            RNNs; or a Sequential or a list of these, from the input's side. Of a model, the part that is one:
            `model.encoder`.

    Returns:
        `gatedrnn.rnn`, `gatedrnn.gru` or `gatedrnn.lstm`, of both directions `gr.bidirectional`, of several layers a
        `gr.stack`; and copies of the weights. The bias inside the reset gate's product, which flax's GRU leaves out,
        becomes zero.

    Raises:
        ValueError: the module has another type, a residual connection, or another function than sigmoid at the gates,
            tanh at the candidate or zeros at the first carry; it is reversed outside of a Bidirectional, or merges
            otherwise than side by side.

    References:
        https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/recurrent.html
    """
    tree = read(module)
    return network(tree, _nnx, states_of(tree))


def to_nnx(cell: Cell, params: Any) -> Any:
    """The inverse of `from_nnx`.

    Args:
        cell: as in `to_linen`.
        params: its weights.

    Returns:
        A SimpleCell, GRUCell or OptimizedLSTMCell; a Bidirectional; or a Sequential of RNNs and Bidirectionals.

    Raises:
        ValueError: the cell is another one, `params` are not its weights, or they have a bias that flax's GRU has not.

    References:
        The missing bias: https://github.com/google/flax/issues/5594
    """
    pairs = [[to_nnx_cell(*single) for single in pair] for pair in _layers(cell, params)]
    if [len(pair) for pair in pairs] == [1]:
        return pairs[0][0]
    found = [[nnx.RNN(module) for module in pair] for pair in pairs]
    layers = [nnx.Bidirectional(*pair) if len(pair) == 2 else pair[0] for pair in found]
    return nnx.Sequential(*layers) if len(layers) > 1 else layers[0]


def verify_nnx(module: Any, xs: Any) -> Errors:
    """Proves `from_nnx(module)` on `xs [T, B, D]`, in values and gradients.

    Raises:
        ValueError: as `from_nnx`.
    """
    tree = read(module)
    weights = states_of(tree)
    cell, _ = network(tree, _nnx, weights)
    peer = differentiated(functools.partial(run_nnx, tree))
    return largest_errors(cell, lambda w: network(tree, _nnx, w)[1], weights, peer, xs)


def _linen(single: Single, variables: Any) -> Params:
    return linen_weights(single.cell, variables)


def _nnx(single: Single, state: Any) -> Params:
    return nnx_weights(single.cell, with_state(single.step, state))


def _variables(module: Any, variables: Any, path: Any) -> Any:
    if not isinstance(variables, Mapping):
        raise fail("variables", '{"params": {...}}', shown(variables))
    return variables_of(module, variables.get("params", {}), path)


def _layers(cell: Cell, params: Any) -> list[list[tuple[Cell, Any]]]:
    """The cells of each layer, one or both directions."""
    layers, dropout = layers_of(cell, params)
    pairs = [directions_of(*layer) for layer in layers]
    if dropout or not {merge for _, merge in pairs} <= {"", "concat"}:
        raise fail("cell", "layers without dropout between them, both directions merged by 'concat'", repr(cell.name))
    return [cells for cells, _ in pairs]
