"""Truncated backpropagation: values as ever, but no gradient crosses from one window of steps into the one before.

carry_0, window 1, stop, window 2, stop, ..., window n
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jax import Array, lax

from gatedrnn._cell import Cell
from gatedrnn._check import LARGEST, check_size, fail, shown
from gatedrnn._forms import Carry
from gatedrnn._jax import is_static
from gatedrnn._method import Method, check_method_value
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence
from gatedrnn.methods._pieces import over_pieces
from gatedrnn.methods.auto import Auto


@jax.tree_util.register_static
@dataclass(frozen=True)
class Truncated:
    """Backpropagation truncated at fixed windows; the one method whose gradients are not those of the others.

    Windows are steps 0..W - 1, W..2 W - 1, and so on, also under `reverse`. The gradient of the first carry is that of
    the first window to be run; that of the last carry goes into the last. Sequences that do not fit in memory are fed
    window by window by `gr.streamed`.

    Attributes:
        window: steps per window, W.
        method: how each window is evaluated.

    Raises:
        ValueError: `window` is not a whole number of at least 1; when called, T is a symbol of `jax.export`.

    References:
        Williams, Peng, "An efficient gradient-based algorithm for on-line training of recurrent network trajectories",
        Neural Computation 2, 1990, https://doi.org/10.1162/neco.1990.2.4.490
    """

    window: int
    method: Method = Auto()

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", check_size("window", self.window, most=LARGEST))
        check_method_value(self.method)

    def piece(self, steps: int, rows: int) -> tuple[int, int]:
        """T and B of what its method is given, but for the rest."""
        if not is_static(steps):
            raise fail("xs", "of a number of steps that is known, to be cut into windows", f"T = {steps}")
        return min(self.window, steps), rows

    def __call__(self, cell: Cell, params: Any, sequence: Sequence, outputs: Outputs) -> tuple[Carry, Any]:
        steps, rows = sequence.xs.shape[:2]
        if self.piece(steps, rows) == (steps, rows):
            return self.method(cell, params, sequence, outputs)

        def run(state: tuple[Carry, Carry], steps: Any) -> tuple[tuple[Carry, Carry], Any]:
            end, part = self.method(cell, params, sequence.piece(steps, state[0]), outputs)
            return (lax.stop_gradient(end), end), part  # only what leaves the last window passes gradients back

        state = (sequence.carry, sequence.carry)
        (_, end), found = over_pieces(run, state, sequence.steps, outputs, self.window, sequence.reverse)
        return end, found


def streamed(loss: Callable[..., tuple[Array, Carry]]) -> Callable[..., tuple[Any, Carry, Array]]:
    """Truncated backpropagation over a sequence that never is in memory as a whole: one call per window.

    Args:
        loss: `(params, carry, *window) -> (value [], carry)`; it runs `unroll` over the window from `carry`, and hands
            back the last carry. A named function, so that it is compiled once.

    Returns:
        `(params, carry, *window) -> (gradients, carry, value)`, compiled. Gradients are those in `params`; none flows
        into the carry given.

    Raises:
        TypeError: `loss` cannot be called.

    Example:
        >>> import jax, jax.numpy as jnp, gatedrnn as gr
        >>> def loss(params, carry, xs):
        ...     carry, ys = gr.unroll(gr.lstm, params, xs, carry)
        ...     return jnp.mean(ys**2), carry
        >>> step = gr.streamed(loss)
        >>> params = gr.lstm.init(jax.random.key(0), 8, 16)
        >>> carry = gr.lstm.initial_carry(params, 4)
        >>> for window in jnp.ones((3, 100, 4, 8)):
        ...     gradients, carry, value = step(params, carry, window)
    """
    if not callable(loss):
        raise TypeError(str(fail("loss", "a function (params, carry, *window) -> (value, carry)", shown(loss))))

    @jax.jit
    def step(params: Any, carry: Carry, *window: Any) -> tuple[Any, Carry, Array]:
        differentiate = jax.value_and_grad(lambda p: loss(p, carry, *window), has_aux=True)
        (value, carry_after), gradients = differentiate(params)
        return gradients, carry_after, value

    return step
