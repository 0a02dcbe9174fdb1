"""A recurrent cell as three pure functions: the contract between cells and loops.

    project(params.input, xs)           -> gates_x   G arrays [..., H], every time step at once
    recur(params.recurrent, h)          -> gates_h   G arrays [..., H], affine in h
    pointwise(gates_x, gates_h, carry)  -> carry     elementwise in [B, H]

    step = pointwise(project(x), recur(h), carry)

Dimension letters, everywhere in the package:

    T time steps    B batch    D input features    H hidden units
    G gates         K segment length               S state size, the sum of the carry's widths
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import jax
from jax import Array

Carry = Any
"""A NamedTuple of arrays [B, H] (or [H]), `h` first."""

Gates = tuple[Array, ...]
"""One array [..., H] per gate."""


class Params(NamedTuple):
    """The weights of one cell, split by what they meet.

    Attributes:
        input: pytree read by `project`. Here `w [D, G * H]` and `b [G * H]`.
        recurrent: pytree read by `recur`. Here `w [H, G * H]`; the GRU adds `b [H]`.
    """

    input: Any
    recurrent: Any


@dataclass(frozen=True)
class Composed:
    """The step that `project`, `recur` and `pointwise` make together."""

    project: Callable[[Any, Array], Gates]
    recur: Callable[[Any, Array], Gates]
    pointwise: Callable[[Gates, Gates, Carry], Carry]

    def __call__(self, params: Params, carry: Carry, x: Array) -> tuple[Carry, Array]:
        gates_x = self.project(params.input, x)  # G x [..., H]
        gates_h = self.recur(params.recurrent, carry.h)  # G x [..., H]
        carry = self.pointwise(gates_x, gates_h, carry)
        return carry, carry.h


_ABSENT: Any = None  # default of a function that a cell may do without


@jax.tree_util.register_static
@dataclass(frozen=True)
class Cell:
    """A recurrent cell: a value, hashable and registered static, so it crosses `jax.jit` as an argument.

    Give `project`, `recur` and `pointwise` (and, for `gate_activations`, `activations`), or `step` alone.
    With the three functions the cell is differentiated by `Segmented`; with `step` alone, by JAX's own rules.

    Attributes:
        name: what tables and messages call the cell.
        gates: names of the gates, in the order in which their arrays stand in the weights.
        init: `(key, input_size, hidden_size, **options) -> params`.
        initial_carry: `(params, batch_size=None) -> carry`, [B, H] each, or [H] without a batch size.
        project: `(params.input, xs [..., D]) -> gates_x`, G arrays [..., H].
        recur: `(params.recurrent, h [..., H]) -> gates_h`, G arrays [..., H]; affine in h.
        pointwise: `(gates_x, gates_h, carry) -> carry`; elementwise.
        activations: `(gates_x, gates_h) -> NamedTuple` of the gates' values under their names.
        step: `(params, carry, x) -> (carry, y)`; composed from the three functions where they are given.
        keeps: the gate by which a unit keeps its own memory: `forget`, `update`, or `1 - forget` where the complement
            keeps; "" where there is none.
        horizon_option: the keyword of `init` that sets gate biases to a horizon in steps, as `chrono`; "" for none.

    Raises:
        ValueError: neither `step` nor all of `project`, `recur` and `pointwise` were given.
    """

    name: str
    gates: tuple[str, ...]
    init: Callable[..., Any]
    initial_carry: Callable[..., Carry]
    project: Callable[[Any, Array], Gates] = _ABSENT
    recur: Callable[[Any, Array], Gates] = _ABSENT
    pointwise: Callable[[Gates, Gates, Carry], Carry] = _ABSENT
    activations: Callable[[Gates, Gates], Any] = _ABSENT
    step: Callable[[Any, Carry, Array], tuple[Carry, Array]] = _ABSENT
    keeps: str = ""
    horizon_option: str = ""

    def __post_init__(self) -> None:
        three = (self.project, self.recur, self.pointwise)
        complete = all(function is not None for function in three)
        # A composed step is made anew, since `dataclasses.replace` hands over that of the cell it copies.
        if complete and (self.step is None or isinstance(self.step, Composed)):
            object.__setattr__(self, "step", Composed(*three))
        elif self.step is None:
            raise ValueError(f"Cell {self.name!r} needs `step`, or all of `project`, `recur` and `pointwise`.")

    @property
    def factored(self) -> bool:
        """Whether the step is the composition of `project`, `recur` and `pointwise`."""
        return self.pointwise is not None and isinstance(self.step, Composed)

    @classmethod
    def from_step(
        cls,
        name: str,
        step: Callable[[Any, Carry, Array], tuple[Carry, Array]],
        *,
        init: Callable[..., Any],
        initial_carry: Callable[..., Carry],
    ) -> Self:
        """Wraps a recurrence that does not fit the three-function form.

        Args:
            name: what tables and messages call the cell.
            step: `(params, carry, x [B, D]) -> (carry, y [B, H])`, for any leading batch axis.
            init: `(key, input_size, hidden_size, **options) -> params`.
            initial_carry: `(params, batch_size=None) -> carry`, a pytree of floating arrays [B, ...].

        Returns:
            A cell for `unroll(..., method=Autodiff())` and every analysis in `flow` that needs no gates.

        Example:
            >>> import jax, jax.numpy as jnp, gatedrnn as gr
            >>> decay = gr.Cell.from_step(
            ...     "decay",
            ...     lambda a, carry, x: (gr.RNNState(a * carry.h + x), a * carry.h + x),
            ...     init=lambda key, input_size, hidden_size: jnp.full(hidden_size, 0.5),
            ...     initial_carry=lambda a, batch_size=None: gr.RNNState(jnp.zeros((batch_size or 1, a.size))),
            ... )
            >>> carry, ys = gr.unroll(decay, jnp.array([0.5]), jnp.ones((3, 1, 1)), method=gr.Autodiff())
            >>> ys.ravel().tolist()
            [1.0, 1.5, 1.75]
        """
        return cls(name=name, gates=(), init=init, initial_carry=initial_carry, step=step)
