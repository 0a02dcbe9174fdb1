"""flax.nnx: any cell or network of this library as a layer, each of its weights an `nnx.Param` of its own."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import check_flag, check_floating, check_size, fail, shown
from gatedrnn._method import Method, check_method_value
from gatedrnn.cells import gru, lstm
from gatedrnn.methods.auto import Auto
from gatedrnn.modules._edge import Layout, run
from gatedrnn.networks import bidirectional as both_ways, stack


class Recurrent(nnx.Module):
    """Any cell or network of this library as a layer, each of its weights an `nnx.Param` of its own.

    Attributes:
        params: the cell's weights, an `nnx.Param` at every leaf: what optimisers, `nnx.grad` and `nnx.state` find.
        deterministic: whether a cell with noise, such as `gr.stack(..., dropout=0.1)`, is run without;
            `model.eval()` and `model.train()` set it, as they do in `nnx.Dropout`.

    Args:
        cell: such as `gr.lstm` or `gr.stack(gr.gru, layers=2)`.
        in_features: D.
        hidden_features: H.
        rngs: draws the weights (`params`), and noise (`dropout`).
        param_dtype: of the weights.
        time_major: inputs are [T, *batch, D], in the place of [*batch, T, D].
        return_carry: return the last carry, too.
        reverse: run from each sequence's last step to its first.
        keep_order: with `reverse`, outputs stay at their inputs' places; else the first that was computed comes first.
        method: how `unroll` evaluates and differentiates.
        options: of the cell's `init`, such as `chrono=1000`.

    Raises:
        ValueError: `cell` is none, or a size or an option is none of its `init`.

    Example:
        >>> import jax.numpy as jnp, gatedrnn as gr
        >>> from flax import nnx
        >>> from gatedrnn.modules import nnx as rnn
        >>> layer = rnn.Recurrent(gr.stack(gr.gru, layers=2), 8, 16, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 100, 8))).shape
        (4, 100, 16)
    """

    def __init__(
        self,
        cell: Cell,
        in_features: int,
        hidden_features: int,
        *,
        rngs: nnx.Rngs,
        param_dtype: DTypeLike = jnp.float32,
        time_major: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        method: Method = Auto(),
        **options: Any,
    ):
        if not isinstance(cell, Cell):
            raise fail("cell", "a gatedrnn.Cell, such as gatedrnn.lstm", shown(cell))
        dtype = check_floating("param_dtype", param_dtype)
        weights = cell.draw(rngs.params(), in_features, hidden_features, dtype, **options)
        self.cell, self.method = nnx.static(cell), check_method_value(method)
        self.in_features, self.hidden_features = in_features, hidden_features
        self.time_major, self.return_carry = time_major, return_carry
        self.reverse, self.keep_order = reverse, keep_order
        self.params = nnx.data(jax.tree.map(nnx.Param, weights))
        self.deterministic = False
        self.rngs = nnx.data(None if cell.training is None else rngs.dropout.fork())

    def __call__(
        self,
        inputs: Array,
        *,
        initial_carry: Any = None,
        seq_lengths: Array | None = None,
        mask: Array | None = None,
        reset: Array | None = None,
        segment_ids: Array | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ) -> Any:
        """Runs the cell; what is None is as `__init__` was told.

        Args:
            inputs: [*batch, T, D], or [T, *batch, D].
            initial_carry: the cell's own kind, [*batch, H] each.
            seq_lengths: whole numbers [*batch], each from 0 to T: the steps that are there.
            mask: bool [*batch, T], as in `unroll`.
            reset: bool [*batch, T], as in `unroll`.
            segment_ids: whole numbers [*batch, T], as in `unroll`.
            return_carry: as in `__init__`.
            time_major: as in `__init__`; `mask`, `reset` and `segment_ids` are then [T, *batch].
            reverse: as in `__init__`.
            keep_order: as in `__init__`.
            deterministic: without noise.
            rngs: for noise.

        Returns:
            The outputs [*batch, T, H], or [T, *batch, H], zero where a step is not there; with `return_carry`,
            (carry, outputs), the carry a NamedTuple of the cell's kind.

        Raises:
            ValueError: an argument has the wrong rank, width, dtype or structure.
        """
        key = None
        if self.cell.training is not None and not (self.deterministic if deterministic is None else deterministic):
            stream: Any = self.rngs if rngs is None else rngs
            key = (stream.dropout if isinstance(stream, nnx.Rngs) else stream)()
        carry, ys = run(
            self.cell,
            values_of(self.params),
            inputs,
            initial_carry,
            Layout.of(inputs, self.time_major if time_major is None else time_major),
            method=self.method,
            seq_lengths=seq_lengths,
            reverse=self.reverse if reverse is None else reverse,
            keep_order=self.keep_order if keep_order is None else keep_order,
            mask=mask,
            reset=reset,
            segment_ids=segment_ids,
            key=key,
        )
        return (carry, ys) if (self.return_carry if return_carry is None else return_carry) else ys


class LSTM(Recurrent):
    """Layers of `gr.lstm`.

    Args:
        in_features: D.
        hidden_features: H of every layer, and of both directions.
        layers: how many lie on each other.
        bidirectional: each layer reads both ways, and shows 2 H: forward first.
        dropout: the rate at which what a layer reads from the one below is dropped, but for `deterministic`.
        rngs: as in `Recurrent`.
        options: those of `Recurrent`.

    Raises:
        ValueError: a size is not a whole number of at least 1, or `dropout` is not from 0 to below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from gatedrnn.modules import nnx as rnn
        >>> layer = rnn.LSTM(8, 16, layers=2, bidirectional=True, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 100, 8))).shape
        (4, 100, 32)
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        cell = layered(lstm.cell, layers, bidirectional, dropout)
        super().__init__(cell, in_features, hidden_features, rngs=rngs, **options)


class GRU(Recurrent):
    """Layers of `gr.gru`, as `LSTM`."""

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        cell = layered(gru.cell, layers, bidirectional, dropout)
        super().__init__(cell, in_features, hidden_features, rngs=rngs, **options)


def layered(cell: Cell, layers: int, bidirectional: bool, dropout: float) -> Cell:
    """A cell as layers; itself where there is one layer, one direction and no dropout."""
    cell = both_ways(cell) if check_flag("bidirectional", bidirectional) else cell
    return cell if check_size("layers", layers) == 1 and dropout == 0 else stack(cell, layers=layers, dropout=dropout)


def values_of(params: Any) -> Any:
    """The arrays in a pytree of variables."""
    return jax.tree.map(lambda leaf: leaf.get_value(), params, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable))
