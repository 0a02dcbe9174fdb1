"""flax.nnx: `RNN` and `Bidirectional` over flax's own cells, and `Recurrent` over any cell of this library.

from gatedrnn.modules import nnx as rnn        # was: from flax import nnx as rnn
rnn.RNN(rnn.LSTMCell(8, 16, rngs=rngs))
"""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.recurrent import RNNCellBase
from jax import Array

from gatedrnn._method import Method, check_method_value
from gatedrnn.interop._flax_cells import nnx_cell, nnx_weights
from gatedrnn.methods.auto import Auto
from gatedrnn.modules._edge import Layout
from gatedrnn.modules._flax import run_flax
from gatedrnn.modules._nnx import GRU, LSTM, Recurrent

LSTMCell = nnx.LSTMCell
OptimizedLSTMCell = nnx.OptimizedLSTMCell
GRUCell = nnx.GRUCell
SimpleCell = nnx.SimpleCell
Bidirectional = nnx.Bidirectional

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Bidirectional",
    "GRUCell",
    "LSTMCell",
    "OptimizedLSTMCell",
    "Recurrent",
    "SimpleCell",
]


class RNN(nnx.RNN):
    """flax's `nnx.RNN`, with `gatedrnn.unroll` in the place of its scan.

    The cell is flax's own and keeps its parameters, their names, initialisers and sharding: checkpoints, `nnx.state`,
    optimisers and transformations see what they saw. What it returns is flax's, but for padding:

    - the outputs behind a sequence's length are zero, where flax computes on; what stands there, NaN included, is never
      read, so no gradient depends on it;
    - the carry of a sequence of length zero is the first one, where flax gives the last; a batch may have any number of
      axes there.

    Args:
        cell: an `nnx.LSTMCell`, `OptimizedLSTMCell`, `GRUCell` or `SimpleCell` with sigmoid and tanh.
        time_major: inputs are [T, *batch, D], in the place of [*batch, T, D].
        return_carry: return the last carry, too.
        reverse: run from each sequence's last step to its first.
        keep_order: with `reverse`, outputs stay at their inputs' places; else the first that was computed comes first.
        method: how `unroll` evaluates and differentiates.
        options: others of `nnx.RNN`. `rngs` is for cells with a `carry_init`; `unroll`, `state_axes` and
            `broadcast_rngs` say how flax's scan is to be run, and there is none.

    Raises:
        ValueError: the cell is another one, or has other functions.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from gatedrnn.modules import nnx as rnn
        >>> layer = rnn.RNN(rnn.LSTMCell(8, 16, rngs=nnx.Rngs(0)), return_carry=True)
        >>> (c, h), ys = layer(jnp.ones((4, 100, 8)), seq_lengths=jnp.array([100, 50, 1, 0]))
        >>> ys.shape, h.shape
        ((4, 100, 16), (4, 16))

    References:
        https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/recurrent.html
    """

    def __init__(
        self,
        cell: RNNCellBase,
        *,
        time_major: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        method: Method = Auto(),
        **options: Any,
    ):
        super().__init__(
            cell,
            time_major=time_major,
            return_carry=return_carry,
            reverse=reverse,
            keep_order=keep_order,
            **options,
        )
        nnx_cell(cell)
        self.method = check_method_value(method)

    def __call__(
        self,
        inputs: Array,
        *,
        initial_carry: Any = None,
        seq_lengths: Array | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ) -> Any:
        """Runs the cell; what is None is as `__init__` was told.

        Args:
            inputs: [*batch, T, D], or [T, *batch, D].
            initial_carry: [*batch, H], of the LSTM (c, h); else the cell's `initialize_carry` makes it.
            seq_lengths: whole numbers [*batch], each from 0 to T: the steps that are there.
            return_carry: as in `__init__`.
            time_major: as in `__init__`.
            reverse: as in `__init__`.
            keep_order: as in `__init__`.
            rngs: for the cell's `initialize_carry`.

        Returns:
            The outputs [*batch, T, H], or [T, *batch, H]; with `return_carry`, (carry, outputs), the carry that of each
            sequence's last step that is there.

        Raises:
            ValueError: an argument has the wrong rank, width, dtype or structure.
        """
        cell: Any = self.cell
        layout = Layout.of(inputs, self.time_major if time_major is None else time_major)
        if initial_carry is None:
            rngs = self.rngs if rngs is None else rngs
            rngs = rngs.carry.fork() if isinstance(rngs, nnx.Rngs) else rngs
            initial_carry = cell.initialize_carry((*layout.batch, jnp.shape(inputs)[-1]), rngs)
        kind = nnx_cell(cell)
        carry, ys = run_flax(
            kind,
            nnx_weights(kind, cell),
            inputs,
            initial_carry,
            layout,
            dtype=cell.dtype,
            method=self.method,
            seq_lengths=seq_lengths,
            reverse=self.reverse if reverse is None else reverse,
            keep_order=self.keep_order if keep_order is None else keep_order,
        )
        return (carry, ys) if (self.return_carry if return_carry is None else return_carry) else ys
