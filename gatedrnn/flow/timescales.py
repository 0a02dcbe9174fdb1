"""Time scales: how long each unit's gate keeps what the unit holds.

    after = f * before + ...        time scale = -1 / E[ln f] steps

E[ln f], not ln E[f]: over many steps the factors multiply, so a gate that is noisy forgets sooner than its mean
suggests.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gatedrnn._cell import Carry, Cell
from gatedrnn._check import fail
from gatedrnn._jacobian import kept
from gatedrnn._segments import over_segments
from gatedrnn._sequence import Sequence, check_sequence

SEGMENT = 125  # steps whose logarithms are averaged at once


def timescales(cell: Cell, params: Any, xs: Array, carry: Carry | None = None) -> Array:
    """The time scale of each unit: the number of steps in which its gate lets the unit's own memory fall by 1/e.

    The gate that carries the state is read off the cell's equations, as d after / d before of the carry's last part
    with the recurrent products held fixed: the forget gate f of the LSTM, the update gate z of the GRU, 0 for the
    Elman network.

    Args:
        cell: a cell in three-function form.
        params: its weights.
        xs: inputs that drive it, [T, B, D] or [T, D].
        carry: the carry before the first step; by default `cell.initial_carry`.

    Returns:
        [H], in steps: -1 / (mean over T and B of ln f); 0 where nothing is carried, inf where f is 1 throughout.

    Raises:
        ValueError: the cell has `step` alone, the sequence is empty, or an argument has the wrong rank, width or dtype.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.gru.init(jax.random.key(0), 1, 2, update_bias=3.0)
        >>> gr.flow.timescales(gr.gru, params, jax.numpy.zeros((10, 1))).round(2).tolist()  # -1 / ln sigmoid(3)
        [20.579999923706055, 20.579999923706055]

    References:
        Tallec, Ollivier, "Can recurrent neural networks warp time?", 2018, https://arxiv.org/abs/1804.11188
    """
    if not isinstance(cell, Cell) or not cell.factored:
        raise fail("cell", "a Cell with `project`, `recur` and `pointwise`, whose gates can be read off", repr(cell))
    sequence = check_sequence(cell, params, xs, carry)
    if sequence.xs.shape[0] == 0:
        raise fail("xs", "at least one step long", jnp.shape(xs))
    return scales_of(trace_gate(cell, SEGMENT, params, sequence), sequence.xs.shape[0])


class GateTrace(NamedTuple):
    """The factor f by which each unit keeps its own memory, over segments of K steps (the last may be shorter).

    Attributes:
        log_sum: sum of ln f over a segment's steps, mean over B, [N, H].
        mean: mean of f over a segment's steps, in the first row of the batch, [N, H].
    """

    log_sum: Array
    mean: Array


@functools.partial(jax.jit, static_argnums=(0, 1))
def trace_gate(cell: Cell, length: int, params: Any, sequence: Sequence) -> GateTrace:
    """Runs a cell in three-function form and records f = d after / d before of the carry's last part, K = `length`."""
    xs, carry = sequence.xs, sequence.carry

    unit = params.spread(carry.h)

    def step(carry: Carry, gates_x: Any) -> tuple[Carry, Array]:
        gates_h = cell.recur(params.recurrent, carry.h)
        return cell.pointwise(gates_x, gates_h, carry, *unit), kept(cell, gates_x, gates_h, carry, unit)

    def segment(start: Carry, xs: Array, _: None) -> tuple[Carry, None, GateTrace]:
        end, kept = lax.scan(step, start, cell.project(params.input, xs))  # kept [K, B, H]
        return end, None, GateTrace(jnp.log(jnp.abs(kept)).mean(1).sum(0), kept[:, 0].mean(0))

    _, _, (whole, rest) = over_segments(segment, carry, xs, (None, None), length, False)
    return whole if rest is None else jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), whole, rest)


def scales_of(trace: GateTrace, steps: int) -> Array:
    """-1 / E[ln f] in steps, [H], from the trace of a run over `steps` steps."""
    mean = trace.log_sum.sum(0) / steps
    return jnp.where(mean == 0, jnp.inf, -1 / mean)
