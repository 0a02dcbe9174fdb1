"""equinox: any cell or network of this library as an `eqx.Module`."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from gatedrnn._cell import Cell
from gatedrnn._check import check_floating, fail, shown
from gatedrnn._forms import Carry
from gatedrnn._method import Method, check_method_value
from gatedrnn._unroll import unroll
from gatedrnn.methods.auto import Auto


class Recurrent(eqx.Module):
    """A cell with its weights.

    Attributes:
        cell: such as `gr.lstm` or `gr.stack(gr.gru, layers=2)`.
        params: its weights, a pytree of arrays: what `eqx.filter_grad` and optimisers find.
        method: how `unroll` evaluates and differentiates.

    Example:
        >>> import equinox as eqx, jax, jax.numpy as jnp, gatedrnn as gr
        >>> from gatedrnn.modules.equinox import Recurrent
        >>> layer = Recurrent(gr.lstm, 8, 16, key=jax.random.key(0))
        >>> carry, ys = jax.vmap(layer)(jnp.ones((4, 100, 8)))
        >>> ys.shape, carry.c.shape
        ((4, 100, 16), (4, 16))
    """

    cell: Cell = eqx.field(static=True)
    params: Any
    method: Method = eqx.field(static=True)

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        *,
        key: Array,
        dtype: DTypeLike = jnp.float32,
        method: Method = Auto(),
        **options: Any,
    ):
        """Draws the weights.

        Args:
            cell: a cell or a network.
            input_size: D.
            hidden_size: H.
            key: a `jax.random.key`.
            dtype: of the weights.
            method: how `unroll` evaluates and differentiates.
            options: of the cell's `init`, such as `chrono=1000`.

        Raises:
            ValueError: `cell` is none, or a size or an option is none of its `init`.
        """
        if not isinstance(cell, Cell):
            raise fail("cell", "a gatedrnn.Cell, such as gatedrnn.lstm", shown(cell))
        self.cell, self.method = cell, check_method_value(method)
        self.params = cell.draw(key, input_size, hidden_size, check_floating("dtype", dtype), **options)

    def __call__(
        self, xs: Array, carry: Carry | None = None, *, key: Array | None = None, **options: Any
    ) -> tuple[Carry, Any]:
        """Runs the cell over one sequence, as equinox's layers do, or over a batch.

        Args:
            xs: [T, D], or time-major [T, B, D].
            carry: the carry before the first step; by default the cell's own.
            key: for a cell with noise, such as `gr.stack(..., dropout=0.1)`, where it is trained; others draw nothing.
            options: those of `unroll`: `mask`, `reset`, `lengths`, `segment_ids`, `reverse`, `batch_major`, `outputs`.

        Returns:
            What `unroll` returns: the carry after the last step, and the outputs [T, H] or [T, B, H].

        Raises:
            ValueError: as `unroll`.
        """
        key = None if self.cell.training is None else key
        return unroll(self.cell, self.params, xs, carry, key=key, method=self.method, **options)
