"""equinox.nn.GRUCell and LSTMCell, and lists of them; equinox has no Elman cell.

weight_ih [G * H, D] = W^T        weight_hh [G * H, H] = U^T        bias [G * H]        GRU: bias_n [H] inside the reset
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn._forms import Carry, Params
from gatedrnn.cells import gru, lstm
from gatedrnn.interop._blocks import array, cell_of, join, kind_of, part
from gatedrnn.interop._networks import layers_of, stacked
from gatedrnn.interop._verify import Errors, Outputs, differentiated, largest_errors
from gatedrnn.interop._wrapped import Fixed, wrapped

CELLS: dict[type, Cell] = {eqx.nn.GRUCell: gru.cell, eqx.nn.LSTMCell: lstm.cell}
KINDS: dict[Cell, Any] = {gru.cell: eqx.nn.GRUCell, lstm.cell: eqx.nn.LSTMCell}


def from_equinox(module: eqx.Module | Sequence[eqx.Module]) -> tuple[Cell, Any]:
    """The cell that a cell of equinox computes, or the stack that several do, and its weights.

    Args:
        module: an `eqx.nn` GRUCell or LSTMCell, with or without bias; or a list or tuple of them, from the input's
            side, of which each reads what the one before it shows.

    Returns:
        `gatedrnn.gru` or `gatedrnn.lstm`, of several cells a `gr.stack`, and copies of the weights in their dtype.

    Raises:
        ValueError: the module has another type, or a cell does not fit on the one below.

    Example:
        >>> import equinox as eqx, jax
        >>> from gatedrnn.interop.equinox import from_equinox
        >>> cell, params = from_equinox(eqx.nn.LSTMCell(8, 16, key=jax.random.key(0)))

    References:
        https://docs.kidger.site/equinox/api/nn/rnn/
    """
    if not isinstance(module, Sequence):
        return _single(module)
    cells: list[Any] = list(module)
    layers = [_single(each) for each in cells]
    if not layers:
        raise fail("module", "a cell of equinox, or several", "none")
    sizes = [(each.input_size, each.hidden_size) for each in cells]
    for (_, shown), (read, _) in pairwise(sizes):
        if read != shown:
            raise fail(
                "module", f"cells that lie on each other, one that reads {shown} numbers on one of {shown}", read
            )
    return stacked(layers)


def to_equinox(cell: Cell, params: Any) -> eqx.Module | tuple[eqx.Module, ...]:
    """The inverse of `from_equinox`.

    Args:
        cell: `gatedrnn.gru` or `gatedrnn.lstm`, or a `gr.stack` of them, whose dropout is no part of the cells.
        params: its weights.

    Returns:
        An `eqx.nn` GRUCell or LSTMCell; of a stack of several layers, a tuple of them.

    Raises:
        ValueError: the cell is another one, or `params` are not its weights.
    """
    layers, _ = layers_of(cell, params)
    found = tuple(_module(*layer) for layer in layers)
    return found if len(found) > 1 else found[0]


def verify_equinox(module: eqx.Module | Sequence[eqx.Module], xs: Any) -> Errors:
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


def first_part(state: Any) -> Array:
    """The first array of a state, which is h in equinox's cells."""
    return jax.tree.leaves(state)[0]


def wrap_equinox(module: eqx.Module, state: Any, *, output: Callable[[Any], Array] = first_part) -> tuple[Cell, Any]:
    """Any recurrent cell of equinox as it is, and its weights: one of your own, or one that `from_equinox` refuses.

    Args:
        module: called, `(x [D], state) -> state`, of one row. What it draws on its way must come from no key.
        state: the first state of one row, a pytree of floating arrays: `jnp.zeros(16)`, of an LSTM two of them.
        output: what a step shows, [H], of the state after it.

    Returns:
        A cell that has `step` alone, with the module's state as its carry; and the module's floating arrays, None in
        the place of all else. Methods but `Autodiff` and measures that ask for gates refuse it, all else runs it. Its
        `init` draws nothing.

    Raises:
        ValueError: the module has no weights.

    Example:
        >>> import equinox as eqx, jax, jax.numpy as jnp, gatedrnn as gr
        >>> from gatedrnn.interop.equinox import wrap_equinox
        >>> class Leaky(eqx.Module):
        ...     linear: eqx.nn.Linear
        ...     def __call__(self, x, h):
        ...         return 0.9 * h + 0.1 * jnp.tanh(self.linear(jnp.concatenate([x, h])))
        >>> module = Leaky(eqx.nn.Linear(8 + 16, 16, key=jax.random.key(0)))
        >>> cell, params = wrap_equinox(module, jnp.zeros(16))
        >>> gr.flow.adjoint(cell, params, jnp.ones((20, 4, 8))).log10_norm["state"].shape
        (21, 4)
    """
    return wrapped(type(module).__name__, _Equinox(Fixed(state), output), module)


def _single(module: eqx.Module) -> tuple[Cell, Params]:
    cell = cell_of("module", module, CELLS)
    weights: Any = jax.tree.map(array, module)
    b_h = None
    if cell == gru.cell and weights.use_bias:
        b_h = jnp.concatenate([jnp.zeros_like(weights.bias[: 2 * weights.hidden_size]), weights.bias_n])
    return cell, join(cell, weights.weight_ih.T, weights.weight_hh.T, weights.bias, b_h)


def _module(cell: Cell, params: Any) -> eqx.Module:
    kind = kind_of(cell, KINDS)
    w, u, b_x, b_h = part(cell, params)
    weights = {"weight_ih": w.T, "weight_hh": u.T, "bias": b_x}
    if cell == gru.cell:
        weights["bias_n"] = b_h[-u.shape[0] :]
    module = eqx.filter_eval_shape(kind, w.shape[0], u.shape[0], dtype=w.dtype, key=jax.random.key(0))
    return eqx.tree_at(lambda m: [getattr(m, name) for name in weights], module, list(weights.values()))


def _run(module: Any, xs: Array, carry: Carry) -> Outputs:
    """equinox's steps over the batch and over time; the GRU's carry is h there, the LSTM's (h, c)."""
    if isinstance(module, list | tuple):
        ends = []
        for each, first in zip(module, carry, strict=True):
            end, xs = _run(each, xs, first)
            ends.append(end)
        return tuple(ends), xs

    def step(state: Any, x: Array) -> tuple[Any, Array]:
        state = jax.vmap(module)(x, state)
        return state, state[0] if isinstance(state, tuple) else state

    end, ys = lax.scan(step, carry[0] if len(carry) == 1 else tuple(carry), xs)
    return type(carry)(*(end if isinstance(end, tuple) else [end])), ys


@dataclass(frozen=True)
class _Equinox:
    """How equinox runs a cell, whose modules know of no batch."""

    state: Fixed
    output: Callable[[Any], Array]

    def step(self, held: Any, carry: Carry, x: Array) -> tuple[Carry, Array]:
        module, output = held, self.output
        for _ in x.shape[:-1]:
            module, output = jax.vmap(module), jax.vmap(output)
        after = module(x, carry)
        return after, output(after)

    def first(self, held: Any, batch: tuple[int, ...]) -> Carry:
        return jax.tree.map(lambda a: jnp.broadcast_to(a, (*batch, *jnp.shape(a))), self.state.tree)
