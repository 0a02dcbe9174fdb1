"""Time scales: how long each unit's gate keeps what the unit holds.

    after = f * before + ...        time scale = -1 / E[ln f] steps

E[ln f], not ln E[f]: over many steps the factors multiply, so a gate that is noisy forgets sooner than its mean
suggests.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gatedrnn._cell import Cell
from gatedrnn._check import fail
from gatedrnn._forms import Carry
from gatedrnn._jacobian import kept
from gatedrnn._jax import gathered, scan
from gatedrnn._outputs import All
from gatedrnn._segments import over_segments
from gatedrnn._sequence import Sequence, check_sequence, poison
from gatedrnn._step import restart, select
from gatedrnn._visit import outputs_of, visit
from gatedrnn.flow._order import counted_steps, in_order

SEGMENT = 125  # steps whose logarithms are averaged at once


def timescales(
    cell: Cell,
    params: Any,
    xs: Array,
    carry: Carry | None = None,
    *,
    mask: Array | None = None,
    reset: Array | None = None,
    reverse: bool = False,
) -> Any:
    """The time scale of each unit: the number of steps in which its gate lets the unit's own memory fall by 1/e.

    The gate that carries the state is read off the cell's equations, as d after / d before of the carry's last part
    with the recurrent products held fixed: the forget gate f of the LSTM, the update gate z of the GRU, 0 for the
    Elman network.

    Args:
        cell: a cell in three-function form, or a network of such.
        params: its weights.
        xs: inputs that drive it, [T, B, D] or [T, D].
        carry: the carry before the first step; by default `cell.initial_carry`.
        mask: bool [T, B] or [T], as in `unroll`; a masked step is not counted.
        reset: bool [T, B] or [T], as in `unroll`; a step that starts from a reset is not counted.
        reverse: as in `unroll`, from the last step to the first.

    Returns:
        [H], in steps: -1 / (mean over T and B of ln f); 0 where nothing is carried, inf where f is 1 throughout, nan
        where no step counts. Of a network, such an array for each of its cells, in the places of their carries.

    Raises:
        ValueError: the cell, or one of the network's, has `step` alone, the sequence has no steps or no rows, or an
            argument has the wrong rank, width or dtype.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.gru.init(jax.random.key(0), 1, 2, update_bias=3.0)
        >>> gr.flow.timescales(gr.gru, params, jax.numpy.zeros((10, 1))).round(2).tolist()  # -1 / ln sigmoid(3)
        [20.579999923706055, 20.579999923706055]

    References:
        Tallec, Ollivier, "Can recurrent neural networks warp time?", 2018, https://arxiv.org/abs/1804.11188
    """
    if not isinstance(cell, Cell) or cell.network is None:
        _check_factored(cell)
    sequence = check_sequence(cell, params, xs, carry, mask, reset, reverse, stepwise=False)
    if 0 in sequence.xs.shape[:2]:
        raise fail("xs", "of at least one step and one row", np.shape(xs))
    traces = trace_gate(cell, SEGMENT, params, sequence)
    return jax.tree.map(scales_of, traces, is_leaf=lambda node: isinstance(node, GateTrace))


def _check_factored(cell: Any) -> None:
    if not isinstance(cell, Cell) or not cell.factored:
        raise fail("cell", "a Cell with `project`, `recur` and `pointwise`, whose gates can be read off", repr(cell))


class GateTrace(NamedTuple):
    """The factor f by which each unit keeps its own memory, over segments of K steps (the last may be shorter).

    Attributes:
        log_sum: sum of ln f over a segment's steps that count, mean over B, [N, H].
        number: how many they are, mean over B, [N].
        mean: mean of f over a segment's steps, in the first row of the batch, [N, H].
    """

    log_sum: Array
    number: Array
    mean: Array


@functools.partial(jax.jit, static_argnums=(0, 1))
@gathered(2)
def trace_gate(cell: Cell, length: int, params: Any, sequence: Sequence) -> Any:
    """Runs a cell in three-function form and records f = d after / d before of the carry's last part, K = `length`.

    Returns:
        `GateTrace`; of a network one for each of its cells, in the places of their carries.
    """

    def traced(cell: Cell, params: Any, steps: Sequence) -> tuple[GateTrace, Array]:
        _check_factored(cell)
        return _of_cell(cell, length, params, in_order(steps)), outputs_of(cell, params, steps)

    return visit(cell, params, sequence, All(), traced, apart=True)[0]


def _of_cell(cell: Cell, length: int, params: Any, sequence: Sequence) -> GateTrace:
    xs, mask, reset = sequence.xs, sequence.mask, sequence.reset
    unit = params.spread(sequence.carry.h)

    def step(carry: Carry, inputs: Any) -> tuple[Carry, Array]:
        gates_x, run, fresh = inputs
        before = restart(fresh, sequence.initial, carry)
        gates_h = cell.heard(params, before.h)
        after = cell.pointwise(gates_x, gates_h, before, *unit)
        return select(run, after, carry), kept(cell, gates_x, gates_h, before, unit)

    def segment(start: Carry, inputs: Any, _: None) -> tuple[Carry, None, GateTrace]:
        xs, run, fresh, counted, bad = inputs
        end, factors = scan(step, start, (cell.project(params.input, xs), run, fresh))  # [K, B, H]
        factors = poison(bad, factors)
        logs = select(counted, jnp.log(jnp.abs(factors)), jnp.zeros_like(factors))
        number = counted.mean(1, dtype=logs.dtype).sum(0)
        return end, None, GateTrace(logs.mean(1).sum(0), number, factors[:, 0].mean(0))

    inputs = (xs, mask, reset, counted_steps(mask, reset, xs), sequence.poisoned)
    _, _, (whole, rest) = over_segments(segment, sequence.carry, inputs, (None, None), length, False)
    return whole if rest is None else jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), whole, rest)


def scales_of(trace: GateTrace) -> Array:
    """-1 / E[ln f] in steps, [H]."""
    mean = trace.log_sum.sum(0) / trace.number.sum()
    return jnp.where(mean == 0, jnp.inf, -1 / mean)
