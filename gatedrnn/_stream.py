"""Serving: one compiled step for a batch of independent streams, whose carries stay on the device.

y_t, carry_t = step(x_t, carry_{t-1})        one call per step
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_array, check_size, fail
from gatedrnn._contract import check_fit, check_params
from gatedrnn._forms import Carry
from gatedrnn._sequence import check_carry, check_causal, input_size
from gatedrnn._step import guarded_step, select


class Stream:
    """Streams that are served step by step: B of them, each with a carry of its own.

    The step is compiled once, when the stream is made; a call only runs it. It equals `unroll` over the steps that were
    given, and the carry can be taken out, kept, and put back.

    Attributes:
        carry: of all streams after their last step, [B, H] each; may be set.

    Args:
        cell: a cell, or a network that does not read backwards.
        params: its weights.
        batch_size: B, the number of streams.
        input_size: D; known from the weights of the house's cells.
        carry: to begin with; by default `cell.initial_carry`.

    Raises:
        ValueError: an argument has the wrong shape, dtype or structure, the cell reads backwards, or `input_size` is
            needed.

    Example:
        >>> import jax.numpy as jnp, jax, gatedrnn as gr
        >>> params = gr.gru.init(jax.random.key(0), 3, 8)
        >>> stream = gr.Stream(gr.gru, params, batch_size=2)
        >>> for x in jnp.ones((5, 2, 3)):
        ...     y = stream(x)
        >>> bool(jnp.allclose(y, gr.unroll(gr.gru, params, jnp.ones((5, 2, 3)))[1][-1], atol=1e-6))
        True
    """

    def __init__(
        self, cell: Cell, params: Any, batch_size: int = 1, *, input_size: int | None = None, carry: Carry | None = None
    ) -> None:
        if not isinstance(cell, Cell):
            raise fail("cell", "a gatedrnn.Cell, such as gatedrnn.lstm", repr(cell))
        check_causal("cell", cell)
        check_params(cell, params)
        rows, width = check_size("batch_size", batch_size), _width(params, input_size)
        x = jnp.zeros((rows, width), jax.tree.leaves(cell.initial_carry(params, 1))[0].dtype)
        check_fit(cell, params, x)
        self._cell, self._shape, self._dtype = cell, x.shape, x.dtype
        self._initial = cell.initial_carry(params, rows)
        self._params = jax.device_put(params)
        self.carry = self._initial if carry is None else carry
        self._never, self._always = jnp.zeros(rows, bool), jnp.ones(rows, bool)
        self._run = jax.jit(self._step, donate_argnums=1)
        x, flag = self._inputs(np.zeros(x.shape)), self._flag("reset", np.zeros(rows, bool))  # JAX compiles that, too
        self._run(self._params, self.carry, x, flag, self._always)  # compiled here, on a copy

    def _step(self, params: Any, carry: Carry, x: Array, reset: Array, active: Array) -> tuple[Carry, Array]:
        step = guarded_step(self._cell, params, self._cell.initial_carry(params, x.shape[0]))
        carry, y = step(carry, (x, active, reset))
        return carry, select(active, y, jnp.zeros_like(y))

    @property
    def carry(self) -> Carry:
        """A copy, which later steps do not overwrite."""
        return jax.tree.map(jnp.copy, self._carry)

    @carry.setter
    def carry(self, carry: Carry) -> None:
        self._carry = jax.tree.map(jnp.copy, check_carry("carry", carry, self._initial, True))

    def __call__(self, x: Any, *, reset: Any = None, active: Any = None) -> Array:
        """One step of every stream.

        Args:
            x: inputs, [B, D].
            reset: bool [B]; True begins that stream anew with this step.
            active: bool [B]; False where a stream has no input now: its carry is held and its output zero.

        Returns:
            y [B, H].

        Raises:
            ValueError: an argument has another shape or dtype; the carry is as it was.
        """
        if getattr(x, "shape", None) != self._shape or getattr(x, "dtype", None) != self._dtype:
            x = self._inputs(x)
        begins = self._never if reset is None else self._flag("reset", reset)
        runs = self._always if active is None else self._flag("active", active)
        self._carry, y = self._run(self._params, self._carry, x, begins, runs)
        return y

    def _inputs(self, x: Any) -> Array:
        x = check_array("x", f"a floating array {self._shape}", x)
        if x.shape != self._shape or not jnp.issubdtype(x.dtype, jnp.floating):
            raise fail("x", f"a floating array [B, D] = {self._shape}", f"{x.dtype} {x.shape}")
        return x.astype(self._dtype)

    def _flag(self, name: str, flag: Any) -> Array:
        flag = check_array(name, "a bool array", flag)
        if flag.shape != self._shape[:1] or flag.dtype != jnp.bool:
            raise fail(name, f"a bool array [B] = {self._shape[:1]}", f"{flag.dtype} {flag.shape}")
        return flag


def _width(params: Any, given: int | None) -> int:
    """D, as the weights or the caller say."""
    known = input_size(params)
    if given is None and known is None:
        raise fail("input_size", "given, where the weights do not say it", "None")
    width = known if given is None else check_size("input_size", given)
    if known is not None and width != known:
        raise fail("input_size", f"{known}, as in the weights", width)
    return int(width or 0)
