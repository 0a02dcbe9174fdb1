"""Which method fits: the compiler is asked what each would take, from the cheapest in time to the cheapest in memory.

Nothing is run and nothing of the sequence's size is made; the loops' bodies are compiled once, whatever T is.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import check_size, fail
from gatedrnn._contract import check_asked
from gatedrnn._memory import device_bytes, readable
from gatedrnn._method import Method
from gatedrnn._outputs import Readout
from gatedrnn._unroll import unroll
from gatedrnn.methods.auto import Auto
from gatedrnn.methods.checkpointed import Checkpointed


@dataclass(frozen=True)
class Option:
    """One way to evaluate the gradient.

    Attributes:
        method: for `unroll`.
        peak_bytes: inputs, weights, gradients and everything in between.
        extra_forward: forward passes beyond the one that every gradient needs.
    """

    method: Method
    peak_bytes: int
    extra_forward: int


@dataclass(frozen=True)
class Plan:
    """Result of `plan`.

    Attributes:
        chosen: the option with the least extra work whose peak is within the budget.
        options: all that were considered up to there, in order of extra work.
        budget: bytes.
    """

    chosen: Option
    options: tuple[Option, ...]
    budget: int

    @property
    def method(self) -> Method:
        """The chosen method."""
        return self.chosen.method


def plan(cell: Cell, params: Any, xs: Array | jax.ShapeDtypeStruct, *, budget: int | None = None) -> Plan:
    """Finds the fastest method whose gradient fits in memory, for a loss that is a sum over time.

    Counted: the gradient in `params` of a `Readout` of every output. A loss that needs `outputs="all"` holds the
    outputs and their cotangents, [T, B, H] each, beside that.

    Args:
        cell: any cell.
        params: its weights.
        xs: inputs [T, B, D] or [T, D], or a `jax.ShapeDtypeStruct` of them.
        budget: bytes; by default the memory of the device, on a CPU the machine's.

    Returns:
        A `Plan`; its `method` goes to `unroll`.

    Raises:
        ValueError: nothing fits, `budget` is not a whole number of at least 1, or an argument has the wrong rank, width
            or dtype.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.lstm.init(jax.random.key(0), 8, 64)
        >>> xs = jax.ShapeDtypeStruct((1_000_000, 1, 8), "float32")
        >>> type(gr.plan(gr.lstm, params, xs, budget=200_000_000).method).__name__
        'Checkpointed'
    """
    xs = check_asked(cell, params, xs)
    budget = device_bytes() if budget is None else check_size("budget", budget)
    options: list[Option] = []
    for extra, method in enumerate(_methods(xs.shape[0])):
        options.append(Option(method, _peak_bytes(cell, method, params, xs), extra))
        if options[-1].peak_bytes <= budget:
            return Plan(options[-1], tuple(options), budget)
    least = min(option.peak_bytes for option in options)
    raise fail("budget", f"at least {readable(least)}, what the leanest method takes", readable(budget))


def _methods(steps: int) -> list[Method]:
    return [Auto(), Checkpointed(), Checkpointed.nested(max(steps, 1))]


def _peak_bytes(cell: Cell, method: Method, params: Any, xs: Any) -> int:
    """Arguments, results and temporaries of the compiled gradient."""

    def loss(params: Any, xs: Array) -> Array:
        return jnp.sum(unroll(cell, params, xs, method=method, outputs=Readout(_squares))[1])

    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(jnp.shape(a), jnp.result_type(a)), (params, xs))
    found: Any = jax.jit(jax.grad(loss, allow_int=True)).lower(*like).compile().memory_analysis()
    return found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes


def _squares(_: Any, ys: Array, __: Any) -> Array:
    return jnp.square(ys).sum(-1)
