"""equinox.nn.GRUCell and LSTMCell; equinox has no Elman cell.

weight_ih [G * H, D] = W^T        weight_hh [G * H, H] = U^T        bias [G * H]        GRU: bias_n [H] inside the reset
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._forms import Carry, Params
from gatedrnn.cells import gru, lstm
from gatedrnn.interop._blocks import array, cell_of, join, kind_of, part
from gatedrnn.interop._verify import Errors, Outputs, differentiated, largest_errors

CELLS: dict[type, Cell] = {eqx.nn.GRUCell: gru.cell, eqx.nn.LSTMCell: lstm.cell}
KINDS: dict[Cell, Any] = {gru.cell: eqx.nn.GRUCell, lstm.cell: eqx.nn.LSTMCell}


def from_equinox(module: eqx.Module) -> tuple[Cell, Params]:
    """The cell that a cell of equinox computes, and its weights.

    Args:
        module: an `eqx.nn` GRUCell or LSTMCell, with or without bias.

    Returns:
        `gatedrnn.gru` or `gatedrnn.lstm`, and copies of the weights in their dtype.

    Raises:
        ValueError: the module has another type.

    Example:
        >>> import equinox as eqx, jax
        >>> from gatedrnn.interop.equinox import from_equinox
        >>> cell, params = from_equinox(eqx.nn.LSTMCell(8, 16, key=jax.random.key(0)))

    References:
        https://docs.kidger.site/equinox/api/nn/rnn/
    """
    cell = cell_of("module", module, CELLS)
    weights: Any = jax.tree.map(array, module)
    b_h = None
    if cell == gru.cell and weights.use_bias:
        b_h = jnp.concatenate([jnp.zeros_like(weights.bias[: 2 * weights.hidden_size]), weights.bias_n])
    return cell, join(cell, weights.weight_ih.T, weights.weight_hh.T, weights.bias, b_h)


def to_equinox(cell: Cell, params: Params) -> eqx.Module:
    """The inverse of `from_equinox`.

    Args:
        cell: `gatedrnn.gru` or `gatedrnn.lstm`.
        params: its weights.

    Returns:
        An `eqx.nn` GRUCell or LSTMCell.

    Raises:
        ValueError: the cell is another one, or `params` are not its weights.
    """
    kind = kind_of(cell, KINDS)
    w, u, b_x, b_h = part(cell, params)
    weights = {"weight_ih": w.T, "weight_hh": u.T, "bias": b_x}
    if cell == gru.cell:
        weights["bias_n"] = b_h[-u.shape[0] :]
    module = eqx.filter_eval_shape(kind, w.shape[0], u.shape[0], dtype=w.dtype, key=jax.random.key(0))
    return eqx.tree_at(lambda m: [getattr(m, name) for name in weights], module, list(weights.values()))


def verify_equinox(module: eqx.Module, xs: Any) -> Errors:
    """Proves `from_equinox(module)` on `xs [T, B, D]`, in values and gradients.

    Args:
        module: as in `from_equinox`.
        xs: inputs, time-major, [T, B, D].

    Returns:
        The largest error of the outputs and of the gradients in `xs`, the first carry and each of equinox's weights.

    Raises:
        ValueError: as `from_equinox`.
    """
    cell, _ = from_equinox(module)
    return largest_errors(cell, lambda m: from_equinox(m)[1], module, differentiated(_run), xs)


def _run(module: Any, xs: Array, carry: Carry) -> Outputs:
    """equinox's step over the batch and over time; the GRU's carry is h there, the LSTM's (h, c)."""

    def step(state: Any, x: Array) -> tuple[Any, Array]:
        state = jax.vmap(module)(x, state)
        return state, state[0] if isinstance(state, tuple) else state

    end, ys = lax.scan(step, carry[0] if len(carry) == 1 else tuple(carry), xs)
    return type(carry)(*(end if isinstance(end, tuple) else [end])), ys
