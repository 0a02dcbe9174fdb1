"""flax.linen: `RNN` and `Bidirectional` over flax's own cells, and `Recurrent` over any cell of this library.

from gatedrnn.modules import linen as rnn        # was: import flax.linen as rnn
rnn.RNN(rnn.LSTMCell(16))
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import check_floating, fail, shown
from gatedrnn._method import Method, check_method_value
from gatedrnn.interop._flax_cells import linen_cell, linen_weights
from gatedrnn.methods.auto import Auto
from gatedrnn.modules._edge import Layout, run
from gatedrnn.modules._flax import run_flax

LSTMCell = nn.LSTMCell
OptimizedLSTMCell = nn.OptimizedLSTMCell
GRUCell = nn.GRUCell
SimpleCell = nn.SimpleCell
Bidirectional = nn.Bidirectional

__all__ = ["RNN", "Bidirectional", "GRUCell", "LSTMCell", "OptimizedLSTMCell", "Recurrent", "SimpleCell"]


class RNN(nn.RNN):
    """flax's `nn.RNN`, with `gatedrnn.unroll` in the place of its scan.

    The cell is flax's own and keeps its variables, their names, initialisers and boxes: those of an `nn.RNN` apply
    unchanged, and `init` with one key gives the same numbers. What it returns is flax's, but for padding:

    - the outputs behind a sequence's length are zero, where flax computes on; what stands there, NaN included, is never
      read, so no gradient depends on it;
    - the carry of a sequence of length zero is the first one, where flax gives the last; a batch may have any number of
      axes there.

    `unroll`, `variable_axes`, `variable_broadcast`, `variable_carry` and `split_rngs` say how flax's scan is to be run,
    and there is none but in `init`.

    Attributes:
        cell: an `nn.LSTMCell`, `OptimizedLSTMCell`, `GRUCell` or `SimpleCell` with sigmoid and tanh; another is refused
            where the layer is called.
        method: how `unroll` evaluates and differentiates.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from gatedrnn.modules import linen as rnn
        >>> layer, xs = rnn.RNN(rnn.LSTMCell(16), return_carry=True), jnp.ones((4, 100, 8))
        >>> variables = layer.init(jax.random.key(0), xs)
        >>> (c, h), ys = layer.apply(variables, xs, seq_lengths=jnp.array([100, 50, 1, 0]))
        >>> ys.shape, h.shape
        ((4, 100, 16), (4, 16))

    References:
        https://flax-linen.readthedocs.io/en/latest/api_reference/flax.linen/layers.html#recurrent
    """

    method: Method = Auto()

    def __call__(
        self,
        inputs: Array,
        *,
        initial_carry: Any = None,
        init_key: Array | None = None,
        seq_lengths: Array | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
    ) -> Any:
        """Runs the cell; what is None is as the attribute says.

        Args:
            inputs: [*batch, T, D], or [T, *batch, D].
            initial_carry: [*batch, H], of the LSTM (c, h); else the cell's `initialize_carry` makes it.
            init_key: for the cell's `initialize_carry`; by default `jax.random.key(0)`.
            seq_lengths: whole numbers [*batch], each from 0 to T: the steps that are there.
            return_carry: return the last carry, too.
            time_major: inputs are [T, *batch, D], in the place of [*batch, T, D].
            reverse: run from each sequence's last step to its first.
            keep_order: with `reverse`, outputs stay at their inputs' places; else the first that was computed comes
                first.

        Returns:
            The outputs [*batch, T, H], or [T, *batch, H]; with `return_carry`, (carry, outputs), the carry that of each
            sequence's last step that is there.

        Raises:
            ValueError: an argument has the wrong rank, width, dtype or structure, or the cell is another one.
        """
        cell: Any = self.cell
        kind = linen_cell(cell)
        layout = Layout.of(inputs, self.time_major if time_major is None else time_major)
        if self.is_initializing():  # flax's own call makes the variables, from the numbers it would draw
            super().__call__(inputs, time_major=layout.time_major)
        if initial_carry is None:
            init_key = jax.random.key(0) if init_key is None else init_key
            initial_carry = cell.initialize_carry(init_key, (*layout.batch, jnp.shape(inputs)[-1]))
        carry, ys = run_flax(
            kind,
            linen_weights(kind, cell.variables),
            inputs,
            initial_carry,
            layout,
            dtype=cell.dtype,
            method=check_method_value(self.method),
            seq_lengths=seq_lengths,
            reverse=self.reverse if reverse is None else reverse,
            keep_order=self.keep_order if keep_order is None else keep_order,
        )
        return (carry, ys) if (self.return_carry if return_carry is None else return_carry) else ys


class Recurrent(nn.Module):
    """Any cell or network of this library as a layer; its weights are the one parameter `weights`, a pytree.

    Attributes:
        cell: such as `gr.lstm` or `gr.stack(gr.gru, layers=2)`.
        features: H.
        param_dtype: of the weights.
        options: of the cell's `init`, as pairs: `(("chrono", 1000),)`.
        time_major: inputs are [T, *batch, D], in the place of [*batch, T, D].
        return_carry: return the last carry, too.
        reverse: run from each sequence's last step to its first.
        keep_order: with `reverse`, outputs stay at their inputs' places; else the first that was computed comes first.
        method: how `unroll` evaluates and differentiates.

    Example:
        >>> import jax, jax.numpy as jnp, gatedrnn as gr
        >>> from gatedrnn.modules import linen as rnn
        >>> layer, xs = rnn.Recurrent(gr.gru, 16), jnp.ones((4, 100, 8))
        >>> variables = layer.init(jax.random.key(0), xs)
        >>> layer.apply(variables, xs).shape
        (4, 100, 16)
    """

    cell: Cell
    features: int
    param_dtype: DTypeLike = jnp.float32
    options: tuple[tuple[str, Any], ...] = ()
    time_major: bool = False
    return_carry: bool = False
    reverse: bool = False
    keep_order: bool = False
    method: Method = Auto()

    @nn.compact
    def __call__(
        self,
        inputs: Array,
        *,
        initial_carry: Any = None,
        seq_lengths: Array | None = None,
        mask: Array | None = None,
        reset: Array | None = None,
        segment_ids: Array | None = None,
        deterministic: bool = True,
    ) -> Any:
        """Runs the cell.

        Args:
            inputs: [*batch, T, D], or [T, *batch, D].
            initial_carry: the cell's own kind, [*batch, H] each.
            seq_lengths: whole numbers [*batch], each from 0 to T: the steps that are there.
            mask: bool [*batch, T] or [T, *batch], as in `unroll`.
            reset: bool like `mask`, as in `unroll`.
            segment_ids: whole numbers like `mask`, as in `unroll`.
            deterministic: False for a cell with noise, which it draws from the stream `dropout`.

        Returns:
            The outputs [*batch, T, H], or [T, *batch, H], zero where a step is not there; with `return_carry`,
            (carry, outputs), the carry a NamedTuple of the cell's kind.

        Raises:
            ValueError: an argument has the wrong rank, width, dtype or structure.
        """
        if not isinstance(self.cell, Cell):
            raise fail("cell", "a gatedrnn.Cell, such as gatedrnn.lstm", shown(self.cell))
        dtype, width = check_floating("param_dtype", self.param_dtype), jnp.shape(inputs)[-1]
        draw = lambda key: self.cell.draw(key, width, self.features, dtype, **dict(self.options))
        noisy = self.cell.training is not None and not deterministic
        carry, ys = run(
            self.cell,
            self.param("weights", draw),
            inputs,
            initial_carry,
            Layout.of(inputs, self.time_major),
            method=self.method,
            seq_lengths=seq_lengths,
            reverse=self.reverse,
            keep_order=self.keep_order,
            mask=mask,
            reset=reset,
            segment_ids=segment_ids,
            key=self.make_rng("dropout") if noisy else None,
        )
        return (carry, ys) if self.return_carry else ys
